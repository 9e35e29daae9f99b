"""The base of the events, how one is stored and read again, and the envelope round it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Self
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, SkipValidation

from ordering_write.domain.values import Actor, Channel


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What the log knows about an event beside the event itself. ``position`` is None until the
    sequencer has given one."""

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


# Makes of the payload of one schema version that of the next: a new mapping, the old one unchanged.
Upcaster = Callable[[Mapping[str, Any]], Mapping[str, Any]]


class UnknownSchemaVersionError(Exception):
    """An event was stored with a schema version that this code doesn't know."""


class DomainEvent(BaseModel):
    """The base of all events. Subclasses are found by their class name, which is their type; not
    those that are defined with ``stored=False``, since no event of exactly these is ever stored."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: ClassVar[int] = 1
    # By the version that each one begins with: 1, 2 and so on up to the one before schema_version.
    upcasters: ClassVar[Mapping[int, Upcaster]] = {}
    personal: ClassVar[frozenset[str]] = frozenset()
    # Whether personal fields of its stream were erased with it.
    erases: ClassVar[bool] = False
    types: ClassVar[dict[str, type["DomainEvent"]]] = {}

    timestamp: AwareDatetime
    envelope: SkipValidation[Envelope | None] = Field(default=None, exclude=True, repr=False)

    def __init_subclass__(cls, *, stored: bool = True, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if stored:
            DomainEvent.types[cls.__name__] = cls

    @property
    def type(self) -> str:
        return type(self).__name__

    @property
    def recorded(self) -> Envelope:
        """The envelope of an event that was saved; an error for one that wasn't."""
        if self.envelope is None:
            raise ValueError(f"{self.type} has not been saved.")
        return self.envelope

    @classmethod
    def erased_fields(cls) -> dict[str, Any]:
        """What stands for the personal fields once they have been erased."""
        return {}

    def encode(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Its payload as it is stored: the fields for the log, and the personal ones beside it."""
        # exclude_none keeps a payload to what the event says; what it doesn't say has a default.
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
        """The event that was stored with this ``schema_version``, as the present one tells it.

        ``personal`` is None when it has been erased. Raises UnknownSchemaVersionError, pydantic's
        ValidationError when the payload isn't one of this event, and what an upcaster raises.
        """
        if not 1 <= schema_version <= cls.schema_version:
            raise UnknownSchemaVersionError(
                f"schema version {schema_version} is unknown, the newest is {cls.schema_version}"
            )
        payload = {**fields, **personal} if personal else fields
        for version in range(schema_version, cls.schema_version):
            payload = cls.upcasters[version](payload)
        beside = cls.erased_fields() if personal is None else {}
        return cls.model_validate(
            {**payload, **beside, "timestamp": timestamp, "envelope": envelope}
        )


class UndecodableEvent(DomainEvent, stored=False):
    """Stands for an event of the log that this code can't read, so that the others still can be."""

    stored_type: str
    reason: str

    @property
    def type(self) -> str:
        return self.stored_type
