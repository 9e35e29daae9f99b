"""What Django can't take in is put right in front of it: odd content types, bodies in chunks."""

import contextlib
import io
from collections.abc import Callable, Iterable, Mapping
from typing import IO, Any

from django.conf import settings
from django.utils.http import parse_header_parameters

# A type that no parser takes, so that what carries it is refused.
_UNREADABLE = "application/octet-stream"
# Seconds without a byte of the body after which a client is given up.
_PATIENCE_SECONDS = 5
# So many bytes of a refused body are read all the same.
_READ_OF_REFUSED = 10_000_000

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def is_utf_8(parameters: Mapping[str, str]) -> bool:
    """True when the parameters of a content type name UTF-8 as its charset, or none."""
    return parameters.get("charset", "utf-8").lower() in ("utf-8", "utf8")


class _CutOff(io.BytesIO):
    def read(self, size: int | None = -1, /) -> bytes:
        raise OSError("The body ended early.")


class Intake:
    """Wraps the WSGI application of Django: ``application = Intake(get_wsgi_application())``.

    Without it some content types are a 500 before any middleware runs, since Django parses them,
    and decodes the query by their charset, while it makes the request; and a body without
    Content-Length (Transfer-Encoding: chunked) counts as empty. A body that was refused unread is
    read up: the server would close the connection without a word, and the client's next request
    on it would be lost. Under gunicorn a client that stops in the middle of its body would keep a
    thread for ever.
    """

    def __init__(self, application: Application) -> None:
        self.application = application

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        environ["CONTENT_TYPE"] = _content_type(environ.get("CONTENT_TYPE", ""))
        if connection := environ.get("gunicorn.socket"):
            connection.settimeout(_PATIENCE_SECONDS)
        body, has_end = environ["wsgi.input"], environ.get("wsgi.input_terminated")
        if "HTTP_TRANSFER_ENCODING" in environ and has_end:
            _read_chunks(environ)
        answer = self.application(environ, start_response)
        if has_end:
            _read_up(body)
        return answer


def _content_type(written: str) -> str:
    try:
        media_type, parameters = parse_header_parameters(written)
    except ValueError:
        return _UNREADABLE
    if "charset" not in parameters:
        return written
    return media_type if is_utf_8(parameters) else _UNREADABLE


def _read_chunks(environ: dict[str, Any]) -> None:
    # One byte more than is allowed, so that Django refuses what is longer.
    try:
        body = environ["wsgi.input"].read(settings.MAX_BODY_BYTES + 1)
    except OSError:
        environ["wsgi.input"], environ["CONTENT_LENGTH"] = _CutOff(), "1"
    else:
        environ["wsgi.input"], environ["CONTENT_LENGTH"] = io.BytesIO(body), str(len(body))


def _read_up(body: IO[bytes]) -> None:
    left = _READ_OF_REFUSED
    with contextlib.suppress(OSError):
        while left > 0 and (piece := body.read(65_536)):
            left -= len(piece)
