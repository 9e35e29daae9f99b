"""Log records of logins: who logged in and out, and which logins failed."""

import logging
from collections.abc import Mapping
from typing import Any

from config.accounts.models import User

logger = logging.getLogger(__name__)


def log_login(user: User, **_kwargs: object) -> None:
    """Log a login (receives ``user_logged_in``)."""
    _log("Login", user.pk)


def log_logout(user: User | None, **_kwargs: object) -> None:
    """Log a logout (receives ``user_logged_out``)."""
    _log("Logout", user.pk if user else None)


def log_failure(credentials: Mapping[str, Any], **_kwargs: object) -> None:
    """Log a failed login (receives ``user_login_failed``).

    Records the id of the user, or None for a name of nobody. The name itself isn't recorded,
    because people type their password into the wrong field.
    """
    name = credentials.get(User.USERNAME_FIELD)
    _log("Failed login", User.objects.filter(username=name).values_list("pk", flat=True).first())


def _log(event: str, user_id: object) -> None:
    identity = None if user_id is None else str(user_id)
    logger.info("%s, user %s", event, identity, extra={"fields": {"user_id": identity}})
