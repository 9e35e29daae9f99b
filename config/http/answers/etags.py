"""Entity tags of answers, by which a client asks whether its copy is still current."""

from hashlib import blake2b

from django.http import HttpRequest
from rest_framework.request import Request

from config.http.input.entity_tags import MalformedTagsError, opaque, parse_tags


class NotModifiedError(Exception):
    """The client's copy is still current."""

    def __init__(self, tag: str) -> None:
        super().__init__(self.__doc__)
        self.tag = tag


def strong(version: int, view: str) -> str:
    """Return the tag of a resource at ``version``, shown as ``view`` (a digest): ``"3.5f1c…"``."""
    return f'"{version}.{view}"'


def weak(position: int, query: str) -> str:
    """Return the tag of a list or report (``query``, a digest) as of a position of the log."""
    return f'W/"{position}-{query}"'


def digest(*parts: object) -> str:
    """Return a short hash of the representations of ``parts``."""
    return blake2b(repr(parts).encode(), digest_size=8).hexdigest()


def client_has(request: HttpRequest | Request, tag: str) -> bool:
    """Return True if If-None-Match names ``tag``, weak or strong."""
    return opaque(tag) in map(opaque, _client_tags(request))


def is_any(request: HttpRequest | Request) -> bool:
    """Return True if If-None-Match is ``*``, which names the tag of any existing resource."""
    return _client_tags(request) == ["*"]


def _client_tags(request: HttpRequest | Request) -> list[str]:
    try:
        return parse_tags(request.headers.get("If-None-Match", ""))
    except MalformedTagsError:
        # A malformed header names no tag: the client gets the whole answer.
        return []
