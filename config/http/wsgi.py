"""What Django can't take in is put right in front of it: unreadable types, bodies in chunks."""

import io
from collections.abc import Callable, Iterable
from typing import Any

from django.conf import settings
from django.utils.http import parse_header_parameters

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class _CutOff(io.BytesIO):
    def read(self, size: int | None = -1, /) -> bytes:
        raise OSError("The body ended early.")


class Intake:
    """Wraps the WSGI application of Django: ``application = Intake(get_wsgi_application())``.

    Without it a Content-Type that can't be parsed is a 500 before any middleware runs, and a body
    without Content-Length (Transfer-Encoding: chunked) counts as empty.
    """

    def __init__(self, application: Application) -> None:
        self.application = application

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        try:
            parse_header_parameters(environ.get("CONTENT_TYPE", ""))
        except ValueError:
            environ["CONTENT_TYPE"] = "application/octet-stream"
        if "HTTP_TRANSFER_ENCODING" in environ and environ.get("wsgi.input_terminated"):
            self._read_chunks(environ)
        return self.application(environ, start_response)

    def _read_chunks(self, environ: dict[str, Any]) -> None:
        # One byte more than is allowed, so that Django refuses what is longer.
        try:
            body = environ["wsgi.input"].read(settings.MAX_BODY_BYTES + 1)
        except OSError:
            environ["wsgi.input"], environ["CONTENT_LENGTH"] = _CutOff(), "1"
        else:
            environ["wsgi.input"], environ["CONTENT_LENGTH"] = io.BytesIO(body), str(len(body))
