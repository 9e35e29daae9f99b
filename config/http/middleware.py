"""Middleware: request ids, rate limits, problems outside the API's views, and a browser's token."""

import logging
import re
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware
from django.middleware.security import SecurityMiddleware
from django.utils.module_loading import import_string
from rest_framework.exceptions import MethodNotAllowed, Throttled
from uuid_utils.compat import uuid7

from config import logs, telemetry
from config.http.answers.pages import refusal
from config.http.answers.problems import is_anticipated
from config.http.authentication import loaded_user
from config.http.errors import (
    HeadersTooLargeError,
    HttpsRequiredError,
    ParameterError,
    UrlTooLongError,
)
from config.http.input import consistency
from config.http.input.negotiation import is_api
from config.http.limits import costs, throttling, waiting_slots

logger = logging.getLogger(__name__)

_REQUEST_ID = re.compile(r"[!-~]{1,128}")
# W3C Trace Context: version, trace id, parent id, flags; later versions may append fields.
_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?"
)

# Less than the web server's own limits: a browser gets a page from here, and a problem from there.
_MAX_URL_CHARACTERS = 4_096
_MAX_HEADER_CHARACTERS = 32_768

# The cookie with the token of a command whose effect the browser's last page didn't show.
_TOKEN_COOKIE = f"{settings.COOKIE_PREFIX}consistency"
_TOKEN_COOKIE_SECONDS = 30
# How long a page waits for the command of the cookie.
_PAGE_WAIT_SECONDS = 2.0

# A supervisor restarts a process that doesn't answer here. The answer costs next to nothing.
_NEVER_REFUSED = ("/healthz",)
# Pages that cost something and need no login, beside the login itself.
_FOR_STRANGERS = ("/readyz",)

GetResponse = Callable[[HttpRequest], HttpResponseBase]


class CompressionMiddleware(GZipMiddleware):
    """Compresses pages for people. Other answers keep their strong tags, which If-Match compares.

    Django adds random bytes, so that the length of a page tells nothing about its CSRF token.
    """

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        if not response.get("Content-Type", "").startswith("text/html"):
            return response
        return super().process_response(request, response)


class RequestIdMiddleware:
    """Sets ``request.request_id`` (str) and ``request.correlation_id`` (UUID); echoes Request-Id.

    Keeps the client's Request-Id if it is 1 to 128 visible ASCII characters, and takes the trace id
    of a ``traceparent`` as the correlation id; makes new ids otherwise. With telemetry, the
    correlation id is that of the request's own trace. Log records of the request have both ids, and
    each request is one record at INFO.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        client_id = request.headers.get("Request-Id", "")
        request_id = client_id if _REQUEST_ID.fullmatch(client_id) else uuid7().hex
        trace = _TRACEPARENT.fullmatch(request.headers.get("traceparent", ""))
        correlation_id = telemetry.trace_id() or (UUID(trace[1]) if trace else uuid7())
        request.request_id = request_id  # type: ignore[attr-defined]
        request.correlation_id = correlation_id  # type: ignore[attr-defined]
        with logs.bound_ids(request_id=request_id, correlation_id=correlation_id):
            started = time.perf_counter()
            response = self.get_response(request)
            _log(request, response, seconds=time.perf_counter() - started)
        response["Request-Id"] = request_id
        return response


def _log(request: HttpRequest, response: HttpResponseBase, *, seconds: float) -> None:
    if not logger.isEnabledFor(logging.INFO):
        return
    user = loaded_user(request)
    fields = {
        "method": request.method,
        "path": request.path,
        "status": response.status_code,
        "seconds": round(seconds, 6),
        "user_id": str(user.pk) if user.is_authenticated else None,
    }
    text = "{method} {path} {status} in {seconds:.3f} s, user {user_id}"
    logger.info("%s", text.format(**fields), extra={"fields": fields})


class CostMiddleware:
    """Limits the processor time that an address takes in this process without a login.

    Users with a login have limits of their own, and aren't refused for others at their address.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path_info in _NEVER_REFUSED:
            return self.get_response(request)
        is_for_strangers = request.path_info.startswith((*settings.LOGIN_PAGES, *_FOR_STRANGERS))
        is_refusable = is_for_strangers or not _sends_credentials(request)
        if is_refusable and (seconds := costs.wait_seconds(throttling.client_address(request))):
            return refusal(request, Throttled(seconds))
        started = time.thread_time()
        response = self.get_response(request)
        if is_for_strangers or not loaded_user(request).is_authenticated:
            costs.add(throttling.client_address(request), time.thread_time() - started)
        return response


def _sends_credentials(request: HttpRequest) -> bool:
    return "Authorization" in request.headers or settings.SESSION_COOKIE_NAME in request.COOKIES


class HttpsMiddleware(SecurityMiddleware):
    """Django's headers and redirects to HTTPS; programs get no redirect from the API.

    A program that followed a redirect would go on sending its token in clear text, unnoticed.
    """

    def process_request(self, request: HttpRequest) -> Any:
        answer = super().process_request(request)
        is_browser = "text/html" in request.headers.get("Accept", "")
        if answer is not None and is_api(request) and not is_browser:
            return refusal(request, HttpsRequiredError())
        return answer


class ThrottleMiddleware:
    """Adds the rate limit headers to every answer of the API.

    Counts the requests that were refused before the throttle ran, such as those with a wrong token.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if not throttling.is_limited(request):
            return response
        usage: throttling.Usage | None = getattr(request, "usage", None)
        if usage is None:
            if response.status_code >= 500:
                # The counters are in the database, which may be the cause of the failure.
                return response
            usage = throttling.count_request(request, loaded_user(request))
            if usage.is_exceeded:
                response = refusal(request, Throttled(usage.seconds))
        for name, value in usage.headers.items():
            response[name] = value
        return response


class ProblemMiddleware:
    """Refuses too long requests and NUL characters; answers anticipated errors of any view."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if error := _size_error(request) or _nul_error(request):
            return refusal(request, error)
        response = self.get_response(request)
        if isinstance(response, HttpResponseNotAllowed):
            # Django's own views answer a 405 without a body.
            allowed_methods = response["Allow"]
            response = refusal(request, MethodNotAllowed(request.method or ""))
            response["Allow"] = allowed_methods
        return response

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if is_anticipated(error, method=request.method or ""):
            return refusal(request, error)
        return None


class ConsistencyMiddleware:
    """Lets the pages that follow a command in a browser wait for its effect.

    A page that doesn't show the effect yet (see ``waiting_slots.add_unseen``) has the header
    Projection-Behind and sets a cookie with the event's token. The next page, after a link or a
    redirect, waits for the event.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        token = request.COOKIES.get(_TOKEN_COOKIE, "")
        with waiting_slots.request_scope() as unseen:
            # The templates show a warning if the list isn't empty.
            request.unseen = unseen  # type: ignore[attr-defined]
            awaited = self._wait(token) if token and request.method == "GET" else None
            response = self.get_response(request)
        if not response.get("Content-Type", "").startswith("text/html"):
            return response
        if unseen:
            response["Projection-Behind"] = "true"
        if any(event.event_id != awaited for event in unseen):
            self._set_cookie(response, consistency.token_of(unseen[-1].event_id))
        elif token and request.method == "GET" and not unseen:
            response.delete_cookie(_TOKEN_COOKIE, samesite="Lax")
        return response

    def _wait(self, token: str) -> UUID | None:
        try:
            event_id = consistency.event_of(token)
        except ValueError:
            return None
        wait = import_string(settings.READ_SIDE_WAIT)
        wait(event_id=event_id, projections=(), timeout=_PAGE_WAIT_SECONDS)
        return event_id

    def _set_cookie(self, response: HttpResponseBase, token: str) -> None:
        response.set_cookie(
            _TOKEN_COOKIE,
            token,
            max_age=_TOKEN_COOKIE_SECONDS,
            secure=settings.SESSION_COOKIE_SECURE,
            httponly=True,
            samesite="Lax",
        )


def _size_error(request: HttpRequest) -> Exception | None:
    """Return the error for a too long address or too large headers; None without one."""
    query = request.META.get("QUERY_STRING", "")
    if len(request.path) + len(query) > _MAX_URL_CHARACTERS:
        return UrlTooLongError()
    headers = (value for name, value in request.META.items() if name.startswith("HTTP_"))
    if sum(map(len, headers)) > _MAX_HEADER_CHARACTERS:
        return HeadersTooLargeError()
    return None


def _nul_error(request: HttpRequest) -> Exception | None:
    """Return the error for a NUL character, which PostgreSQL can't store; None without one.

    Looks at the path, the query and the cookies.
    """
    if "\0" in request.path_info:
        return Http404()
    for name, values in request.GET.lists():
        if any("\0" in text for text in (name, *values)):
            return ParameterError(name, f"The parameter {name!r} holds a NUL character.")
    for name, value in request.COOKIES.items():
        if "\0" in value:
            return ParameterError(name, f"The cookie {name!r} holds a NUL character.")
    return None
