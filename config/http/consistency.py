"""The token of a command: it names the last event of it, so that a read can wait for that."""

from uuid import UUID

from django.core.signing import BadSignature, Signer
from django.http import HttpRequest
from rest_framework.request import Request

from config.http.errors import ParameterError

# The header in which commands give it and reads take it.
TOKEN = "Consistency-Token"


def token_of(event_id: UUID) -> str:
    """The token that names an event."""
    return _signer().sign(event_id.hex)


def awaited_event(request: HttpRequest | Request) -> UUID | None:
    """The event that the token of ``request`` names; None without one.

    Raises ParameterError for a token that isn't ours.
    """
    token = request.headers.get(TOKEN)
    if token is None:
        return None
    try:
        return UUID(_signer().unsign(token))
    except (BadSignature, ValueError):
        raise ParameterError(
            TOKEN, f"A {TOKEN} is sent as a command has answered it, and nothing else."
        ) from None


def _signer() -> Signer:
    # Signed, so that nobody can ask for events by guessing their ids.
    return Signer(salt="consistency-token", sep=".")
