"""Answers outside the API's views: Django's error handlers and the page of each problem."""

import sys

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views.decorators.http import require_safe

from config.http.answers import problems
from config.http.errors import CsrfFailedError
from config.http.input.negotiation import wants_html


def refusal(request: HttpRequest, error: BaseException) -> HttpResponse:
    """Return the answer to ``error``: a problem for programs, a small HTML page for people."""
    if not wants_html(request):
        return problems.problem_response(request, error)
    body = problems.problem_body(request, error)
    # Render without the request: a context processor may need the database that has just failed.
    page = render_to_string("http/refusal.html", {"problem": body})
    return HttpResponse(page, status=body["status"], headers=problems.problem_headers(error))


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler400."""
    return refusal(request, exception)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler403."""
    return refusal(request, exception)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler404."""
    return refusal(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500, called while the error is being handled."""
    return refusal(request, sys.exc_info()[1] or RuntimeError())


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """The view of the setting CSRF_FAILURE_VIEW."""
    return refusal(request, CsrfFailedError(reason))


@require_safe
def problem_page(request: HttpRequest, slug: str) -> HttpResponse:
    """The page ``/problems/{slug}``, which a problem's ``type`` names: its meaning and advice."""
    problem = problems.by_slug(slug)
    if problem is None:
        raise Http404
    return render(request, "http/problem.html", {"problem": problem})
