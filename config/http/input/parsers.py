"""Bodies of requests: strict JSON from programs, the same JSON in a form field from browsers."""

from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import QueryDict
from django.utils.http import parse_header_parameters
from rest_framework.exceptions import ParseError, UnsupportedMediaType
from rest_framework.parsers import BaseParser, JSONParser
from rest_framework.request import Request

from config.http.authentication import SessionAuthentication
from config.http.input import strict_json
from config.http.input.normaliser import is_utf_8

# The form field of the browsable pages that holds the body.
BODY_FIELD = "_content"


class StrictJSONParser(JSONParser):
    """Reads application/json of at most MAX_BODY_BYTES in UTF-8; see ``strict_json.loads``."""

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        if not is_utf_8(parse_header_parameters(media_type or "")[1]):
            raise UnsupportedMediaType(media_type or "")
        body = stream.read(settings.MAX_BODY_BYTES + 1)
        if len(body) > settings.MAX_BODY_BYTES:
            raise RequestDataTooBig
        request: Request = (parser_context or {})["request"]
        if len(body) < int(request.META.get("CONTENT_LENGTH") or 0):
            raise ParseError("The body ended before the length that it announced.")
        return strict_json.loads(body)


class BrowserFormParser(BaseParser):
    """Reads the JSON that a person typed into a form of a browsable page.

    Raises UnsupportedMediaType for a form that doesn't come from a browser session.
    """

    media_type = "application/x-www-form-urlencoded"

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        request: Request = (parser_context or {})["request"]
        text = form_of(request).get(BODY_FIELD)
        if text is None or not isinstance(request.successful_authenticator, SessionAuthentication):
            raise UnsupportedMediaType(media_type or "")
        return strict_json.loads(text.encode("utf-8", "surrogatepass"))


def typed_text(request: Request) -> str:
    """Return the JSON text that a person typed into the form of ``request``; empty without form."""
    return form_of(request).get(BODY_FIELD) or ""


def form_of(request: Request) -> QueryDict:
    """Return the fields of the form that ``request`` sends; empty without a form."""
    is_form = request.content_type.partition(";")[0].strip().lower() == BrowserFormParser.media_type
    return QueryDict(request.body if is_form else b"")
