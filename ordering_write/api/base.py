"""What every command endpoint does: body to command, command to bus, outcome to answer."""

from typing import Any, cast
from uuid import UUID, uuid5

from rest_framework.request import Request
from rest_framework.response import Response

from config.accounts.models import User
from config.http import consistency
from config.http.parsers import idempotency_key
from ordering_write import client
from ordering_write.api.bodies import RecordedEvent, body_of
from ordering_write.bus import NotYetVisibleError, Outcome
from ordering_write.domain.commands import Command
from ordering_write.permissions import envelope

# How long a page waits, so that the person who clicked sees the effect.
_PAGE_WAITS_SECONDS = 2.0


class CommandEndpoint:
    """Mixed into the viewset whose unsafe methods give commands."""

    def give(self, request: Request, command_type: type[Command], **in_path: UUID) -> Outcome:
        """Give the command that ``request`` asks for; ``in_path`` are the fields in its path.

        Raises pydantic.ValidationError for a body that doesn't fit, and what the bus raises.
        """
        # Only users with the permission get here (HasNeededPermission), and they are logged in.
        user = cast(User, request.user)
        body = body_of(command_type, tuple(in_path)).model_validate(request.data)
        known: dict[str, Any] = {name: getattr(body, name) for name in body.model_fields_set}
        key = idempotency_key(request)
        if key is not None:
            known["command_id"] = uuid5(user.id, key)
        command = command_type(
            **known,
            **in_path,
            **envelope(user, channel="api"),
            correlation_id=request.correlation_id,  # type: ignore[attr-defined]
        )
        return self._dispatched(request, command, user)

    def _dispatched(self, request: Request, command: Command, user: User) -> Outcome:
        for_a_person = request.accepted_renderer.format == "api"
        try:
            return client.dispatch(
                command,
                user=user,
                wait_for=() if for_a_person else None,
                timeout=_PAGE_WAITS_SECONDS,
            )
        except NotYetVisibleError as error:
            # It was accepted; the page shows it a moment later.
            return error.events


def answer(
    body: dict[str, Any], outcome: Outcome, *, status: int = 200, location: str = ""
) -> Response:
    """The answer that says what a command did."""
    headers = {}
    if outcome:
        headers[consistency.HEADER] = consistency.token_of(outcome[-1].recorded.event_id)
    if location:
        headers["Location"] = location
    if outcome.replayed:
        headers["Idempotency-Replayed"] = "true"
    return Response(body, status=status, headers=headers)


def recorded(outcome: Outcome, stream: str) -> list[dict[str, Any]]:
    """The events of ``stream`` in ``outcome``, as answers list them."""
    return [
        RecordedEvent(
            type=event.type, version=event.recorded.version, event_id=event.recorded.event_id
        ).model_dump()
        for event in outcome
        if event.recorded.stream == stream
    ]
