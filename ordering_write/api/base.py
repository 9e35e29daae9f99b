"""The base of the command endpoints: a request becomes a command, its outcome a response."""

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
from ordering_write.bus import CommandResult, NotYetVisibleError, refusals
from ordering_write.bus.permissions import envelope
from ordering_write.bus.preview import Preview
from ordering_write.domain.commands import Command
from ordering_write.domain.errors import EventSince, VersionConflictError
from ordering_write.log import feed

# The time for which a browsable page waits, so that the person who clicked sees the effect.
_PAGE_WAIT_SECONDS = 2.0
# Most events that a version conflict lists.
_MAX_EVENTS_SINCE = 100


class CommandParameters(Parameters):
    """The query parameters of every command. ``dry_run`` asks for what is at /preview too."""

    dry_run: Literal["true"] | None = None


class StoredResponse(BaseModel):
    """The response to a command. It is stored with the command, and a repeat gets it again."""

    status: int
    headers: dict[str, str]
    body: dict[str, Any]


class CommandEndpoint(ApiViewSet):
    """The base of viewsets whose unsafe methods dispatch commands."""

    dry_run_body = Preview
    # True at the addresses that end with /preview.
    is_preview = False
    command_statuses = frozenset({"409", "412", "428", "500"})

    def dispatch_command(
        self,
        request: Request,
        command_type: type[Command],
        respond: Callable[[CommandResult], StoredResponse],
        **path_fields: UUID,
    ) -> Response:
        """Dispatch the command of ``request``, or return its preview if it asks for one.

        ``path_fields`` are the fields of the command that the path holds. ``respond`` builds the
        response from the result alone, because it is stored for repeats.

        Raises pydantic.ValidationError for a body that doesn't fit, PreconditionRequiredError,
        IdempotencyKeyMissingError, ParameterError, and the errors of the bus.
        """
        # HasNeededPermission has let the user in, so there is one.
        user = cast(User, request.user)
        is_dry_run = self._is_dry_run(request)
        key = None if self.is_preview else idempotency_key(request)
        needs_key = command_type.__name__ in settings.IDEMPOTENCY_KEY_REQUIRED
        if key is None and needs_key and not self.is_preview:
            raise IdempotencyKeyMissingError
        command = self._command(request, command_type, user, key, path_fields)
        try:
            if is_dry_run:
                return Response(client.preview(command, user=user).model_dump())
            return self._response(request, command, user, respond, has_key=key is not None)
        except VersionConflictError as error:
            error.events_since = _events_since(error, with_actors=command.customer_scope is None)
            raise

    def _is_dry_run(self, request: Request) -> bool:
        if self.is_preview:
            parse_query(request, Parameters)
            return True
        return parse_query(request, CommandParameters).dry_run is not None

    def _command(
        self,
        request: Request,
        command_type: type[Command],
        user: User,
        key: str | None,
        path_fields: Mapping[str, UUID],
    ) -> Command:
        body = body_of(command_type, tuple(path_fields)).model_validate(request.data)
        fields: dict[str, Any] = {name: getattr(body, name) for name in body.model_fields_set}
        if key is not None:
            # A key has no spaces. Imports and forms derive their ids from names with a space.
            fields["command_id"] = uuid5(user.id, key)
        # Fields that a route excludes are None. A path without an id makes something new.
        makes_new = not any(path_fields.values())
        return command_type(
            **fields,
            **path_fields,
            **envelope(user, channel="api"),
            expected_version=_expected_version(request, command_type, makes_new=makes_new),
            correlation_id=request.correlation_id,  # type: ignore[attr-defined]
        )

    def keep_refusal(
        self, request: Request, command_type: type[Command], stream: str, error: Exception
    ) -> None:
        """Keep the refusal of a request whose user may not give commands of this type."""
        by = envelope(cast(User, request.user), channel="api")
        attempt = refusals.Attempt(
            type=command_type,
            user_id=by["user_id"],
            actor=by["actor"],
            channel="api",
            stream=stream,
            correlation_id=request.correlation_id,  # type: ignore[attr-defined]
        )
        refusals.keep(attempt, error)

    def documented_headers(self, method: str) -> Sequence[OpenApiParameter]:
        # For the safe methods, `super` is the read viewset that this class is mixed into.
        read_headers = super().documented_headers(method)
        return read_headers if method in SAFE_METHODS else headers.DOCUMENTED

    def _response(
        self,
        request: Request,
        command: Command,
        user: User,
        respond: Callable[[CommandResult], StoredResponse],
        *,
        has_key: bool,
    ) -> Response:
        is_page = request.accepted_renderer.format == "api"

        def record_response(result: CommandResult) -> str:
            return respond(result).model_dump_json()

        try:
            result = client.dispatch(
                command,
                user=user,
                record_response=record_response if has_key else None,
                wait_for=() if is_page else None,
                timeout=_PAGE_WAIT_SECONDS,
            )
        except NotYetVisibleError as error:
            # The command was accepted; the page shows its effect a moment later.
            result = error.result
        if result.stored_response:
            response = StoredResponse.model_validate_json(result.stored_response)
        else:
            response = respond(result)
        replayed = {REPLAYED: "true"} if result.replayed else {}
        return Response(
            response.body, status=response.status, headers={**response.headers, **replayed}
        )


def response_of(
    body: dict[str, Any], result: CommandResult, *, status: int = 200, location: str = ""
) -> StoredResponse:
    """Return the response with ``body``, the consistency token of ``result`` and a Location."""
    headers = {}
    if result:
        headers[consistency.HEADER] = consistency.token_of(result[-1].recorded.event_id)
    if location:
        headers["Location"] = location
    return StoredResponse(status=status, headers=headers, body=body)


def _expected_version(
    request: Request, command_type: type[Command], *, makes_new: bool
) -> int | None:
    """Return the version that the client saw, from If-Match; None accepts every version."""
    expected = if_match(request)
    if expected is None and command_type.needs_expected_version:
        raise PreconditionRequiredError
    if expected is None or expected.version is None:
        return None
    if makes_new:
        # The client can't have seen a version of something that doesn't exist yet.
        raise VersionConflictError(stream="", expected=expected.version, current=0)
    return expected.version


def _events_since(error: VersionConflictError, *, with_actors: bool) -> list[EventSince]:
    names = ["type", "version", "timestamp", *(["actor"] if with_actors else [])]
    events = feed.read_stream(error.stream, after=error.expected, limit=_MAX_EVENTS_SINCE)
    return [cast(EventSince, {name: getattr(event, name) for name in names}) for event in events]


def recorded_events(result: CommandResult, stream: str) -> list[dict[str, Any]]:
    """Return the events of ``stream`` in ``result``, as responses list them."""
    return [
        RecordedEvent(
            type=event.type, version=event.recorded.version, event_id=event.recorded.event_id
        ).model_dump()
        for event in result
        if event.recorded.stream == stream
    ]
