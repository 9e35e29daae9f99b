"""The URLs of our own pages on the admin site; they come before those of Django's admin."""

from django.contrib import admin
from django.urls import URLPattern, path

from ordering_read.admin import kept_forms
from ordering_read.screens.base import Screen
from ordering_read.screens.bulk import BulkJobScreen, BulkJobsScreen
from ordering_read.screens.causes import CausesScreen
from ordering_read.screens.dispatching import DispatchScreen
from ordering_read.screens.exports import ExportFileScreen, ExportScreen, ExportsScreen
from ordering_read.screens.given_up import GivenUpScreen, RetryGivenUpScreen, SkipGivenUpScreen
from ordering_read.screens.history import OrderHistoryScreen
from ordering_read.screens.new_order import NewOrderScreen
from ordering_read.screens.packing import PackingScreen
from ordering_read.screens.parked import RetryParkedScreen, SkipParkedScreen
from ordering_read.screens.printing import PackingSlipsScreen, PickListScreen
from ordering_read.screens.rebuilding import PROJECTION_SCREENS
from ordering_read.screens.reports import ReportsScreen
from ordering_read.screens.saved_views import SavedViewsScreen
from ordering_read.screens.search import SearchScreen
from ordering_read.screens.suggestions import SuggestCustomers, SuggestProducts
from ordering_read.screens.system import SystemScreen
from ordering_read.screens.today import TodayScreen
from ordering_read.screens.webhooks import WEBHOOK_SCREENS


def _screen(route: str, screen: type[Screen], name: str) -> URLPattern:
    """Return the URL of ``screen``, which needs a login like the pages of Django's admin."""
    return path(route, admin.site.admin_view(screen.as_view()), name=name)


app_name = "screens"
urlpatterns = [
    _screen("", TodayScreen, "today"),
    _screen("search/", SearchScreen, "search"),
    path("orders/new/", kept_forms.site_view(NewOrderScreen.as_view()), name="new-order"),
    _screen("suggest/customers/", SuggestCustomers, "suggest-customers"),
    _screen("suggest/products/", SuggestProducts, "suggest-products"),
    path("packing/", kept_forms.site_view(PackingScreen.as_view()), name="packing"),
    _screen("packing/pick-list/", PickListScreen, "pick-list"),
    _screen("packing/slips/", PackingSlipsScreen, "packing-slips"),
    path("dispatch/", kept_forms.site_view(DispatchScreen.as_view()), name="dispatch"),
    _screen("bulk/", BulkJobsScreen, "bulk-actions"),
    _screen("bulk/<uuid:job_id>/", BulkJobScreen, "bulk-action"),
    _screen("reports/", ReportsScreen, "reports"),
    _screen("views/", SavedViewsScreen, "saved-views"),
    _screen("exports/", ExportsScreen, "exports"),
    _screen("exports/<uuid:export_id>/", ExportScreen, "export"),
    _screen("exports/<uuid:export_id>/file/", ExportFileScreen, "export-file"),
    _screen("orders/<uuid:order_id>/history/", OrderHistoryScreen, "order-history"),
    _screen("causes/<uuid:correlation_id>/", CausesScreen, "causes"),
    _screen("system/", SystemScreen, "system"),
    *(_screen(f"system/{name}/", screen, name) for name, screen in PROJECTION_SCREENS.items()),
    _screen("system/given-up/", GivenUpScreen, "given-up"),
    _screen("system/given-up/retry/", RetryGivenUpScreen, "retry-given-up"),
    _screen("system/given-up/skip/", SkipGivenUpScreen, "skip-given-up"),
    _screen("system/parked/retry/", RetryParkedScreen, "retry-parked"),
    _screen("system/parked/skip/", SkipParkedScreen, "skip-parked"),
    *(_screen(f"system/{name}/", screen, name) for name, screen in WEBHOOK_SCREENS.items()),
]
