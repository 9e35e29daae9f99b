"""The admin site, for staff whose access isn't limited to one customer."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from django.conf import settings
from django.contrib import admin
from django.contrib.admin.apps import SimpleAdminConfig
from django.contrib.admin.checks import check_admin_app, check_dependencies
from django.core import checks
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse

from config.http.answers.problems import problem_body
from config.http.input.negotiation import wants_html

View = TypeVar("View", bound=Callable[..., HttpResponseBase])

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

    def admin_view(self, view: View, cacheable: bool = False) -> View:
        """Return ``view`` as a page of the site, with a page of the site for a refusal."""
        site_view = super().admin_view(view, cacheable)

        @wraps(site_view)
        def refusing(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            try:
                return site_view(request, *args, **kwargs)
            except PermissionDenied as error:
                if not (wants_html(request) and self.has_permission(request)):
                    raise
                return self._refused(request, error)

        return refusing  # type: ignore[return-value]

    def _refused(self, request: HttpRequest, error: PermissionDenied) -> HttpResponseBase:
        problem = problem_body(request, error)
        context = {
            **self.each_context(request),
            "title": "You may not do this",
            "problem": problem,
        }
        return TemplateResponse(request, "admin/refused.html", context, status=problem["status"])

    def login(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Lead customers who are logged in to their own pages; ask everybody else to log in."""
        # Imported here because Django loads this module before the models.
        from config.accounts.roles import is_customer

        if request.method == "GET" and is_customer(request.user):
            return redirect(settings.LOGIN_REDIRECT_URL)
        return super().login(request, extra_context)

    def register(
        self, model_or_iterable: Any, admin_class: type[Any] | None = None, **options: Any
    ) -> None:
        """Register an admin class. Its list accepts only the filters that the class declares.

        This holds for Django's own classes too, such as the admin of groups.
        """
        # Imported here because Django loads this module before the models.
        from config.http.admin import DeclaredListAdmin

        base = admin_class or admin.ModelAdmin
        if not issubclass(base, DeclaredListAdmin):
            base = type(base.__name__, (DeclaredListAdmin, base), {"__module__": base.__module__})
        super().register(model_or_iterable, base, **options)

    def get_urls(self) -> list[Any]:
        admin.autodiscover()
        # No model of ours has a page on the site, and no field completes what people type.
        unused = {"view_on_site", "autocomplete"}
        urls = [url for url in super().get_urls() if getattr(url, "name", None) not in unused]
        return [path("confirm/", self.admin_view(self.confirm), name="confirm"), *urls]

    def app_index(  # type: ignore[override]
        self, request: HttpRequest, app_label: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Lead to Today: the navigation lists what people do, not the apps of the code."""
        return redirect("admin:index")

    def password_change(  # type: ignore[override]
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponseBase:
        # Imported here because Django loads this module before the models.
        from config.accounts.views import OwnPasswordView

        view = OwnPasswordView.as_view(
            success_url=reverse("admin:password_change_done"),
            template_name="registration/password_change_form.html",
            extra_context={**self.each_context(request), **(extra_context or {})},
        )
        return view(request)

    def confirm(self, request: HttpRequest) -> HttpResponseBase:
        """Ask for the password again, before the pages of accounts."""
        # Imported here because Django loads this module before the models.
        from config.accounts.views import ConfirmView

        context = {**self.each_context(request), "title": "Confirm your password"}
        return ConfirmView.as_view(extra_context=context)(request)

    def get_app_list(
        self, request: HttpRequest, app_label: str | None = None
    ) -> list[dict[str, Any]]:
        apps: list[dict[str, Any]] = super().get_app_list(request, app_label)
        return sorted(apps, key=lambda app: _ORDER.get(app["app_label"], len(_ORDER)))


class StaffSiteConfig(SimpleAdminConfig):
    """Loads the modules of the admin with its URLs or for a check: most processes need neither."""

    default_site = "config.accounts.admin_site.StaffSite"

    def ready(self) -> None:
        checks.register(check_dependencies, checks.Tags.admin)
        checks.register(_check_site, checks.Tags.admin)


def _check_site(*args: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    admin.autodiscover()
    return check_admin_app(*args, **kwargs)
