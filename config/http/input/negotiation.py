"""Which format an answer has: by ``?format=``, else by the header Accept."""

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
    """DRF's, but ``?format=`` outranks Accept and what can't be read in Accept is passed over."""

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
        choice = ", ".join(str(renderer.format) for renderer in offered)
        raise ParameterError(FORMAT, f"The formats here are: {choice}.")

    def get_accept_list(self, request: Request) -> list[str]:
        readable = [token for token in super().get_accept_list(request) if _is_readable(token)]
        return readable or ["*/*"]


def wants_html(request: HttpRequest) -> bool:
    """True when a person asks: a page outside the API, for a client that takes HTML as it comes."""
    if request.path_info == "/api" or request.path_info.startswith("/api/"):
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
