"""The token of a command: it names the last event of it, so that a read can wait for that."""

from uuid import UUID

from django.core.signing import BadSignature, Signer
from django.http import HttpRequest
from rest_framework.request import Request

from config.http.errors import ParameterError

# The header in which commands give it and reads take it.
HEADER = "Consistency-Token"


def token_of(event_id: UUID) -> str:
    """The token that names an event."""
    return _signer().sign(event_id.hex)


def awaited_event(request: HttpRequest | Request) -> UUID | None:
    """The event that the token of ``request`` names; None without one.

    Raises ParameterError for a token that isn't ours.
    """
    token = request.headers.get(HEADER)
    if token is None:
        return None
    try:
        return event_of(token)
    except ValueError:
        raise ParameterError(
            HEADER, f"A {HEADER} is sent as a command has answered it, and nothing else."
        ) from None


def event_of(token: str) -> UUID:
    """The event that ``token`` names. Raises ValueError when it isn't ours."""
    try:
        return UUID(_signer().unsign(token))
    except BadSignature as error:
        raise ValueError(str(error)) from error


def _signer() -> Signer:
    # Signed, so that nobody can ask for events by guessing their ids.
    return Signer(salt="consistency-token", sep=".")
