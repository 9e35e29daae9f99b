"""The admin site, for staff whose access isn't limited to one customer."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.apps import AdminConfig
from django.http import HttpRequest, HttpResponse

# Pages for daily work come first, then the log behind them, then accounts.
_ORDER = {"ordering_read": 0, "ordering_write": 1}


class StaffSite(admin.AdminSite):
    """The default admin site. Its pages show the data of every customer."""

    site_title = site_header = "Order service"
    index_title = "Orders, stock and the event log"
    # The lists need the full width. base_site.html links the pages above them.
    enable_nav_sidebar = False

    def has_permission(self, request: HttpRequest) -> bool:
        # Imported here because Django loads this module before the models.
        from config.accounts.roles import customer_scope

        return super().has_permission(request) and customer_scope(request.user) is None

    def login(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if request.method != "POST":
            return super().login(request, extra_context)
        # Imported here because Django loads this module before the models.
        from config.http.limits import throttling

        keys = throttling.count_login(request, name=request.POST.get("username", ""))
        response = super().login(request, extra_context)
        # A failed login shows the form again, with status 200.
        if response.status_code == 302:
            throttling.uncount_login(keys)
        return response

    def get_app_list(
        self, request: HttpRequest, app_label: str | None = None
    ) -> list[dict[str, Any]]:
        apps: list[dict[str, Any]] = super().get_app_list(request, app_label)
        return sorted(apps, key=lambda app: _ORDER.get(app["app_label"], len(_ORDER)))


class StaffSiteConfig(AdminConfig):
    default_site = "config.accounts.admin_site.StaffSite"
