"""Headers of every answer: what a browser may load, and that nothing is kept unless a page says so.

Django's SecurityMiddleware sets the others (HSTS, Referrer-Policy, nosniff, COOP).
"""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
# Swagger UI has icons in its style sheet.
DOCS_CONTENT_SECURITY_POLICY = CONTENT_SECURITY_POLICY.replace(
    "img-src 'self'", "img-src 'self' data:"
)
_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": (
        "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), "
        "magnetometer=(), microphone=(), midi=(), payment=(), usb=()"
    ),
    # Most answers have personal data, or the form of a login.
    "Cache-Control": "no-store",
}


class HeadersMiddleware:
    """Adds the headers that an answer doesn't set itself."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        if settings.DEBUG and response.status_code in (404, 500):
            # Django's pages with tracebacks have their styles and scripts inside.
            del response["Content-Security-Policy"]
        is_page = response.get("Content-Type", "").startswith("text/html")
        if is_page and "no-store" not in response["Cache-Control"]:
            # A page names its user and has the CSRF token of the session.
            response["Cache-Control"] = "no-store"
        return response
