"""Logins by token: one statement reads all that each request of the API needs to know first."""

from collections.abc import Mapping
from functools import cache

from django.conf import settings
from django.db import connection
from knox.auth import TokenAuthentication as KnoxTokenAuthentication
from knox.crypto import hash_token
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from config.accounts.backends import PERMISSIONS
from config.accounts.models import User
from config.databases import prepared, tables
from config.http.limits import throttling

# The user of a token with all permissions, and the count of the request. A user who is not active
# is not counted, nor is a request without a policy.
_LOGIN = """
WITH login AS MATERIALIZED (
    SELECT {columns} FROM accounts_user
    WHERE id = (
        SELECT user_id FROM knox_authtoken
        WHERE digest = %(digest)s AND (expiry IS NULL OR expiry >= statement_timestamp())
    )
), client AS (
    SELECT %(policy)s || ':' || login.id AS key FROM login
    WHERE login.is_active AND %(policy)s <> ''
), counter AS ({count})
SELECT counter.count, counter.seconds,
    CASE WHEN NOT login.is_superuser THEN ({permissions}) END, ARRAY[{facts}]::bigint[], login.*
FROM login LEFT JOIN counter ON true
"""
# The expressions of ``read_with_login`` by name, and the attribute of requests with their values.
_expressions: dict[str, str] = {}
_FACTS = "login_facts"


class TokenAuthentication(KnoxTokenAuthentication):
    """Reads ``Authorization: Token …``. A malformed token is a 401, like a wrong token.

    Counts the request too; see ``throttling.Throttle``.
    """

    def authenticate(self, request: Request) -> tuple[User, str] | None:
        """Return the user and the digest of the token; None without a token."""
        self._request = request._request
        login: tuple[User, str] | None = super().authenticate(request)
        return login

    def authenticate_credentials(self, token: bytes) -> tuple[User, str]:
        # The database refuses some characters, and knox decodes UTF-8 only.
        if not token.isalnum():
            raise AuthenticationFailed("Invalid token.")
        digest = hash_token(token.decode())
        is_limited = throttling.is_limited(self._request)
        policy = throttling.policy_of_user(self._request) if is_limited else ""
        parameters = {"digest": digest, "policy": policy, "seconds": settings.RATE_LIMIT_SECONDS}
        rows = prepared.fetch(connection.alias, _statement(), parameters)
        if not rows:
            raise AuthenticationFailed("Invalid token.")
        [(count, seconds, permissions, facts, *values)] = rows
        user = User.from_db(connection.alias, _names(), values)
        if not user.is_active:
            raise AuthenticationFailed("User inactive or deleted.")
        if permissions is not None:
            user.keep_permissions(permissions)
        if policy:
            throttling.note_usage(self._request, policy, count=count, seconds=seconds)
        vars(self._request)[_FACTS] = dict(zip(_expressions, facts, strict=True))
        return user, digest


def read_with_login(name: str, expression: str) -> None:
    """Let each login by token read the SQL ``expression``, an integer, in its own statement.

    Call this function when a module of views is imported.
    """
    _expressions[name] = expression
    _statement.cache_clear()


def facts_of(request: Request) -> Mapping[str, int | None]:
    """Return the values of the expressions that the login of ``request`` has read; none without a
    login by token."""
    facts: Mapping[str, int | None] = getattr(request._request, _FACTS, {})
    return facts


@cache
def _names() -> list[str]:
    return [field.attname for field in User._meta.concrete_fields]


@cache
def _statement() -> str:
    return _LOGIN.format(
        columns=", ".join(tables.columns(User)),
        count=throttling.COUNT.format(source="client"),
        permissions=PERMISSIONS.replace("%(user)s", "login.id"),
        facts=", ".join(_expressions.values()),
    )
