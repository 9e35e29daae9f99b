"""Upcasters: an event stored in an old schema version is read as the newest version."""

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel, ValidationError

from ordering_write.checks import check_upcasters
from ordering_write.domain.events import DomainEvent, UnknownSchemaVersionError
from ordering_write.domain.values import ERASED
from tests.kit import NOW


def _count_pieces(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Version 1 counted boxes; version 2 counts pieces."""
    boxes = payload["boxes"]
    return {**{k: v for k, v in payload.items() if k != "boxes"}, "pieces": 12 * boxes}


def _rename_by(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Version 3 calls the field ``by`` ``packer``; an erased payload lacks the field."""
    return {("packer" if name == "by" else name): value for name, value in payload.items()}


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unregister the event types of a test after the test."""
    monkeypatch.setattr(DomainEvent, "types", dict(DomainEvent.types))


@pytest.fixture
def packed() -> type[DomainEvent]:
    class Packed(DomainEvent):
        schema_version = 3
        upcasters: ClassVar = {1: _count_pieces, 2: _rename_by}
        personal = frozenset({"packer"})

        pieces: int
        packer: str

    return Packed


def decode(event_type: type[DomainEvent], version: int, fields: Any, personal: Any) -> Any:
    return event_type.decode(
        schema_version=version, timestamp=NOW, fields=fields, personal=personal
    )


@pytest.mark.parametrize(
    ("version", "fields", "personal"),
    [
        (1, {"boxes": 2}, {"by": "Robin Sample"}),
        (2, {"pieces": 24}, {"by": "Robin Sample"}),
        (3, {"pieces": 24}, {"packer": "Robin Sample"}),
    ],
)
def test_each_stored_version_is_read_as_the_newest_version(packed, version, fields, personal):
    event = decode(packed, version, fields, personal)
    assert event == packed(timestamp=NOW, pieces=24, packer="Robin Sample")
    assert event.encode() == ({"pieces": 24}, {"packer": "Robin Sample"})


@pytest.mark.parametrize(("version", "fields"), [(1, {"boxes": 2}), (3, {"pieces": 24})])
def test_each_stored_version_is_read_after_its_erasure(packed, version, fields):
    event = decode(packed, version, fields, None)
    assert event == packed(timestamp=NOW, pieces=24, packer=ERASED)


@pytest.mark.parametrize("version", [0, 4])
def test_an_unknown_version_of_an_event_is_refused(packed, version):
    with pytest.raises(UnknownSchemaVersionError, match="the newest is 3"):
        decode(packed, version, {"pieces": 24}, {"packer": "Robin Sample"})


def test_a_payload_of_another_version_is_refused(packed):
    with pytest.raises(ValidationError):
        decode(packed, 3, {"boxes": 2}, {"packer": "Robin Sample"})


def test_a_complete_chain_of_upcasters_passes_the_check(packed):
    assert check_upcasters() == []


@pytest.mark.parametrize(
    "chain", [{}, {1: _count_pieces}, {2: _rename_by}, {1: dict, 2: dict, 3: dict}]
)
def test_a_gap_in_a_chain_of_upcasters_is_found(chain):
    class Packed(DomainEvent):
        schema_version = 3
        upcasters: ClassVar = chain

    [error] = check_upcasters()
    assert error.id == "ordering_write.E002"
    assert error.msg == (
        f"Packed has schema version 3 and upcasters from the versions {sorted(chain)}."
    )


# --- Erased fields -----------------------------------------------------------------------------
def test_erased_fields_follow_from_the_personal_fields() -> None:
    class Person(BaseModel):
        name: str
        nickname: str = ""

    class Wrapped(DomainEvent):
        personal = frozenset({"message", "sender", "readers", "born"})

        paper: str
        message: str
        sender: Person
        readers: list[str]
        born: int | None = None

    assert Wrapped.erased_fields() == {
        "message": ERASED,
        "sender": {"name": ERASED},
        "readers": [],
    }


def test_a_personal_field_that_cannot_be_erased_is_refused_when_its_event_is_defined() -> None:
    with pytest.raises(TypeError, match=r"^Wrapped\.born is personal: make it a text, or give it"):

        class Wrapped(DomainEvent):
            personal = frozenset({"born"})

            born: int
