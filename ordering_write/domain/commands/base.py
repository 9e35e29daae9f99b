"""The base of the commands: the envelope that we add to a caller's payload."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, ClassVar
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError
from uuid_utils.compat import uuid7

from config.fields.text import Text
from ordering_write.domain import values
from ordering_write.domain.values import Actor, Channel

Reason = Annotated[
    str,
    Text(max_length=500, lines=True),
    Field(examples=["The customer changed their mind"]),
]
# A text that may be empty, which means the same as leaving it out.
OptionalText = Annotated[str, Text(max_length=200, min_length=0)]
# The latest time of a plan, within Python's range in every time zone.
LATEST = datetime(2100, 1, 1, tzinfo=UTC)
# The earliest time of a fact. It also keeps conversions of time zones within Python's range.
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
# The earliest time of a fact of an imported order, for the same reason.
EARLIEST_IMPORTED = datetime(1970, 1, 1, tzinfo=UTC)
# The offset of the place that is furthest from UTC.
LARGEST_OFFSET = timedelta(hours=14)
_ISO_TIME = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)", re.ASCII | re.IGNORECASE
)

# Shops mark fields of their own commands by these names.
ADDED = values.ADDED
ADDED_TRUE = values.ADDED_TRUE


def _iso_time(value: Any) -> Any:
    # Checked here, because pydantic would also accept a number of seconds.
    if isinstance(value, datetime) or (isinstance(value, str) and _ISO_TIME.fullmatch(value)):
        return value
    raise PydanticCustomError(
        "time", "A time is written with its offset, such as 2026-03-01T12:00:00Z"
    )


def _usable_offset(time: datetime) -> datetime:
    # PostgreSQL refuses offsets from 16 hours on.
    if abs(time.utcoffset() or timedelta()) > LARGEST_OFFSET:
        raise PydanticCustomError("time", "A time differs from UTC by at most 14 hours")
    return time


def _not_before(earliest: datetime) -> AfterValidator:
    def check(time: datetime) -> datetime:
        if time < earliest:
            raise PydanticCustomError(
                "time", "A time is not earlier than the year {year}", {"year": earliest.year}
            )
        return time

    return AfterValidator(check)


def _not_too_late(time: datetime) -> datetime:
    if time > LATEST:
        raise PydanticCustomError("time", "A time is not later than the year 2099")
    return time


_Time = Annotated[AwareDatetime, BeforeValidator(_iso_time), AfterValidator(_usable_offset)]
# The time of a fact, which may be earlier than the command that records the fact.
FactTime = Annotated[_Time, _not_before(EARLIEST)]
# The time of a fact of an imported order.
PastTime = Annotated[
    _Time, _not_before(EARLIEST_IMPORTED), Field(examples=["2024-03-01T10:00:00+01:00"])
]
# The time of a plan, which is later than the command that makes the plan.
PlannedTime = Annotated[FactTime, AfterValidator(_not_too_late)]


# The user of a command that a program gives without a user.
NOBODY = UUID(int=0)
_PROGRAM = Actor(type="cli", id="python", label="a program")


class Command(BaseModel):
    """The base of all commands: its own fields are the envelope, those of a subclass the payload.

    ``command_id`` is also the idempotency key. ``timestamp`` is when the command was given (UTC).
    ``customer_scope`` is the one customer whose things the command may touch, None for all.
    ``privileges`` are the rights that single rules ask for (see ``Privilege``), None for all of
    them. The defaults are for commands made by hand. Rules take the time from ``timestamp``.
    """

    # Each process builds the validators that it needs: all of them take half a second.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    # True if HTTP clients must send the version that they saw, so that they can't overwrite changes
    # that they haven't seen.
    needs_expected_version: ClassVar[bool] = False

    command_id: UUID = Field(default_factory=uuid7)
    timestamp: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC))
    user_id: UUID = NOBODY
    actor: Actor | None = None
    channel: Channel = "python"
    correlation_id: UUID | None = None
    causation_id: UUID | None = None
    expected_version: int | None = None
    customer_scope: UUID | None = None
    privileges: frozenset[str] | None = None

    @property
    def by(self) -> Actor:
        """The actor who gives the command; a program if it names no user."""
        if self.actor is None and self.user_id == NOBODY:
            return _PROGRAM
        return self.actor or Actor.user(self.user_id)

    def has_privilege(self, privilege: str) -> bool:
        """Return True if the actor has ``privilege``."""
        return self.privileges is None or privilege in self.privileges

    def payload(self) -> dict[str, Any]:
        """Return the fields that the caller gave, without the envelope, in JSON types."""
        return self.model_dump(mode="json", exclude=set(Command.model_fields))


class Privilege:
    """Rights that single rules ask for, beyond the permission of the command."""

    # A user with neither of these two pays the list price.
    ANY_PRICE = "take_any_price"
    OVERRIDE_PRICE = "override_price"
    # A user without this right can refund at most REFUND_LIMITS of an order.
    ANY_REFUND = "refund_any_amount"
    # A user without this right is bound by MAX_OPEN_ORDERS and MAX_OPEN_UNITS.
    ANY_VOLUME = "order_any_volume"

    LABELS = {
        ANY_PRICE: "Can order at any price",
        OVERRIDE_PRICE: "Can order at another price than the list's, with a reason",
        ANY_REFUND: "Can refund any amount",
        ANY_VOLUME: "Can order beyond the limits of a customer's open orders and units",
    }
