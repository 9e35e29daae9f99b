"""What commands come to: counted, kept, logged."""

import logging
import os
from typing import Any
from uuid import UUID

import psycopg
import pytest
from uuid_utils.compat import uuid7

from ordering_write.bus import bus, metrics
from ordering_write.domain.commands import Command, ReceiveStock, RegisterStockItem
from ordering_write.domain.errors import ProductNotFoundError
from ordering_write.models import CommandTally
from tests import kit

pytestmark = pytest.mark.usefixtures("committed")


@pytest.fixture(autouse=True)
def _nothing_counted() -> Any:
    metrics._counted.clear()
    yield
    metrics._counted.clear()


def totals() -> dict[tuple[str, str, str], int]:
    for row in CommandTally.objects.all():
        assert 0 < row.seconds < 60 * row.count
    return {(row.type, row.outcome, row.reason): row.count for row in CommandTally.objects.all()}


def receive(product_id: UUID, **fields: Any) -> Any:
    return kit.dispatch(ReceiveStock(user_id=kit.USER, product_id=product_id, quantity=1, **fields))


def test_commands_are_counted_by_type_and_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    product, key = kit.registered_product(), uuid7()
    receive(product.pk, command_id=key)
    receive(product.pk, command_id=key)
    for _ in range(2):
        with pytest.raises(ProductNotFoundError):
            receive(uuid7())
    with monkeypatch.context() as broken:
        broken.setattr(bus, "_record", lambda command: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            receive(product.pk)

    metrics.flush()
    metrics.flush()

    assert totals() == {
        ("RegisterStockItem", "accepted", ""): 1,
        ("ReceiveStock", "accepted", ""): 1,
        ("ReceiveStock", "replayed", ""): 1,
        ("ReceiveStock", "refused", "ProductNotFoundError"): 2,
        ("ReceiveStock", "failed", "ZeroDivisionError"): 1,
    }
    kit.registered_product()
    metrics.flush()
    assert totals()["RegisterStockItem", "accepted", ""] == 2


def test_what_cant_be_written_is_kept_for_later(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(**_parameters: Any) -> Any:
        raise psycopg.OperationalError("gone")

    kit.registered_product()
    with monkeypatch.context() as outage:
        outage.setattr(psycopg, "connect", away)
        metrics.flush()
    kit.registered_product()
    assert not CommandTally.objects.exists()

    metrics.flush()

    assert totals() == {("RegisterStockItem", "accepted", ""): 2}


def test_a_child_counts_for_itself() -> None:
    kit.registered_product()
    child = os.fork()
    if child == 0:
        os._exit(len(metrics._counted))

    assert os.waitpid(child, 0)[1] == 0
    assert metrics._counted


def test_the_outcome_of_a_command_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "ordering_write.bus.bus"):
        [_registered, received] = kit.dispatch(
            RegisterStockItem(user_id=kit.USER, sku="A-1", name="Sample", on_hand=1)
        )
        with pytest.raises(ProductNotFoundError):
            receive(uuid7())

    accepted, refused = (line.fields for line in caplog.records)  # type: ignore[attr-defined]
    assert 0 < accepted.pop("seconds") < 60
    assert accepted == {
        "type": "RegisterStockItem",
        "outcome": "accepted",
        "reason": "",
        "event_id": received.recorded.event_id,
    }
    assert (refused["outcome"], refused["reason"]) == ("refused", "ProductNotFoundError")
    assert "Sample" not in caplog.text


def test_lines_within_a_command_name_it(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, str]] = []
    first = bus._record

    def record(command: Command) -> Any:
        seen.append(ids())
        return first(command)

    monkeypatch.setattr(bus, "_record", record)
    trace, command_id = uuid7(), uuid7()

    kit.registered_product()
    with pytest.raises(ProductNotFoundError):
        receive(uuid7(), command_id=command_id, correlation_id=trace)

    assert seen[0]["correlation_id"] == seen[0]["command_id"]
    assert seen[1] == {
        "command_id": str(command_id),
        "correlation_id": str(trace),
        "actor": f"user:{kit.USER}",
    }
    assert ids() == {}


def ids() -> dict[str, str]:
    from config.logs import _ids

    return dict(_ids.get())
