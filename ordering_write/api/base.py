"""What every command endpoint does: body to command, command to bus, outcome to answer."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, cast
from uuid import UUID, uuid5

from django.conf import settings
from drf_spectacular.utils import OpenApiParameter
from pydantic import BaseModel
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response

from config.accounts.models import User
from config.http.errors import IdempotencyKeyMissingError, PreconditionRequiredError
from config.http.input import consistency
from config.http.input.idempotency import REPLAYED, idempotency_key
from config.http.input.preconditions import if_match
from config.http.input.query import Parameters, parse_query
from config.http.views import ApiViewSet
from ordering_write import client
from ordering_write.api import headers
from ordering_write.api.bodies import RecordedEvent, body_of
from ordering_write.bus import NotYetVisibleError, Outcome
from ordering_write.bus.permissions import envelope
from ordering_write.bus.preview import Preview
from ordering_write.domain.commands import Command
from ordering_write.domain.errors import EventSince, VersionConflictError
from ordering_write.models import OutboxEvent

# How long a page waits, so that the person who clicked sees the effect.
_PAGE_WAIT_SECONDS = 2.0
# Of what has happened since the version that a client knows, it is told so many events.
_MOST_EVENTS_SINCE = 100


class CommandParameters(Parameters):
    """The query parameters of every command."""

    dry_run: Literal["true"] | None = None


class Answer(BaseModel):
    """What a client is told about a command."""

    status: int
    headers: dict[str, str]
    body: dict[str, Any]


class CommandEndpoint(ApiViewSet):
    """Mixed into the viewset whose unsafe methods give commands."""

    # What they answer with ?dry_run=true, for the OpenAPI document and the browsable pages.
    dry_run_body = Preview
    command_statuses = frozenset({"409", "412", "428", "500"})

    def give(
        self,
        request: Request,
        command_type: type[Command],
        tell: Callable[[Outcome], Answer],
        **in_path: UUID,
    ) -> Response:
        """Give the command that ``request`` asks for, or with ``?dry_run=true`` a preview of it.

        ``in_path`` are the fields in its path. ``tell`` makes the answer, by ``answer``, of the
        events alone: it is kept with the command, so that a repeat is told the same.

        Raises pydantic.ValidationError for a body that doesn't fit, PreconditionRequiredError,
        IdempotencyKeyMissingError, ParameterError, and what the bus raises.
        """
        # Only users with the permission get here (HasNeededPermission), and they are logged in.
        user = cast(User, request.user)
        is_dry_run = parse_query(request, CommandParameters).dry_run is not None
        key = idempotency_key(request)
        if key is None and command_type.__name__ in settings.IDEMPOTENCY_KEY_REQUIRED:
            raise IdempotencyKeyMissingError
        command = self._command(request, command_type, user, key, in_path)
        try:
            if is_dry_run:
                return Response(client.preview(command, user=user).model_dump())
            return self._dispatched(request, command, user, tell, has_key=key is not None)
        except VersionConflictError as error:
            error.events_since = _events_since(error, with_actors=command.customer_scope is None)
            raise

    def _command(
        self,
        request: Request,
        command_type: type[Command],
        user: User,
        key: str | None,
        in_path: Mapping[str, UUID],
    ) -> Command:
        body = body_of(command_type, tuple(in_path)).model_validate(request.data)
        known: dict[str, Any] = {name: getattr(body, name) for name in body.model_fields_set}
        if key is not None:
            known["command_id"] = uuid5(user.id, key)
        # A part of the path may be left out; where all of it is, something new is asked for.
        is_new = not any(in_path.values())
        return command_type(
            **known,
            **in_path,
            **envelope(user, channel="api"),
            expected_version=_expected_version(request, command_type, is_new=is_new),
            correlation_id=request.correlation_id,  # type: ignore[attr-defined]
        )

    def documented_headers(self, method: str) -> Sequence[OpenApiParameter]:
        """The headers of this action, for the OpenAPI document."""
        # The class that this one is mixed into has the safe methods.
        return super().documented_headers(method) if method in SAFE_METHODS else headers.DOCUMENTED

    def _dispatched(
        self,
        request: Request,
        command: Command,
        user: User,
        tell: Callable[[Outcome], Answer],
        *,
        has_key: bool,
    ) -> Response:
        for_a_person = request.accepted_renderer.format == "api"
        try:
            outcome = client.dispatch(
                command,
                user=user,
                answering=(lambda outcome: tell(outcome).model_dump_json()) if has_key else None,
                wait_for=() if for_a_person else None,
                timeout=_PAGE_WAIT_SECONDS,
            )
        except NotYetVisibleError as error:
            # It was accepted; the page shows it a moment later.
            outcome = error.events
        told = Answer.model_validate_json(outcome.answer) if outcome.answer else tell(outcome)
        replayed = {REPLAYED: "true"} if outcome.replayed else {}
        return Response(told.body, status=told.status, headers={**told.headers, **replayed})


def answer(
    body: dict[str, Any], outcome: Outcome, *, status: int = 200, location: str = ""
) -> Answer:
    """The answer that says what a command did."""
    known = {}
    if outcome:
        known[consistency.HEADER] = consistency.token_of(outcome[-1].recorded.event_id)
    if location:
        known["Location"] = location
    return Answer(status=status, headers=known, body=body)


def _expected_version(request: Request, command_type: type[Command], *, is_new: bool) -> int | None:
    """The version that the command was decided on, None for any."""
    expected = if_match(request)
    if expected is None and command_type.needs_expected_version:
        raise PreconditionRequiredError
    if expected is None or expected.version is None:
        return None
    if is_new:
        # What doesn't exist yet has no version that anybody could have seen.
        raise VersionConflictError(stream="", expected=expected.version, current=0)
    return expected.version


def _events_since(error: VersionConflictError, *, with_actors: bool) -> list[EventSince]:
    events = OutboxEvent.objects.filter(stream=error.stream, version__gt=error.expected)
    names = ["type", "version", "timestamp", *(["actor"] if with_actors else [])]
    rows = events.order_by("version").values(*names)[:_MOST_EVENTS_SINCE]
    return cast(list[EventSince], list(rows))


def recorded(outcome: Outcome, stream: str) -> list[dict[str, Any]]:
    """The events of ``stream`` in ``outcome``, as answers list them."""
    return [
        RecordedEvent(
            type=event.type, version=event.recorded.version, event_id=event.recorded.event_id
        ).model_dump()
        for event in outcome
        if event.recorded.stream == stream
    ]
