"""The router of the API: addresses with and without a trailing slash, and a root that links."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import routers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from config.http.views import ApiView


class RootView(ApiView):
    """Everything below starts here. Whoever is logged in sees what their role may see."""

    public = True

    @extend_schema(exclude=True)
    def get(self, request: Request) -> Response:
        lists = {
            "orders": "order",
            "customers": "customer",
            "inventory": "product",
            "fulfilment-queue": "fulfilment-queue",
            "search": "search",
            "feed": "feed",
            "sales-by-day": "sales-by-day",
            "sales-by-product": "sales-by-product",
            "projections": "projection",
            "parked-events": "parked-event",
        }
        links = {name: reverse(f"{of}-list", request=request) for name, of in lists.items()}
        return Response(
            links
            | {
                "docs": reverse("docs", request=request),
                "schema": reverse("schema", request=request),
            }
        )

    def get_view_name(self) -> str:
        return "API"


class Router(routers.DefaultRouter):
    """DRF's, with an optional slash at the end, and without format suffixes."""

    include_format_suffixes = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.trailing_slash = "/?"

    def get_api_root_view(self, api_urls: Any = None) -> Any:
        return RootView.as_view()
