"""The router of the API, its root (the links to all lists), and the addresses of previews."""

from collections.abc import Iterator, Mapping
from typing import Any

from django.urls import URLPattern, URLResolver, re_path
from django.urls.resolvers import RoutePattern
from drf_spectacular.utils import extend_schema
from rest_framework import routers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from config.http.openapi.previews import PREVIEW
from config.http.views import ApiView

_OPTIONAL_SLASH = "/?"
_COMMAND_METHODS = ("post", "put", "patch", "delete")


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
        self.trailing_slash = _OPTIONAL_SLASH

    def get_api_root_view(self, api_urls: Any = None) -> Any:
        """Return the view that links to the lists registered so far, by the ends of their paths."""
        routes = {path.rpartition("/")[2]: f"{name}-list" for path, _, name in self.registry}
        return RootView.as_view(routes=routes)


# The addresses of the API. Its root shows them in the order of their registration.
router = Router()


class _PreviewPattern(RoutePattern):
    """Matches the addresses that end with ``/preview`` only: others skip all of its routes."""

    def match(self, path: str) -> Any:
        return super().match(path) if path.rstrip("/").endswith(PREVIEW) else None


def previews(prefix: str, router: Router) -> URLResolver:
    """Return the addresses of the previews: those of the commands of ``router``, and /preview.

    They come before the addresses of the commands, because ``/orders/{order_id}`` matches
    ``/orders/preview`` too. The OpenAPI document gets them from ``with_previews``.
    """
    return URLResolver(_PreviewPattern(prefix), list(_preview_routes(router)))


def _preview_routes(router: Router) -> Iterator[URLPattern]:
    routes: list[Any] = router.urls
    for route in routes:
        # DRF keeps the class, the actions and the arguments of a viewset on its function.
        view = route.callback
        if getattr(view.cls, "dry_run_body", None) is None:
            continue
        methods = {name: view.actions[name] for name in _COMMAND_METHODS if name in view.actions}
        if methods:
            address = str(route.pattern).removesuffix(f"{_OPTIONAL_SLASH}$")
            arguments = {**view.initkwargs, "schema": None, "is_preview": True}
            preview = view.cls.as_view(methods, **arguments)
            name = f"{route.name}-preview"
            yield re_path(f"{address}{PREVIEW}{_OPTIONAL_SLASH}$", preview, name=name)
