"""How many requests somebody may send: a user by role of the request, everybody else by address;
and how many logins may fail.

Counted in a table that all processes share, by one statement for each request: a look and a change
apart, as with a cache, would let through whoever sends many at once.
"""

import hashlib
import ipaddress
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.auth.models import AbstractUser, AnonymousUser
from django.db import connection
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from rest_framework.exceptions import Throttled
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from config.http.answers.pages import refusal
from config.http.errors import TooManyLoginsError
from config.http.middleware import GetResponse, known_user

if TYPE_CHECKING:
    # DRF imports this module while it makes the class.
    from rest_framework.views import APIView

_COUNT = """
INSERT INTO request_count AS known (key, count, ends_at)
VALUES (%s, 1, statement_timestamp() + make_interval(secs => %s))
ON CONFLICT (key) DO UPDATE SET
    count = CASE WHEN known.ends_at > statement_timestamp() THEN known.count + 1 ELSE 1 END,
    ends_at = CASE WHEN known.ends_at > statement_timestamp() THEN known.ends_at
              ELSE excluded.ends_at END
RETURNING count, extract(epoch FROM ends_at - statement_timestamp())
"""
_GIVE_BACK = "UPDATE request_count SET count = count - 1 WHERE key = ANY(%s)"
_FORGET = """
DELETE FROM request_count WHERE key IN (
    SELECT key FROM request_count WHERE ends_at < statement_timestamp()
    LIMIT 100 FOR UPDATE SKIP LOCKED
)
"""


@dataclass(frozen=True, kw_only=True)
class Usage:
    """How much of what somebody may send is used, this request included, and how many seconds
    are left until it is all there again."""

    policy: str
    limit: int
    count: int
    seconds: int

    @property
    def is_exceeded(self) -> bool:
        return self.count > self.limit

    @property
    def headers(self) -> dict[str, str]:
        """What tells a client (draft-ietf-httpapi-ratelimit-headers)."""
        left = max(0, self.limit - self.count)
        return {
            "RateLimit-Policy": f'"{self.policy}";q={self.limit};w={settings.RATE_LIMIT_SECONDS}',
            "RateLimit": f'"{self.policy}";r={left};t={self.seconds}',
        }


class Throttle(BaseThrottle):
    """Holds up whoever has sent too many requests, before anything is done for this one."""

    def allow_request(self, request: Request, view: "APIView") -> bool:
        if not _is_limited(request._request):
            return True
        self._usage = _count(request._request, request.user)
        return not self._usage.is_exceeded

    def wait(self) -> float:
        return self._usage.seconds


class ThrottleMiddleware:
    """Counts also what was refused before a throttle was asked, such as a wrong token, and tells
    everybody how much is left."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if not _is_limited(request):
            return response
        usage: Usage | None = getattr(request, "usage", None)
        if usage is None:
            if response.status_code >= 500:
                # What could count may be what has failed.
                return response
            usage = _count(request, known_user(request))
            if usage.is_exceeded:
                response = refusal(request, Throttled(usage.seconds))
        for name, value in usage.headers.items():
            response[name] = value
        return response


def _is_limited(request: HttpRequest) -> bool:
    return request.path_info == "/api" or request.path_info.startswith("/api/")


def _count(request: HttpRequest, user: AbstractUser | AnonymousUser) -> Usage:
    if user.is_authenticated:
        policy, who = "reads" if request.method in SAFE_METHODS else "commands", str(user.pk)
    else:
        policy, who = "anonymous", _address(request)
    count, seconds = _add(f"{policy}:{who}", seconds=settings.RATE_LIMIT_SECONDS)
    usage = Usage(policy=policy, limit=settings.RATE_LIMITS[policy], count=count, seconds=seconds)
    request.usage = usage  # type: ignore[attr-defined]
    return usage


def count_login(request: HttpRequest, *, name: str) -> list[str]:
    """Count a login as failed before it is tried, so that of many at once none is tried too much;
    returns what ``give_login_back`` takes when it has succeeded.

    Raises TooManyLoginsError when too many from this address or with this ``name`` have failed.
    """
    # Not as it was typed: that may be a password.
    digest = hashlib.sha256(name.casefold().encode()).hexdigest()
    keys = {"address": f"login:{_address(request)}", "name": f"login:{digest[:32]}"}
    for kind, key in keys.items():
        count, seconds = _add(key, seconds=settings.LOGIN_FAILURE_SECONDS)
        if count > settings.LOGIN_FAILURES[kind]:
            raise TooManyLoginsError(seconds)
    return list(keys.values())


def give_login_back(keys: list[str]) -> None:
    """Count a login as not failed after all."""
    with connection.cursor() as cursor:
        cursor.execute(_GIVE_BACK, [keys])


def _add(key: str, *, seconds: int) -> tuple[int, int]:
    """Count one more for ``key`` within so many seconds from its first; how many that are, and how
    many seconds are left."""
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, [key, seconds])
        count, left = cursor.fetchone()
        if count == 1:
            # Once for each who comes anew, so that the table never holds many who don't.
            cursor.execute(_FORGET)
    return count, max(1, math.ceil(left))


def _address(request: HttpRequest) -> str:
    """Where the request comes from; of IPv6 the network, of which one client has every address."""
    known = request.META.get("REMOTE_ADDR", "")
    # DRF reads X-Forwarded-For as far as NUM_PROXIES says.
    for written in (BaseThrottle().get_ident(request), known):  # type: ignore[arg-type]
        try:
            address = ipaddress.ip_address(written)
        except ValueError:
            continue
        if address.version == 6:
            return str(ipaddress.ip_network((address.packed, 64), strict=False))
        return str(address)
    return known[:40]
