"""The header Idempotency-Key: makes it safe to repeat a command."""

import re

from rest_framework.request import Request

from config.http.errors import ParameterError
from config.http.input.parsers import form_of

HEADER = "Idempotency-Key"
# The answer to a repeat carries this header.
REPLAYED = "Idempotency-Replayed"
# The form field of the browsable pages that stands for the header.
FORM_FIELD = "_idempotency_key"

_KEY = re.compile(r'"([!#-~]{1,200})"|([!#-~]{1,200})')


def idempotency_key(request: Request) -> str | None:
    """Return the key of ``request``, from its header or its form; None without a key.

    Raises ParameterError unless the key is 1 to 200 visible ASCII characters, quoted or not.
    """
    text = request.headers.get(HEADER) or form_of(request).get(FORM_FIELD)
    if not text:
        return None
    match = _KEY.fullmatch(text)
    if match is None:
        raise ParameterError(HEADER, "An Idempotency-Key is 1 to 200 visible ASCII characters.")
    return match[1] or match[2]
