"""The base of the commands: the envelope that we add to what people ask for."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from uuid_utils.compat import uuid7

from config.fields.text import Text
from ordering_write.domain.values import Actor, Channel

Reason = Annotated[
    str,
    Text(max_length=500, lines=True),
    Field(examples=["The customer changed their mind"]),
]
# What makes a text easy to leave out: empty says the same as nothing.
OptionalText = Annotated[str, Text(max_length=200, min_length=0)]


# When a fact became true, which may be earlier than when we are told.
Happened = AwareDatetime


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


class Command(BaseModel):
    """The base of all commands: its fields are the envelope, those of a subclass the payload.

    ``command_id`` is also the idempotency key. ``timestamp`` is when it was asked for (UTC).
    ``customer_scope`` is the one customer whose things the command may touch, None for all.
    ``powers`` are the rights beyond the command's own that a rule asks for (see ``Power``), None
    for all of them. The defaults belong to whoever makes a command by hand; no rule reads a clock.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    # The right that it needs, for commands that stand for more than one it depends on the payload.
    permissions: ClassVar[dict[str, str]] = {}
    # Whether over HTTP it must say which version it was decided on: edits overwrite what they
    # don't know otherwise.
    needs_expected_version: ClassVar[bool] = False

    command_id: UUID = Field(default_factory=uuid7)
    timestamp: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC))
    user_id: UUID
    actor: Actor | None = None
    channel: Channel = "python"
    correlation_id: UUID | None = None
    causation_id: UUID | None = None
    expected_version: int | None = None
    customer_scope: UUID | None = None
    powers: frozenset[str] | None = None

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if "permissions" not in cls.__dict__:
            name = _snake(cls.__name__)
            cls.permissions = {name: f"Can {name.replace('_', ' ')}"}

    @property
    def by(self) -> Actor:
        """Who asks."""
        return self.actor or Actor.user(self.user_id)

    def may(self, power: str) -> bool:
        """Whether who asks has ``power``."""
        return self.powers is None or power in self.powers

    def needed_permission(self) -> str:
        """The permission that this very command needs, as Django writes it."""
        return f"ordering_write.{next(iter(self.permissions))}"

    def payload(self) -> dict[str, Any]:
        """What the caller asked for, without who, when and by which key; JSON types only."""
        return self.model_dump(mode="json", exclude=set(Command.model_fields))


class Power:
    """Rights beyond that of giving a command, as permissions of this app."""

    # Whoever has neither pays the list price.
    ANY_PRICE = "take_any_price"
    OVERRIDE_PRICE = "override_price"
    # Without it a refund is at most REFUND_LIMITS.
    ANY_REFUND = "refund_any_amount"

    LABELS = {
        ANY_PRICE: "Can order at any price",
        OVERRIDE_PRICE: "Can order at another price than the list's, with a reason",
        ANY_REFUND: "Can refund any amount",
    }
