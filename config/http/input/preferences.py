"""The header Prefer (RFC 7240): how long a client is ready to wait for its answer."""

from django.http import HttpRequest
from rest_framework.request import Request

HEADER = "Prefer"
# The answer carries this header if the service has waited.
APPLIED = "Preference-Applied"
MAX_WAIT_SECONDS = 10


def wait_seconds(request: HttpRequest | Request) -> int | None:
    """Return the first ``wait`` of Prefer, in seconds, at most MAX_WAIT_SECONDS; None without it.

    Other preferences and malformed values are ignored, as the RFC asks.
    """
    for preference in request.headers.get(HEADER, "").split(","):
        name, _, value = preference.partition(";")[0].partition("=")
        if name.strip().lower() == "wait":
            digits = value.strip().strip('"')
            if not (digits.isascii() and digits.isdigit()):
                return None
            # int() of a very long text is slow.
            return min(int(digits[:9]), MAX_WAIT_SECONDS)
    return None
