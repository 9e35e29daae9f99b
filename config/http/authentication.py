"""Authentication of requests by the session of a browser."""

from django.contrib.auth.models import AbstractUser, AnonymousUser
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject
from rest_framework.authentication import SessionAuthentication as DRFSessionAuthentication
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request

from config.http.errors import CsrfFailedError


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
