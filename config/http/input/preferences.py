"""What a client would like, by the header Prefer (RFC 7240)."""

from django.http import HttpRequest
from rest_framework.request import Request

HEADER = "Prefer"
APPLIED = "Preference-Applied"
# Nobody waits longer, whatever they ask for.
MAX_WAIT_SECONDS = 10


def wait_seconds(request: HttpRequest | Request) -> int | None:
    """How long the client would wait, at most MAX_WAIT_SECONDS; None when it doesn't say so.

    The first ``wait`` counts. What can't be understood is ignored, as the RFC asks for.
    """
    for preference in request.headers.get(HEADER, "").split(","):
        name, _, value = preference.partition(";")[0].partition("=")
        if name.strip().lower() == "wait":
            digits = value.strip().strip('"')
            if not (digits.isascii() and digits.isdigit()):
                return None
            # Short enough to be read at once.
            return min(int(digits[:9]), MAX_WAIT_SECONDS)
    return None
