"""Choosing the format of an answer: by ``?format=``, else by the header Accept."""

from collections.abc import Iterable

from django.http import HttpRequest
from django.utils.http import parse_header_parameters
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from config.http.errors import ParameterError

# The query parameter that names a format.
FORMAT = "format"


class ContentNegotiation(DefaultContentNegotiation):
    """DRF's negotiation, with ``?format=`` before Accept; unreadable parts of Accept are ignored.

    Raises ParameterError for a format that the view doesn't offer.
    """

    def select_renderer(
        self,
        request: Request,
        renderers: Iterable[BaseRenderer],
        format_suffix: str | None = None,
    ) -> tuple[BaseRenderer, str]:
        name = request.query_params.get(FORMAT)
        if name is None:
            return super().select_renderer(request, renderers, format_suffix)
        offered = list(renderers)
        for renderer in offered:
            if renderer.format == name:
                return renderer, renderer.media_type
        formats = ", ".join(str(renderer.format) for renderer in offered)
        raise ParameterError(FORMAT, f"The formats here are: {formats}.")

    def get_accept_list(self, request: Request) -> list[str]:
        readable = [token for token in super().get_accept_list(request) if _is_readable(token)]
        return readable or ["*/*"]


def is_api(request: HttpRequest) -> bool:
    """Return True if ``request`` is for an address of the API."""
    return request.path_info == "/api" or request.path_info.startswith("/api/")


def wants_html(request: HttpRequest) -> bool:
    """Return True if the answer is for a person: outside the API, unless JSON is preferred."""
    if is_api(request):
        return False
    try:
        preferred = request.get_preferred_type(["text/html", "application/json"])
    except ValueError:
        return True
    return preferred != "application/json"


def _is_readable(token: str) -> bool:
    try:
        parse_header_parameters(token)
    except ValueError:
        return False
    return True
