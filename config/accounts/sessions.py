"""Sessions that end: after some idle time, and some hours after the login in any case."""

import time
from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import UUID

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import AnonymousUser
from django.contrib.messages.storage.cookie import CookieStorage
from django.contrib.messages.storage.fallback import FallbackStorage
from django.contrib.messages.storage.session import SessionStorage
from django.contrib.sessions.backends import db
from django.contrib.sessions.models import Session
from django.http import HttpRequest
from django.utils import timezone

from config.accounts import backends
from config.accounts.models import User

# The time of the last login of a session, in seconds since 1970.
_LOGIN_AT = "login_at"
# The order that a visitor may see, in a session without a login.
_VISITOR = "visitor"
# A session is renewed once this part of its idle time has passed: not with each request.
_RENEWED_AFTER = 0.1
# Between the id of the user and the signed data, in which it never occurs.
_SEPARATOR = "|"
_SESSION = f"""
SELECT {backends.COLUMNS}, session_data, expire_date
FROM django_session LEFT JOIN accounts_user ON accounts_user.id =
    CASE WHEN session_data ~ '^[0-9a-f-]{{36}}[{_SEPARATOR}]' THEN left(session_data, 36)::uuid END
WHERE session_key = %s AND expire_date > %s
"""  # noqa: S608 - of constants
# The most expired sessions that one login deletes.
_MAX_PURGED = 100


class SessionStore(db.SessionStore):
    """Django's sessions in the database, with the two limits of the settings.

    The statement that reads a session reads its user too, whose id precedes the signed data.
    """

    _user: User | None = None

    def encode(self, session_dict: dict[str, Any]) -> str:
        signed: str = super().encode(session_dict)
        user_id = session_dict.get(SESSION_KEY)
        return f"{user_id}{_SEPARATOR}{signed}" if user_id else signed

    def decode(self, session_data: bytes | str) -> dict[str, Any]:
        # A session of an older release, and one without a user, has the signed data only.
        _user_id, _separator, signed = str(session_data).rpartition(_SEPARATOR)
        data: dict[str, Any] = super().decode(signed)
        return data

    def read_user(self) -> User | None:
        """Return the user who was read with the session, None if it has none.

        The signed data decide whether the session is that user's.
        """
        # Any access reads the session.
        self.has_key(SESSION_KEY)
        return self._user

    def load(self) -> dict[str, Any]:
        """Return the data of the session; nothing if it has ended."""
        row = self._read()
        if row is None:
            self._session_key = None
            return {}
        self._user = row if row.pk else None
        data = self.decode(vars(row)["session_data"])
        if SESSION_KEY not in data and _VISITOR not in data:
            return data
        # A session of an older release starts now, as a login that isn't recent.
        now = time.time()
        login_at = data.setdefault(_LOGIN_AT, now - 60 * settings.REAUTHENTICATION_MINUTES)
        if settings.SESSION_HOURS and now - login_at > 3600 * settings.SESSION_HOURS:
            self.delete()
            self._session_key = None
            return {}
        seconds_left = (vars(row)["expire_date"] - timezone.now()).total_seconds()
        if seconds_left < (1 - _RENEWED_AFTER) * self.get_session_cookie_age():
            self.modified = True
        return data

    def _read(self) -> User | None:
        """Return the user of the session with ``session_data`` and ``expire_date``, if it is valid.

        The user of a session without one has no id.
        """
        parameters = [self.session_key, timezone.now()]
        return next(iter(User.objects.raw(_SESSION, parameters)), None)


class _MessageCookie(CookieStorage):
    cookie_name = f"{settings.COOKIE_PREFIX}messages"


class MessageStorage(FallbackStorage):
    """Django's messages for the next page, in a cookie with the prefix of our other cookies."""

    storage_classes = (_MessageCookie, SessionStorage)


def start_session(request: HttpRequest, **_kwargs: object) -> None:
    """Note the time of a login in its session (receives ``user_logged_in``)."""
    request.session[_LOGIN_AT] = time.time()
    _purge()


class Visitor(NamedTuple):
    """A visitor without a login, who may see one order of a customer."""

    order_id: UUID
    customer_id: UUID


def start_visit(request: HttpRequest, visitor: Visitor) -> None:
    """End the session of ``request``, and start one in which ``visitor`` sees the order."""
    request.session.flush()
    request.user = AnonymousUser()
    request.session[_LOGIN_AT] = time.time()
    request.session[_VISITOR] = [str(value) for value in visitor]
    _purge()


def visitor_of(session: Mapping[str, Any]) -> Visitor | None:
    """Return the visitor whose session it is, if any."""
    return Visitor(*map(UUID, session[_VISITOR])) if _VISITOR in session else None


def data_of(session: Session) -> dict[str, Any]:
    """Return the data of a stored session."""
    return SessionStore().decode(session.session_data)


def _purge() -> None:
    expired = Session.objects.filter(expire_date__lt=timezone.now()).values("pk")
    Session.objects.filter(pk__in=expired[:_MAX_PURGED]).delete()


def is_login_recent(request: HttpRequest) -> bool:
    """Return True if the session's last login is recent enough for a change of accounts."""
    minutes = settings.REAUTHENTICATION_MINUTES
    return not minutes or time.time() - request.session.get(_LOGIN_AT, 0) < 60 * minutes
