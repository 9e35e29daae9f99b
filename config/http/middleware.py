"""The id of a request, answers to what goes wrong outside the API's views, and what a browser
carries from page to page."""

import logging
import re
import time
from collections.abc import Callable
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import AbstractUser, AnonymousUser
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.http.response import HttpResponseBase
from django.utils.functional import SimpleLazyObject
from django.utils.module_loading import import_string
from rest_framework.exceptions import MethodNotAllowed
from uuid_utils.compat import uuid7

from config import logs
from config.http.answers import consistency
from config.http.answers.pages import refusal
from config.http.answers.problems import is_anticipated
from config.http.errors import ParameterError
from config.http.limits import waiting_slots

logger = logging.getLogger(__name__)

_REQUEST_ID = re.compile(r"[!-~]{1,128}")
# W3C Trace Context: version, trace id, parent id, flags; later versions may append fields.
_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?"
)

# The cookie of a browser that has given a command whose effect its page didn't show.
_CARRIED = "consistency"
_CARRIED_SECONDS = 30
# How long a page waits to show it.
_PAGE_WAITS_SECONDS = 2.0

GetResponse = Callable[[HttpRequest], HttpResponseBase]


class RequestIdMiddleware:
    """Sets ``request.request_id`` (str) and ``request.correlation_id`` (UUID); echoes Request-Id.

    The client's Request-Id is kept when it is 1 to 128 visible ASCII characters; the trace id of a
    ``traceparent`` becomes the correlation id. Both are made new otherwise. What is logged
    meanwhile names both, and at INFO there is one line for each request.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        sent = request.headers.get("Request-Id", "")
        request_id = sent if _REQUEST_ID.fullmatch(sent) else uuid7().hex
        trace = _TRACEPARENT.fullmatch(request.headers.get("traceparent", ""))
        request.request_id = request_id  # type: ignore[attr-defined]
        request.correlation_id = UUID(trace[1]) if trace else uuid7()  # type: ignore[attr-defined]
        ids = {"request_id": request_id, "correlation_id": request.correlation_id}  # type: ignore[attr-defined]
        with logs.belonging_to(**ids):
            began = time.perf_counter()
            response = self.get_response(request)
            _log(request, response, seconds=time.perf_counter() - began)
        response["Request-Id"] = request_id
        return response


def _log(request: HttpRequest, response: HttpResponseBase, *, seconds: float) -> None:
    fields = {
        "method": request.method,
        "path": request.path,
        "status": response.status_code,
        "seconds": round(seconds, 6),
        "user_id": _user_id(request),
    }
    text = "{method} {path} {status} in {seconds:.3f} s, user {user_id}"
    logger.info("%s", text.format(**fields), extra={"fields": fields})


def _user_id(request: HttpRequest) -> str | None:
    user = known_user(request)
    return str(user.pk) if user.is_authenticated else None


def known_user(request: HttpRequest) -> AbstractUser | AnonymousUser:
    """Who has asked; nobody, too, when nothing has wanted to know."""
    user = request.__dict__.get("user")
    if isinstance(user, SimpleLazyObject):
        # To ask it could cost a query, which could fail as the request did.
        user = request.__dict__.get("_cached_user")
    return user or AnonymousUser()


class ProblemMiddleware:
    """Refuses what would break further in, and answers anticipated errors of any view."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if flaw := _nul_in(request):
            return refusal(request, flaw)
        response = self.get_response(request)
        if isinstance(response, HttpResponseNotAllowed):
            # Django's own views answer so, without a word.
            allowed = response["Allow"]
            response = refusal(request, MethodNotAllowed(request.method or ""))
            response["Allow"] = allowed
        return response

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if is_anticipated(error, method=request.method or ""):
            return refusal(request, error)
        return None


class ConsistencyMiddleware:
    """Lets the pages that follow a command in a browser wait for its effect.

    A page that was answered too early (see ``waiting_slots.not_seen``) leaves the token of the
    event in a
    cookie, so that links and redirects carry it. What is shown all the same before the event is
    has the header Projection-Behind.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        token = request.COOKIES.get(_CARRIED, "")
        with waiting_slots.answering() as unseen:
            # Pages say so.
            request.unseen = unseen  # type: ignore[attr-defined]
            awaited = self._wait(token) if request.method == "GET" else None
            response = self.get_response(request)
        if not response.get("Content-Type", "").startswith("text/html"):
            return response
        if unseen:
            response["Projection-Behind"] = "true"
        if [event_id for event_id in unseen if event_id != awaited]:
            self._carry(response, consistency.token_of(unseen[-1]))
        elif token and request.method == "GET" and not unseen:
            response.delete_cookie(_CARRIED, samesite="Lax")
        return response

    def _wait(self, token: str) -> UUID | None:
        try:
            event_id = consistency.event_of(token)
        except ValueError:
            return None
        wait = import_string(settings.READ_SIDE_WAIT)
        wait(event_id=event_id, projections=(), timeout=_PAGE_WAITS_SECONDS)
        return event_id

    def _carry(self, response: HttpResponseBase, token: str) -> None:
        response.set_cookie(
            _CARRIED,
            token,
            max_age=_CARRIED_SECONDS,
            secure=settings.SESSION_COOKIE_SECURE,
            httponly=True,
            samesite="Lax",
        )


def _nul_in(request: HttpRequest) -> Exception | None:
    """The error for a NUL character, which PostgreSQL can't take: in path, query or cookie."""
    if "\0" in request.path_info:
        return Http404()
    for name, values in request.GET.lists():
        if any("\0" in text for text in (name, *values)):
            return ParameterError(name, f"The parameter {name!r} holds a NUL character.")
    for name, value in request.COOKIES.items():
        if "\0" in value:
            return ParameterError(name, f"The cookie {name!r} holds a NUL character.")
    return None
