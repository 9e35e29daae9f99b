"""Limits on requests, by user or address, and on failed logins.

The counters are in a table that all processes share, and each request costs one statement. With
separate reads and writes, as in a cache, many requests at once would pass the limit.
"""

import hashlib
import logging
import math
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.auth.models import AbstractUser, AnonymousUser
from django.db import connection
from django.http import HttpRequest
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from config.http.errors import TooManyLoginsError, TooManyMailsError
from config.http.input.negotiation import is_api
from config.http.limits.addresses import client_network, is_address

if TYPE_CHECKING:
    # DRF imports this module while it makes the class APIView.
    from rest_framework.views import APIView

logger = logging.getLogger(__name__)

# Adds 1 to the counter with the key in {source}, a table with at most one row.
COUNT = """
INSERT INTO request_count AS counter (key, count, ends_at)
SELECT key, 1, statement_timestamp() + make_interval(secs => %(seconds)s) FROM {source}
ON CONFLICT (key) DO UPDATE SET
    count = CASE WHEN counter.ends_at > statement_timestamp() THEN counter.count + 1 ELSE 1 END,
    ends_at = CASE WHEN counter.ends_at > statement_timestamp() THEN counter.ends_at
              ELSE excluded.ends_at END
RETURNING count, extract(epoch FROM ends_at - statement_timestamp()) AS seconds
"""
_COUNT = COUNT.format(source="(SELECT %(key)s::text AS key) AS client")
_UNCOUNT = "UPDATE request_count SET count = count - 1 WHERE key = ANY(%s) AND count > 0"
_PURGE = """
DELETE FROM request_count WHERE key IN (
    SELECT key FROM request_count WHERE ends_at < statement_timestamp()
    LIMIT 100 FOR UPDATE SKIP LOCKED
)
"""


@dataclass(frozen=True, kw_only=True)
class Usage:
    """A client's use of its limit.

    ``count`` includes this request; the limit is reset after ``seconds``.
    """

    policy: str
    limit: int
    count: int
    seconds: int

    @property
    def is_exceeded(self) -> bool:
        return self.count > self.limit

    @property
    def headers(self) -> dict[str, str]:
        """The headers of draft-ietf-httpapi-ratelimit-headers."""
        remaining = max(0, self.limit - self.count)
        return {
            "RateLimit-Policy": f'"{self.policy}";q={self.limit};w={settings.RATE_LIMIT_SECONDS}',
            "RateLimit": f'"{self.policy}";r={remaining};t={self.seconds}',
        }


class Throttle(BaseThrottle):
    """Refuses a client that has sent too many requests, before the view does anything.

    The login by token has counted the request already, in its own statement.
    """

    def allow_request(self, request: Request, view: "APIView") -> bool:
        if not is_limited(request._request):
            return True
        usage: Usage | None = getattr(request._request, "usage", None)
        self._usage = usage or count_request(request._request, request.user)
        return not self._usage.is_exceeded

    def wait(self) -> float:
        return self._usage.seconds


def is_limited(request: HttpRequest) -> bool:
    """Return True if ``request`` counts towards a rate limit."""
    return is_api(request)


def count_request(request: HttpRequest, user: AbstractUser | AnonymousUser) -> Usage:
    """Count ``request`` for ``user``, or for the client's address without a login.

    Sets ``request.usage``, and returns it.
    """
    if user.is_authenticated:
        policy, client = policy_of_user(request), str(user.pk)
    else:
        policy, client = "anonymous", client_address(request)
    count, seconds = _increment(f"{policy}:{client}", seconds=settings.RATE_LIMIT_SECONDS)
    return note_usage(request, policy, count=count, seconds=seconds)


def policy_of_user(request: HttpRequest) -> str:
    """Return the name of the limit by which ``request`` of a user who is logged in counts."""
    return "reads" if request.method in SAFE_METHODS else "commands"


def note_usage(request: HttpRequest, policy: str, *, count: int, seconds: float) -> Usage:
    """Set ``request.usage``, and return it.

    ``count`` is that of the counter after this request, which ends after ``seconds``.
    """
    _purge_once(count)
    limit = settings.RATE_LIMITS[policy]
    usage = Usage(policy=policy, limit=limit, count=count, seconds=_whole(seconds))
    request.usage = usage  # type: ignore[attr-defined]
    return usage


def count_login(request: HttpRequest, *, name: str) -> list[str]:
    """Count a login as failed before the password is checked, so that parallel tries count too.

    All spellings that people take for the same ``name`` count together. Returns the keys for
    ``uncount_login`` after a success. Raises TooManyLoginsError after too many failures from this
    address or with this ``name``.
    """
    keys = _keys("login", request, name=name)
    _count_once(keys, settings.LOGIN_FAILURES, TooManyLoginsError, events="failed logins")
    return list(keys.values())


def count_mail(request: HttpRequest, *, email: str) -> None:
    """Count a mail that the client asks for to ``email``, whether it will be sent or not.

    Raises TooManyMailsError after too many from this address or to this e-mail address.
    """
    keys = _keys("mail", request, name=email)
    _count_once(keys, settings.MAILED_LINKS, TooManyMailsError, events="mails asked for")


def _keys(counter: str, request: HttpRequest, *, name: str) -> Mapping[str, str]:
    # Store a digest of the name, because people type their password into the wrong field.
    digest = hashlib.sha256(_folded(name).encode("utf-8", "replace")).hexdigest()
    return {
        "address": f"{counter}:{client_address(request)}",
        "name": f"{counter}:{digest[:32]}",
    }


def _count_once(
    keys: Mapping[str, str],
    limits: Mapping[str, int],
    refusal: Callable[[int], Exception],
    *,
    events: str,
) -> None:
    """Add 1 to each of ``keys``; raise ``refusal`` of the seconds to wait beyond its limit."""
    for limit_name, key in keys.items():
        count, exact_seconds = _increment(key, seconds=settings.LOGIN_FAILURE_SECONDS)
        _purge_once(count)
        seconds = _whole(exact_seconds)
        limit = limits[limit_name]
        if count == limit + 1:
            # Once per period: somebody may be guessing.
            logger.warning("Too many %s by one %s: refused for %s s", events, limit_name, seconds)
        if count > limit:
            raise refusal(seconds)


def _folded(name: str) -> str:
    """Return ``name`` without case, width, spaces and invisible characters."""
    text = unicodedata.normalize("NFKC", name).casefold()
    return "".join(letter for letter in text if unicodedata.category(letter)[0] not in "CZ")


def uncount_login(keys: list[str]) -> None:
    """Take back the count of a login that has succeeded."""
    with connection.cursor() as cursor:
        cursor.execute(_UNCOUNT, [keys])


def _increment(key: str, *, seconds: int) -> tuple[int, float]:
    """Add 1 to the counter ``key``, which ends ``seconds`` after its first request.

    Returns the count and the seconds until the end.
    """
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, {"key": key, "seconds": seconds})
        count, remaining_seconds = cursor.fetchone()
    return count, float(remaining_seconds)


def _purge_once(count: int) -> None:
    """Purge expired rows once per new client, to keep the table small."""
    if count == 1:
        with connection.cursor() as cursor:
            cursor.execute(_PURGE)


def _whole(seconds: float) -> int:
    return max(1, math.ceil(seconds))


def client_address(request: HttpRequest) -> str:
    """Return the client's address, or its network: see ``client_network``."""
    remote = request.META.get("REMOTE_ADDR", "")
    # DRF reads X-Forwarded-For as far as NUM_PROXIES says.
    forwarded = BaseThrottle().get_ident(request)  # type: ignore[arg-type]
    return client_network(forwarded if is_address(forwarded) else remote)
