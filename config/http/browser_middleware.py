"""Middleware for browsers only. Requests of programs pass it by, which saves a tenth of a read.

A program sends its token with each request of the API, and asks for no page. It has no session, so
it needs neither the check against forged requests nor messages.
"""

from typing import TYPE_CHECKING, Any

from django.contrib.messages import middleware as messages
from django.contrib.sessions import middleware as sessions
from django.http import HttpRequest
from django.middleware import csrf

from config.http.input.negotiation import is_api

if TYPE_CHECKING:
    from django.utils.deprecation import MiddlewareMixin
else:
    MiddlewareMixin = object

_TOKEN = "token "  # noqa: S105 - the scheme of the header


def is_from_program(request: HttpRequest) -> bool:
    """Return True if ``request`` logs in by token and asks for no page."""
    scheme = request.META.get("HTTP_AUTHORIZATION", "")[: len(_TOKEN)]
    if scheme.lower() != _TOKEN or not is_api(request):
        return False
    return "text/html" not in request.META.get("HTTP_ACCEPT", "")


class ForBrowsers(MiddlewareMixin):
    """Lets the requests of programs pass by a middleware of Django."""

    def __call__(self, request: HttpRequest) -> Any:
        if is_from_program(request):
            return self.get_response(request)
        return super().__call__(request)


class SessionMiddleware(ForBrowsers, sessions.SessionMiddleware):
    """Reads and stores the session."""


class CsrfViewMiddleware(ForBrowsers, csrf.CsrfViewMiddleware):
    """Refuses forged requests. The API checks requests with a session itself."""


class MessageMiddleware(ForBrowsers, messages.MessageMiddleware):
    """Reads and stores the messages of the last page."""
