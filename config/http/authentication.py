"""Who asks: by token, or by the session of a browser."""

from django.contrib.auth.base_user import AbstractBaseUser
from knox.auth import TokenAuthentication as KnoxTokenAuthentication
from knox.models import AuthToken
from rest_framework.authentication import SessionAuthentication as DRFSessionAuthentication
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.request import Request

from config.http.errors import CsrfFailedError


class TokenAuthentication(KnoxTokenAuthentication):
    """``Authorization: Token …``; a header that can't be a token is a 401 like a wrong token."""

    def authenticate_credentials(self, token: bytes) -> tuple[AbstractBaseUser, AuthToken]:
        # Knox decodes as UTF-8 and asks the database; neither can take any bytes.
        if not token.isalnum():
            raise AuthenticationFailed("Invalid token.")
        return super().authenticate_credentials(token)

    def _cleanup_token(self, auth_token: AuthToken) -> bool:
        # Ours don't expire (TOKEN_TTL). Knox would read all tokens of the user for every request.
        return auth_token.expiry is not None and super()._cleanup_token(auth_token)


class SessionAuthentication(DRFSessionAuthentication):
    """The login of a browser; unsafe methods need the CSRF token, as form field or header."""

    def enforce_csrf(self, request: Request) -> None:
        # Read here once, so that looking for the form field leaves the body to the parsers.
        _ = request.body
        try:
            super().enforce_csrf(request._request)  # type: ignore[arg-type]
        except PermissionDenied as error:
            raise CsrfFailedError(str(error.detail)) from error
