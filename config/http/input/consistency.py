"""The consistency token: names the last event of a command, so that a read can wait for it."""

from uuid import UUID

from django.core.signing import BadSignature, Signer
from django.http import HttpRequest
from rest_framework.request import Request

from config.http.errors import ParameterError

# The response to a command and the request of a read carry the token in this header.
HEADER = "Consistency-Token"


def token_of(event_id: UUID) -> str:
    """Return the token that names an event."""
    return _signer().sign(event_id.hex)


def event_of(token: str) -> UUID:
    """Return the id of the event that ``token`` names. Raises ValueError for a foreign token."""
    try:
        return UUID(_signer().unsign(token))
    except BadSignature as error:
        raise ValueError(str(error)) from error


def awaited_event(request: HttpRequest | Request) -> UUID | None:
    """Return the id of the event that the token of ``request`` names; None without a token.

    Raises ParameterError for a token that the service hasn't signed.
    """
    token = request.headers.get(HEADER)
    if token is None:
        return None
    try:
        return event_of(token)
    except ValueError:
        raise ParameterError(
            HEADER, f"Send the {HEADER} unchanged, as a command has answered it."
        ) from None


def _signer() -> Signer:
    # Signed, so that nobody can ask for events by guessing their ids.
    return Signer(salt="consistency-token", sep=".")
