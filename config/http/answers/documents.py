"""Texts that are the same for everybody: compressed and tagged once, not for each request."""

import gzip
import re
from dataclasses import dataclass
from typing import Self

from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers
from rest_framework.request import Request

from config.http.answers import etags

_GZIP = re.compile(r"(^|,)\s*(gzip|\*)\s*(?!;\s*q=0(\.0*)?\s*(,|$))(;|,|$)", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Document:
    """A text, its gzip copy and its entity tag. The text must contain no secret.

    The length of a compressed answer tells about a secret that stands beside text of the request.
    """

    body: bytes
    compressed: bytes
    tag: str

    @classmethod
    def of(cls, body: bytes) -> Self:
        # Without the time, all processes make the same copy.
        compressed = gzip.compress(body, mtime=0)
        return cls(body=body, compressed=compressed, tag=f'W/"{etags.digest(body)}"')

    def answer(
        self, request: HttpRequest | Request, *, content_type: str, max_age: int
    ) -> HttpResponse:
        """Return the answer to ``request``: the text, or 304 if the client has it.

        Caches may keep it for ``max_age`` seconds.
        """
        if etags.client_has(request, self.tag):
            response = HttpResponse(status=304)
            del response["Content-Type"]
        elif _GZIP.search(request.headers.get("Accept-Encoding", "")):
            response = HttpResponse(self.compressed, content_type=content_type)
            response["Content-Encoding"] = "gzip"
        else:
            response = HttpResponse(self.body, content_type=content_type)
        response["ETag"] = self.tag
        response["Cache-Control"] = f"public, max-age={max_age}"
        patch_vary_headers(response, ["Accept-Encoding"])
        return response
