"""The admin site: for staff, and never for a user that acts for one customer only."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.apps import AdminConfig
from django.http import HttpRequest, HttpResponse

# What people work with comes before what it is made of, and both before who they are.
_ORDER = {"ordering_read": 0, "ordering_write": 1}


class StaffSite(admin.AdminSite):
    """The default admin site. Its pages show every customer's things."""

    site_title = site_header = "Order service"
    index_title = "What there is, and what has happened"
    # The tables are wide; the pages are listed in a row above them.
    enable_nav_sidebar = False

    def has_permission(self, request: HttpRequest) -> bool:
        # Imported here: the module needs the models, which are loaded after this one.
        from config.accounts.roles import customer_scope

        return super().has_permission(request) and customer_scope(request.user) is None

    def login(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if request.method != "POST":
            return super().login(request, extra_context)
        # Imported here, as above.
        from config.http.limits import throttling

        counted = throttling.count_login(request, name=request.POST.get("username", ""))
        response = super().login(request, extra_context)
        # The form is shown again, with status 200, to whoever isn't let in.
        if response.status_code == 302:
            throttling.give_login_back(counted)
        return response

    def get_app_list(
        self, request: HttpRequest, app_label: str | None = None
    ) -> list[dict[str, Any]]:
        apps: list[dict[str, Any]] = super().get_app_list(request, app_label)
        return sorted(apps, key=lambda app: _ORDER.get(app["app_label"], len(_ORDER)))


class StaffSiteConfig(AdminConfig):
    default_site = "config.accounts.admin_site.StaffSite"
