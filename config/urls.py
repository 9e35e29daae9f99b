"""Every URL of the service, and the joint between writing and reading.

One address serves both: its safe methods are the read app's viewset and its unsafe ones the write
app's commands. They are joined here in one class, so that OPTIONS, 405, forms and the OpenAPI
document know of both.
"""

from django.contrib import admin
from django.urls import include, path

from config.api import Router
from config.health import healthz, readyz
from config.http.pages import problem_page
from config.http.schema_views import DocsView, SchemaView
from config.pages import start_page
from ordering_read.api import (
    CustomerViewSet,
    InventoryViewSet,
    OrderViewSet,
    ProjectionViewSet,
)
from ordering_write.api import CustomerCommands, OrderCommands, StockCommands


class OrderEndpoint(OrderCommands, OrderViewSet):
    """Orders: placed, moved and cancelled by commands, shown by the projection order_view."""

    needed_permissions = {**OrderViewSet.needed_permissions, **OrderCommands.needed_permissions}


class CustomerEndpoint(CustomerCommands, CustomerViewSet):
    """Customers and their orders."""

    needed_permissions = {
        **CustomerViewSet.needed_permissions,
        **CustomerCommands.needed_permissions,
    }


class InventoryEndpoint(StockCommands, InventoryViewSet):
    """Products and what is in stock of them."""

    needed_permissions = {**InventoryViewSet.needed_permissions, **StockCommands.needed_permissions}


router = Router()
router.register("orders", OrderEndpoint, basename="order")
router.register("customers", CustomerEndpoint, basename="customer")
router.register("inventory", InventoryEndpoint, basename="product")
router.register("projections", ProjectionViewSet, basename="projection")

urlpatterns = [
    path("", start_page, name="start"),
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("problems/<slug:slug>", problem_page, name="problem"),
    path("admin/", admin.site.urls),
    path("api/schema", SchemaView.as_view(), name="schema"),
    path("api/docs", DocsView.as_view(), name="docs"),
    path("api/v1", router.get_api_root_view(), name="api"),
    path("api/v1/", include(router.urls)),
]

handler400 = "config.http.pages.bad_request"
handler403 = "config.http.pages.permission_denied"
handler404 = "config.http.pages.page_not_found"
handler500 = "config.http.pages.server_error"
