"""The router of the API, and its root: the links to all lists."""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import routers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from config.http.views import ApiView


class RootView(ApiView):
    """Links to the lists of the API. After a login, each list shows what the user may see."""

    public = True
    # Names of routes, by the names of their links.
    routes: Mapping[str, str] = {}

    @extend_schema(exclude=True)
    def get(self, request: Request) -> Response:
        routes = {**self.routes, "docs": "docs", "schema": "schema"}
        return Response({name: reverse(route, request=request) for name, route in routes.items()})

    def get_view_name(self) -> str:
        return "API"


class Router(routers.DefaultRouter):
    """DRF's router, with an optional slash at the end of paths, and without format suffixes."""

    include_format_suffixes = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.trailing_slash = "/?"

    def get_api_root_view(self, api_urls: Any = None) -> Any:
        """Return the view that links to the lists registered so far, by the ends of their paths."""
        routes = {path.rpartition("/")[2]: f"{name}-list" for path, _, name in self.registry}
        return RootView.as_view(routes=routes)


# The addresses of the API. Its root shows them in the order of their registration.
router = Router()
