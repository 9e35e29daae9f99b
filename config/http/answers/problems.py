"""Errors as RFC 9457 problems: the table from error class to problem, and the answers made of it.

The first use of the table lets each app register its errors: processes without pages never use it.
An error outside the table is a fault of the service, logged with its traceback and answered with
constant text.
"""

import inspect
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

import django.db
from django.apps import apps
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.encoding import escape_uri_path
from pydantic import ValidationError
from rest_framework.exceptions import Throttled
from rest_framework.permissions import SAFE_METHODS
from rest_framework.renderers import BrowsableAPIRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from config.fields.members import DetailedError
from config.http.answers.encoding import JSONEncoder
from config.http.input.validation import errors_of

CONTENT_TYPE = "application/problem+json"

# Advice, by status, on the page of a problem that was registered without its own.
_ADVICE = {
    400: "Correct the request as the detail says and send it again.",
    403: "Ask an administrator for the permission that the answer names.",
    404: "Check the address and the id in it.",
    409: "Read the resource again; if the command still makes sense then, send it again.",
    422: "Correct the fields that the answer names under errors and send the request again.",
    503: "Send the same request again after the seconds that Retry-After names.",
}

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A type of problem: its name in ``type``, its HTTP status, and the texts of its page."""

    slug: str
    status: int
    title: str
    meaning: str
    advice: str

    @property
    def code(self) -> str:
        return self.slug.replace("-", "_")


@dataclass(frozen=True, kw_only=True)
class _Entry:
    problem: Problem
    own_text: bool
    retry_after: int | None


INTERNAL = Problem(
    slug="internal-error",
    status=500,
    title="Internal error",
    meaning="Something went wrong on our side. It has been logged.",
    advice="Send the request again later; if it goes on, report it with the request_id.",
)
_problems: dict[str, Problem] = {INTERNAL.slug: INTERNAL}
_entries: dict[type[BaseException], _Entry] = {}


@cache
def load() -> None:
    """Let the apps register their errors, in the order of INSTALLED_APPS.

    The attribute ``problem_table`` of an app config names a module with ``register_all``.
    """
    for app in apps.get_app_configs():
        if name := getattr(app, "problem_table", ""):
            import_module(name).register_all()


def register(
    error: type[BaseException],
    *,
    slug: str,
    status: int | None = None,
    title: str = "",
    meaning: str = "",
    advice: str = "",
    own_text: bool = True,
    retry_after: int | None = None,
) -> None:
    """Answer ``error``, and the classes derived from it, as the problem ``slug``.

    The first registration of a slug sets its ``status`` and ``title``; later ones may leave them
    out. ``meaning`` (else the error's docstring) and ``advice`` stand on the problem's page. The
    ``detail`` of an answer is the error's text, or ``meaning`` with ``own_text=False``, for texts
    that clients mustn't see. ``retry_after`` is sent as header, in seconds.

    Raises ValueError for a first registration without status or title, or a contradicting one.
    """
    problem = _problems.get(slug)
    if problem is None:
        if status is None or not title:
            raise ValueError(f"The problem {slug} needs a status and a title.")
        problem = _problems[slug] = Problem(
            slug=slug,
            status=status,
            title=title,
            meaning=meaning or inspect.cleandoc(error.__doc__ or title),
            advice=advice or _ADVICE.get(status, _ADVICE[400]),
        )
    elif (status or problem.status, title or problem.title) != (problem.status, problem.title):
        raise ValueError(f"The problem {slug} is {problem.status} {problem.title!r} already.")
    _entries[error] = _Entry(problem=problem, own_text=own_text, retry_after=retry_after)


def by_slug(slug: str) -> Problem | None:
    """Return the problem with this slug, None if there is none."""
    load()
    return _problems.get(slug)


def problem_of(error: type[BaseException]) -> Problem:
    """Return the problem that answers errors of this class."""
    entry = _entry(error)
    return entry.problem if entry else INTERNAL


def all_problems() -> list[Problem]:
    """Return every problem that an answer may name, by slug."""
    load()
    return [_problems[slug] for slug in sorted(_problems)]


def first_of_status(status: int) -> Problem | None:
    """Return the problem of this status that was registered first, None if there is none."""
    load()
    problems = [entry.problem for entry in _entries.values() if entry.problem.status == status]
    return problems[0] if problems else None


def registered_errors() -> list[type[BaseException]]:
    """Return the error classes that have a problem, in the order of their registration."""
    load()
    return list(_entries)


def is_anticipated(error: BaseException, *, method: str = "POST") -> bool:
    """Return True if ``error`` is an answer to the client, False if it is a fault of the service.

    ``method`` is the request's: a query has no body, so a model that doesn't validate during a
    query was filled by the service.
    """
    if isinstance(error, ValidationError) and method in SAFE_METHODS:
        return False
    return _entry(type(error)) is not None


def detail_of(error: BaseException) -> str:
    """Return the text that describes ``error`` to a person."""
    entry = _entry(type(error))
    if entry is None:
        return INTERNAL.meaning
    return (str(error) if entry.own_text else "") or entry.problem.meaning


def problem_body(request: HttpRequest | Request, error: BaseException) -> dict[str, Any]:
    """Return the problem object that answers ``request``; an unanticipated error is a 500.

    The members of a DetailedError are added; they can't replace the standard members.
    """
    is_answer = is_anticipated(error, method=request.method or "")
    problem = problem_of(type(error)) if is_answer else INTERNAL
    standard = {
        "type": _absolute(request, f"/problems/{problem.slug}"),
        "title": problem.title,
        "status": problem.status,
        "detail": detail_of(error) if is_answer else INTERNAL.meaning,
        "instance": escape_uri_path(request.path),
        "code": problem.code,
        "request_id": getattr(request, "request_id", None),
    }
    if is_answer and isinstance(error, ValidationError):
        return standard | {"errors": errors_of(error)}
    members = error.members() if is_answer and isinstance(error, DetailedError) else {}
    return {**standard, **members, **standard}


def problem_headers(error: BaseException) -> dict[str, str]:
    """Return the headers of the answer to ``error``."""
    headers = {}
    # DRF sets ``auth_header`` on authentication errors.
    if auth_header := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = auth_header
    entry = _entry(type(error))
    retry_after = entry.retry_after if entry else None
    if isinstance(error, Throttled):
        retry_after = getattr(error, "wait", None)
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    return headers


def problem_response(request: HttpRequest | Request, error: BaseException) -> HttpResponse:
    """Return the answer of ``request`` to ``error``, as application/problem+json."""
    body = problem_body(request, error)
    _log(error)
    return HttpResponse(
        json.dumps(body, cls=JSONEncoder, ensure_ascii=False).encode("utf-8", "replace"),
        status=body["status"],
        content_type=CONTENT_TYPE,
        headers=problem_headers(error),
    )


def exception_handler(exc: Exception, context: Mapping[str, Any]) -> HttpResponseBase | None:
    """DRF's EXCEPTION_HANDLER: return a problem, inside the browsable page for a browser.

    Returns None for an unanticipated error: DRF raises it again, and Django logs it.
    """
    request: Request = context["request"]
    if not is_anticipated(exc, method=request.method or ""):
        return None
    if not isinstance(getattr(request, "accepted_renderer", None), BrowsableAPIRenderer):
        return problem_response(request, exc)
    body = problem_body(request, exc)
    _log(exc)
    return Response(body, status=body["status"], headers=problem_headers(exc))


def _entry(error: type[BaseException]) -> _Entry | None:
    load()
    return next((_entries[base] for base in error.__mro__ if base in _entries), None)


def _log(error: BaseException) -> None:
    # Log outages, but no refusals. Django itself logs unanticipated errors.
    entry = _entry(type(error))
    if isinstance(error, django.db.Error):
        logger.error("Unavailable: %r", error)
    elif entry and entry.problem.status == INTERNAL.status:
        logger.error("%s: %s", entry.problem.title, error)


def _absolute(request: HttpRequest | Request, path: str) -> str:
    try:
        return str(request.build_absolute_uri(path))
    except DisallowedHost:
        # The Host header isn't one of ALLOWED_HOSTS, so no address may contain it.
        return path
