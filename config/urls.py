"""Every URL of the service."""

from typing import Any

from django.contrib import admin
from django.urls import include, path, re_path

from config import shop_apps
from config.api import previews, router
from config.endpoints import CustomerEndpoint, InventoryEndpoint, OrderEndpoint
from config.health import healthz, readyz
from config.http.answers.pages import problem_page
from config.http.openapi.schema_views import DocsView, SchemaView, docs_file
from config.metrics import MetricsView
from config.pages import favicon, start_page
from ordering_read.api.feed import FeedViewSet
from ordering_read.api.fulfilment import FulfilmentQueueViewSet
from ordering_read.api.parked_events import ParkedEventViewSet
from ordering_read.api.projections import ProjectionViewSet
from ordering_read.api.reports import SalesByDayViewSet, SalesByProductViewSet, TaxesByDayViewSet
from ordering_read.api.search import SearchViewSet
from ordering_read.api.webhooks import WebhookDeliveryViewSet, WebhookEndpointViewSet
from ordering_write.api.webhooks import PaymentWebhookView

router.register("orders", OrderEndpoint, basename="order")
router.register("customers", CustomerEndpoint, basename="customer")
router.register("inventory", InventoryEndpoint, basename="product")
router.register("fulfilment-queue", FulfilmentQueueViewSet, basename="fulfilment-queue")
router.register("search", SearchViewSet, basename="search")
router.register("feed", FeedViewSet, basename="feed")
router.register("reports/sales-by-day", SalesByDayViewSet, basename="sales-by-day")
router.register("reports/taxes-by-day", TaxesByDayViewSet, basename="taxes-by-day")
router.register("reports/sales-by-product", SalesByProductViewSet, basename="sales-by-product")
router.register("projections", ProjectionViewSet, basename="projection")
router.register("parked-events", ParkedEventViewSet, basename="parked-event")
router.register("webhook-endpoints", WebhookEndpointViewSet, basename="webhook-endpoint")
router.register("webhook-deliveries", WebhookDeliveryViewSet, basename="webhook-delivery")
# Shops register their addresses in the modules ``endpoints`` of their packages.
shop_apps.load_of_packages("endpoints")

_number = r"(?P<number>[^/]+)/?$"
_order: dict[str, Any] = {
    "actions": {"get": "by_number"},
    "detail": False,
    "name": "Order",
}

urlpatterns = [
    path("", start_page, name="start"),
    path("favicon.ico", favicon, name="favicon"),
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("metrics", MetricsView.as_view(), name="metrics"),
    path("problems/<slug:slug>", problem_page, name="problem"),
    path("webhooks/payments", PaymentWebhookView.as_view(), name="payment-webhook"),
    path("my/", include("ordering_read.my.urls")),
    path("admin/", include("ordering_read.screens.urls")),
    path("admin/", admin.site.urls),
    path("api/schema", SchemaView.as_view(), name="schema"),
    path("api/docs", DocsView.as_view(), name="docs"),
    path("api/docs/<str:name>", docs_file, name="docs-file"),
    path("api/v1", router.get_api_root_view(), name="api"),
    previews("api/v1/", router),
    re_path(
        rf"^api/v1/order-numbers/{_number}",
        OrderEndpoint.as_view(**_order),
        name="order-number",
    ),
    # The former address isn't in the document: generators can't tell it from /orders/{order_id}/….
    re_path(
        rf"^api/v1/orders/by-number/{_number}",
        OrderEndpoint.as_view(**_order, schema=None),
        name="order-by-number",
    ),
    path("api/v1/", include(router.urls)),
]

handler400 = "config.http.answers.pages.bad_request"
handler403 = "config.http.answers.pages.permission_denied"
handler404 = "config.http.answers.pages.page_not_found"
handler500 = "config.http.answers.pages.server_error"
