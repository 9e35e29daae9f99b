"""Authentication of requests: by token, or by the session of a browser."""

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AbstractUser, AnonymousUser
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import SimpleLazyObject
from knox.auth import TokenAuthentication as KnoxTokenAuthentication
from knox.models import AuthToken
from rest_framework.authentication import SessionAuthentication as DRFSessionAuthentication
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.request import Request

from config.http.errors import CsrfFailedError


class TokenAuthentication(KnoxTokenAuthentication):
    """Reads ``Authorization: Token …``. A malformed token is a 401, like a wrong token."""

    def authenticate_credentials(self, token: bytes) -> tuple[AbstractBaseUser, AuthToken]:
        # Knox decodes UTF-8 and queries the database; both would fail on arbitrary bytes.
        if not token.isalnum():
            raise AuthenticationFailed("Invalid token.")
        return super().authenticate_credentials(token)

    def _cleanup_token(self, auth_token: AuthToken) -> bool:
        # Knox would read all tokens of the user on each request, to delete those that expired:
        # create_token deletes them.
        return auth_token.expiry is not None and auth_token.expiry < timezone.now()


class SessionAuthentication(DRFSessionAuthentication):
    """Reads a browser's session. Unsafe methods need the CSRF token, as form field or header."""

    def enforce_csrf(self, request: Request) -> None:
        # Read the body now: the CSRF check looks for a form field, and would consume the stream.
        _ = request.body
        try:
            super().enforce_csrf(request._request)  # type: ignore[arg-type]
        except PermissionDenied as error:
            raise CsrfFailedError(str(error.detail)) from error


def loaded_user(request: HttpRequest) -> AbstractUser | AnonymousUser:
    """Return the user of ``request`` if a view has loaded it, else an AnonymousUser.

    Never queries the database: the query could fail for the same reason as the request.
    """
    user = request.__dict__.get("user")
    if isinstance(user, SimpleLazyObject):
        user = request.__dict__.get("_cached_user")
    return user or AnonymousUser()
