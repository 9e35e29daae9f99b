"""Tags of answers, by which a client asks whether what it has is still so."""

from hashlib import blake2b

from django.http import HttpRequest
from django.utils.http import parse_etags
from rest_framework.request import Request


class NotModifiedError(Exception):
    """What the client has is still so."""

    def __init__(self, tag: str) -> None:
        super().__init__(self.__doc__)
        self.tag = tag


def strong(version: int, view: str) -> str:
    """The tag of one resource at a version, as it is shown in a view: ``"3.5f1c…"``."""
    return f'"{version}.{view}"'


def weak(position: int, query: str) -> str:
    """The tag of a list or report that shows the log up to a position."""
    return f'W/"{position}-{query}"'


def digest(*parts: object) -> str:
    """A short name of ``parts``, equal for equal ones: of their representations."""
    return blake2b(repr(parts).encode(), digest_size=8).hexdigest()


def is_known(request: HttpRequest | Request, tag: str) -> bool:
    """Whether the client has what ``tag`` stands for, by If-None-Match."""
    known = parse_etags(request.headers.get("If-None-Match", ""))
    return "*" in known or tag.removeprefix("W/") in {one.removeprefix("W/") for one in known}
