"""Pages that belong to no app: the start page, and the icon that browsers request."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe


@require_safe
def start_page(request: HttpRequest) -> HttpResponse:
    """``/``: links to the API, its documentation, the admin and the health pages."""
    return render(request, "start.html")


@require_safe
def favicon(request: HttpRequest) -> HttpResponse:
    """``/favicon.ico``: an empty answer, because browsers request the icon of every page."""
    return HttpResponse(status=204, headers={"Cache-Control": "max-age=604800"})
