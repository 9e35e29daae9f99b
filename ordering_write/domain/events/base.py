"""The base of the events: how an event is stored and read, and its envelope."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from types import NoneType
from typing import Any, ClassVar, Self, get_args, get_origin
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, SkipValidation

from config.fields.names import check_name, is_test, taken
from ordering_write.domain.values import ERASED, Actor, Channel


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """The fields that the log adds to an event; the sequencer sets ``position`` later."""

    event_id: UUID
    stream: str
    version: int
    actor: Actor
    channel: Channel
    command_id: UUID
    correlation_id: UUID
    causation_id: UUID
    recorded_at: datetime
    position: int | None = None


# Returns the payload of the next schema version, a new mapping.
Upcaster = Callable[[Mapping[str, Any]], Mapping[str, Any]]


class UnknownSchemaVersionError(Exception):
    """The event was stored with a schema version that this code doesn't know."""


def _erased_fields(
    model: type[BaseModel], names: Iterable[str], *, also: Collection[str] = ()
) -> dict[str, Any]:
    """Return the values of the fields ``names`` that are required or in ``also``."""
    fields = {name: model.model_fields[name] for name in names}
    return {
        name: _erased_value(model, name, field.annotation)
        for name, field in fields.items()
        if field.is_required() or name in also
    }


def _erased_value(model: type[BaseModel], name: str, annotation: Any) -> Any:
    if NoneType in get_args(annotation):
        [annotation] = set(get_args(annotation)) - {NoneType}
    if annotation is str:
        return ERASED
    if get_origin(annotation) in (list, tuple, dict):
        return get_origin(annotation)()
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _erased_fields(annotation, annotation.model_fields)
    raise TypeError(
        f"{model.__name__}.{name} is personal: make it a text, or give it a default, which takes "
        "its place after an erasure."
    )


class DomainEvent(BaseModel):
    """The base of all events. The class name of a subclass is the type of its events.

    Classes defined with ``stored=False`` are bases of others and have no type. ``personal`` names
    the fields that an erasure deletes; all copies of them follow from these names.
    """

    # Each process builds the validators that it needs: all of them take half a second.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    schema_version: ClassVar[int] = 1
    # Upcasters by the schema version that they take: every version below schema_version.
    upcasters: ClassVar[Mapping[int, Upcaster]] = {}
    personal: ClassVar[frozenset[str]] = frozenset()
    # Personal fields with a default that read as erased all the same.
    shown_as_erased: ClassVar[frozenset[str]] = frozenset()
    # True if the event erases personal fields of its stream.
    erases: ClassVar[bool] = False
    types: ClassVar[dict[str, type["DomainEvent"]]] = {}

    timestamp: AwareDatetime
    envelope: SkipValidation[Envelope | None] = Field(default=None, exclude=True, repr=False)

    def __init_subclass__(cls, *, stored: bool = True, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if stored:
            name, module = cls.__name__, cls.__module__
            check_name("event type", name, module=module)
            other = DomainEvent.types.get(name)
            if other and other.__module__ != module and not is_test(module):
                raise taken("event type", name, other.__module__, module)
            DomainEvent.types[name] = cls

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        # Fails when the class is defined, and not when the first customer is erased.
        cls.erased_fields()

    @property
    def type(self) -> str:
        return type(self).__name__

    @property
    def recorded(self) -> Envelope:
        """The envelope of a saved event. Raises ValueError for an event that wasn't saved."""
        if self.envelope is None:
            raise ValueError(f"{self.type} has not been saved.")
        return self.envelope

    # The aggregate that raises an event adds to it without a copy, which would take longer than the
    # state machine. Nothing else has the event before the aggregate is saved.
    def describe(self, fields: Mapping[str, Any]) -> None:
        """Add ``fields`` about the state after the event, when an aggregate raises it."""
        self.__dict__.update(fields)
        self.__pydantic_fields_set__.update(fields)

    def record(self, envelope: Envelope) -> None:
        """Add the envelope when the aggregate that raised the event is saved."""
        self.__dict__["envelope"] = envelope

    @classmethod
    @cache
    def erased_fields(cls) -> dict[str, Any]:
        """Return the values that replace erased personal fields; a field with a default gets that.

        Raises TypeError for a personal field whose type has no place for ERASED.
        """
        return _erased_fields(cls, sorted(cls.personal), also=cls.shown_as_erased)

    def encode(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the payload as it is stored: the fields of the log, and the personal fields."""
        # A field that is None isn't stored: None is its default.
        fields = self.model_dump(mode="json", exclude={"timestamp"}, exclude_none=True)
        return fields, {name: fields.pop(name) for name in self.personal if name in fields}

    @classmethod
    def decode(
        cls,
        *,
        schema_version: int,
        timestamp: datetime,
        fields: Mapping[str, Any],
        personal: Mapping[str, Any] | None,
        envelope: Envelope | None = None,
    ) -> Self:
        """Return the stored event, its payload lifted to the current schema version.

        ``personal`` is None when it has been erased. Raises UnknownSchemaVersionError, pydantic's
        ValidationError for a payload that doesn't fit, and the errors of upcasters.
        """
        if not 1 <= schema_version <= cls.schema_version:
            raise UnknownSchemaVersionError(
                f"schema version {schema_version} is unknown, the newest is {cls.schema_version}"
            )
        payload = {**fields, **personal} if personal else fields
        for version in range(schema_version, cls.schema_version):
            payload = cls.upcasters[version](payload)
        erased = cls.erased_fields() if personal is None else {}
        return cls.model_validate(
            {**payload, **erased, "timestamp": timestamp, "envelope": envelope}
        )


class UndecodableEvent(DomainEvent, stored=False):
    """Replaces an event that this code can't read, so that the other events can be read."""

    stored_type: str
    reason: str

    @property
    def type(self) -> str:
        return self.stored_type
