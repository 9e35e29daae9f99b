"""The authentication backend: limits guesses, and reads all of a user by one statement."""

from contextvars import ContextVar
from typing import Any, cast

from django.contrib.auth import middleware
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AnonymousUser
from django.db import connection
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from config.accounts import saved_views
from config.accounts.models import User
from config.http.browser_middleware import ForBrowsers
from config.http.limits import throttling

# Django reads the permissions of a user and of the user's groups by two queries, and takes longer
# to build these than to run them. Every request would pay for that.
PERMISSIONS = """
SELECT coalesce(array_agg(type.app_label || '.' || permission.codename), '{}')
FROM auth_permission permission
JOIN django_content_type type ON type.id = permission.content_type_id
WHERE permission.id IN (
    SELECT permission_id FROM accounts_user_user_permissions WHERE user_id = %(user)s
    UNION ALL
    SELECT permission_id FROM auth_group_permissions
    JOIN accounts_user_groups USING (group_id) WHERE user_id = %(user)s
)
"""
# A user with what almost every page needs: the columns of a statement about accounts_user.
COLUMNS = f"""
accounts_user.*, ({PERMISSIONS.replace("%(user)s", "accounts_user.id")}) AS permission_names,
({saved_views.VIEWS}) AS saved_view_rows
"""
_USER = f"SELECT {COLUMNS} FROM accounts_user WHERE id = %s"  # noqa: S608 - of constants

# The user who was read with the session of a request, while Django asks for that user.
_user_of_session: ContextVar[User | None] = ContextVar("user_of_session", default=None)


class AuthenticationMiddleware(ForBrowsers, middleware.AuthenticationMiddleware):
    """Gives requests the user who was read with their session, by the same statement."""

    def process_request(self, request: HttpRequest) -> None:
        super().process_request(request)
        request.user = cast(User, SimpleLazyObject(lambda: _user_of(request)))


def _user_of(request: HttpRequest) -> User | AnonymousUser:
    token = _user_of_session.set(cast(Any, request.session).read_user())
    try:
        # Django checks that the session is still valid for the user.
        return middleware.get_user(request)
    finally:
        _user_of_session.reset(token)


class Backend(ModelBackend):
    """Counts failed logins, and reads a user with permissions and saved views by one statement."""

    def get_user(self, user_id: Any) -> User | None:
        """Return the user of a session, with permissions and saved views; None if inactive."""
        user = _user_of_session.get()
        if user is None or user.pk != user_id:
            user = next(iter(User.objects.raw(_USER, [user_id])), None)
        if user is None or not self.user_can_authenticate(user):
            return None
        user.keep_permissions(vars(user)["permission_names"])
        return user

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **kwargs: Any,
    ) -> User | None:
        """Return the user with this name and password, or None.

        Every page that checks a name and a password ends here, with the name as the page cleaned
        it. Raises TooManyLoginsError after too many failures. Calls without a request, from a
        shell, aren't counted.
        """
        if request is None:
            return super().authenticate(request, username, password, **kwargs)
        keys = throttling.count_login(request, name=username or "")
        user = super().authenticate(request, username, password, **kwargs)
        if user is not None:
            throttling.uncount_login(keys)
        return user

    def get_all_permissions(self, user_obj: Any, obj: Any = None) -> set[str]:
        # Django answers for inactive users, superusers and single objects without a query.
        needs_query = user_obj.is_active and not user_obj.is_superuser and obj is None
        if needs_query and not hasattr(user_obj, "_perm_cache"):
            with connection.cursor() as cursor:
                cursor.execute(PERMISSIONS, {"user": user_obj.pk})
                user_obj.keep_permissions(cursor.fetchone()[0])
        permissions: set[str] = super().get_all_permissions(user_obj, obj)
        return permissions
