"""A WSGI wrapper that brings requests into a form that Django accepts."""

import contextlib
import io
from collections.abc import Callable, Iterable, Mapping
from typing import IO, Any

from django.conf import settings
from django.utils.http import parse_header_parameters

# A type that no parser reads, so that the request is refused.
_UNREADABLE_TYPE = "application/octet-stream"
# The most bytes of an unread body that are read and thrown away.
_DISCARDED_BYTES = 10_000_000

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def is_utf_8(parameters: Mapping[str, str]) -> bool:
    """Return True if the parameters of a content type name UTF-8 as the charset, or no charset."""
    return parameters.get("charset", "utf-8").lower() in ("utf-8", "utf8")


class RequestNormaliser:
    """Wraps Django's WSGI application: ``application = RequestNormaliser(get_wsgi_application())``.

    The wrapper prevents three failures of Django under WSGI servers:

    * Some content types cause a 500 before any middleware runs, because Django parses the content
      type, and decodes the query by its charset, while it creates the request.
    * Django takes a body without Content-Length (Transfer-Encoding: chunked) for empty.
    * If a refusal leaves a part of the body unread, the server closes the connection, and the
      client's next request on the connection is lost.
    """

    def __init__(self, application: Application) -> None:
        self.application = application

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        environ["CONTENT_TYPE"] = _content_type(environ.get("CONTENT_TYPE", ""))
        body, is_terminated = environ["wsgi.input"], environ.get("wsgi.input_terminated")
        if "HTTP_TRANSFER_ENCODING" in environ and is_terminated:
            _read_chunks(environ)
        answer = self.application(environ, start_response)
        if is_terminated:
            _discard_rest(body)
        return answer


class _BrokenBody(io.BytesIO):
    def read(self, size: int | None = -1, /) -> bytes:
        raise OSError("The body ended early.")


def _content_type(header: str) -> str:
    try:
        media_type, parameters = parse_header_parameters(header)
    except ValueError:
        return _UNREADABLE_TYPE
    if "charset" not in parameters:
        return header
    return media_type if is_utf_8(parameters) else _UNREADABLE_TYPE


def _read_chunks(environ: dict[str, Any]) -> None:
    # Read one byte more than the limit, so that Django refuses a longer body.
    try:
        body = environ["wsgi.input"].read(settings.MAX_BODY_BYTES + 1)
    except OSError:
        environ["wsgi.input"], environ["CONTENT_LENGTH"] = _BrokenBody(), "1"
    else:
        environ["wsgi.input"], environ["CONTENT_LENGTH"] = io.BytesIO(body), str(len(body))


def _discard_rest(body: IO[bytes]) -> None:
    remaining = _DISCARDED_BYTES
    with contextlib.suppress(OSError):
        while remaining > 0 and (piece := body.read(65_536)):
            remaining -= len(piece)
