"""Reads from a replica of the read database: a standby that lags behind its primary.

With READ_REPLICA_URL, the alias "read" of a web process is the replica, and PRIMARY the database
that the workers write. Workers and commands of manage.py know the primary only.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.conf import settings
from django.db import connections
from django.http import HttpRequest
from django.http.response import HttpResponseBase

# The alias of the primary in processes that read from a replica.
PRIMARY = "read_primary"

_SAFE = ("GET", "HEAD", "OPTIONS", "TRACE")

# The connection to the replica inside ``primary``.
_replica: ContextVar[Any] = ContextVar("replica", default=None)


def is_used() -> bool:
    """Return True if this process reads from a replica."""
    return PRIMARY in settings.DATABASES


@contextmanager
def primary() -> Iterator[None]:
    """Let "read" be the primary inside the block, in this thread, so that it can be written."""
    if not is_used() or _replica.get() is not None:
        yield
        return
    replica = connections["read"]
    token = _replica.set(replica)
    connections["read"] = connections[PRIMARY]
    try:
        yield
    finally:
        connections["read"] = replica
        _replica.reset(token)


@contextmanager
def reading() -> Iterator[None]:
    """Let "read" be what readers see inside the block, even inside ``primary``."""
    if (replica := _replica.get()) is None:
        yield
        return
    token = _replica.set(None)
    connections["read"] = replica
    try:
        yield
    finally:
        connections["read"] = connections[PRIMARY]
        _replica.reset(token)


class PrimaryForWritesMiddleware:
    """Lets requests that may write use the primary of the read database."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.method in _SAFE:
            return self._get_response(request)
        with primary():
            return self._get_response(request)
