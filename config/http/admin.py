"""Base of the admin pages: they show records, and their actions send commands."""

from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.safestring import SafeString

from config.http.answers.pagination import COUNT_CAP
from config.http.answers.problems import detail_of, is_anticipated


def parse_uuid(text: str) -> UUID | None:
    """Return the UUID in ``text``, or None if the text is anything else."""
    try:
        return UUID(text)
    except ValueError:
        return None


def page_url(model: type[Model], key: object) -> str:
    """Return the URL of the page of one row of ``model``."""
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[key])


def list_url(model: type[Model], query: str = "") -> str:
    """Return the URL of the list of ``model``, with a query string such as ``?q=...``."""
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist") + query


def link(url: str, label: object) -> SafeString:
    """Return an HTML link."""
    return format_html('<a href="{}">{}</a>', url, label)


class CappedPaginator(Paginator):
    """Counts at most COUNT_CAP rows: an exact count of a long table costs more than its page."""

    @cached_property
    def count(self) -> int:
        rows: QuerySet[Model] = self.object_list  # type: ignore[assignment]
        return min(rows.order_by()[: COUNT_CAP + 1].count(), COUNT_CAP)


class ReadOnlyAdmin(admin.ModelAdmin):
    """Shows its records to the holders of ``needed_permission`` ("app_label.codename").

    Nobody adds, changes or deletes records; an action that sends commands names its own permission.
    """

    needed_permission: str

    paginator = CappedPaginator
    show_full_result_count = False
    # Facets would count the rows of each filter in the whole table.
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    list_max_show_all = 0
    actions_selection_counter = True

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return bool(request.user.has_perm(self.needed_permission))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        return (self.search(request, queryset, term) if term else queryset), False

    def search(self, request: HttpRequest, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        """Return the ``rows`` that match the search term, which is never empty.

        Override this where ``search_fields`` would read the whole table.
        """
        matches: QuerySet[Any] = super().get_search_results(request, rows, term)[0]
        return matches

    def dispatch_each(
        self,
        request: HttpRequest,
        records: Iterable[Any],
        dispatch: Callable[[Any], object],
        *,
        done: str,
    ) -> None:
        """Call ``dispatch`` for each record, and show one message per record.

        ``done`` is the text of a success ("cancelled"). A refusal is shown with its reason, and
        the next record follows. An unanticipated error is raised.
        """
        for record in records:
            try:
                dispatch(record)
            except Exception as error:
                if not is_anticipated(error):
                    raise
                self.message_user(request, f"{record}: {detail_of(error)}", messages.ERROR)
            else:
                self.message_user(request, f"{record}: {done}", messages.SUCCESS)
