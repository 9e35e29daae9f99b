"""The start page: where everything is."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe


@require_safe
def start_page(request: HttpRequest) -> HttpResponse:
    """``/``: links to the API, its documentation, the admin and the health pages."""
    return render(request, "start.html")
