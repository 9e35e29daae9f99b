"""Refusals of repeats, lost races and missing permissions."""

from datetime import datetime
from typing import Annotated, Any, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from ordering_write.domain.errors.base import DomainError


class IdempotencyKeyReusedError(DomainError):
    """This idempotency key was used for another command."""


class ReservedCommandIdError(DomainError):
    """Only the service gives commands with ids of this kind (UUID version 8)."""


class IdempotencyInFlightError(DomainError):
    """The first request with this idempotency key is still running; try again."""


class IdempotencyKeyExpiredError(DomainError):
    """The first request with this idempotency key took effect; its response is no longer stored."""


class EventSince(TypedDict):
    """An event that the client hasn't seen; customers don't see its actor."""

    type: str
    version: Annotated[int, Field(ge=0)]
    timestamp: datetime
    actor: NotRequired[dict[str, Any]]


class WebhookSignatureError(DomainError):
    """The signature of this webhook is missing, wrong or too old."""


class VersionConflictError(DomainError):
    """The resource has changed since the version that you expected."""

    class Members(TypedDict):
        current_version: Annotated[int, Field(ge=0)]
        events_since: Annotated[list[EventSince], Field(description="Later events of the stream.")]

    def __init__(self, *, stream: str, expected: int, current: int) -> None:
        # A negative version stands for an ETag that no version had.
        text = (
            f"You expected version {expected}, but it is at version {current}."
            if expected >= 0
            else f"Your tag names no version of this resource, which is at version {current}."
        )
        super().__init__(text)
        self.stream = stream
        self.expected = expected
        self.current = current
        # The API fills it in, with what the client may see.
        self.events_since: list[EventSince] = []

    def members(self) -> Members:
        return {"current_version": self.current, "events_since": self.events_since}


class ConcurrentUpdateError(DomainError):
    """Too many changes at once; try again."""


class NotPermittedError(DomainError):
    """You don't have the permission that this command needs."""

    class Members(TypedDict):
        needed_permission: str

    def __init__(self, permission: str) -> None:
        super().__init__(f"This needs the permission {permission}.")
        self.permission = permission

    def members(self) -> Members:
        return {"needed_permission": self.permission}
