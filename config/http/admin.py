"""Base of the admin pages: they show records, and their actions send commands."""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, ClassVar
from urllib.parse import quote
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import get_fields_from_path
from django.contrib.admin.views.main import (
    ALL_VAR,
    ORDER_VAR,
    PAGE_VAR,
    SEARCH_VAR,
    ChangeList,
)
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import get_script_prefix, reverse
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.safestring import SafeString

from config.http.answers.pagination import COUNT_CAP
from config.http.answers.problems import detail_of, is_anticipated
from config.http.errors import ParameterError, UnknownParameterError
from config.http.filter_forms import FilterForm, FormFilter, without_empty

# Stands for the key of a row in a URL.
_KEY = "KEY-OF-ROW"
_COLUMNS = re.compile(r"-?[0-9]{1,3}(\.-?[0-9]{1,3})*")


def parse_uuid(text: str) -> UUID | None:
    """Return the UUID in ``text``, or None if the text is anything else."""
    try:
        return UUID(text)
    except ValueError:
        return None


def page_url(model: type[Model], key: object) -> str:
    """Return the URL of the page of one row of ``model``, whose key is an id."""
    return _pattern(model, "change", get_script_prefix()).replace(_KEY, quote(str(key)))


def list_url(model: type[Model], query: str = "") -> str:
    """Return the URL of the list of ``model``, with a query string such as ``?q=...``."""
    return _pattern(model, "changelist", get_script_prefix()) + query


@cache
def _pattern(model: type[Model], page: str, script_prefix: str) -> str:
    """Return the URL of a page, with _KEY in place of the key: a list has a hundred such URLs."""
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}"
    return reverse(name, args=[_KEY] if page == "change" else [])


def link(url: str, label: object) -> SafeString:
    """Return an HTML link."""
    return format_html('<a href="{}">{}</a>', url, label)


class CappedPaginator(Paginator):
    """Counts at most COUNT_CAP rows: an exact count of a long table costs more than its page."""

    @cached_property
    def count(self) -> int:
        rows: QuerySet[Model] = self.object_list  # type: ignore[assignment]
        return min(rows.order_by()[: COUNT_CAP + 1].count(), COUNT_CAP)


class DeclaredListAdmin(admin.ModelAdmin):
    """Accepts in the query string of a list only what the admin declares; see ``StaffSite``.

    Django filters a list by any column of its model, so that a user could find out the values of a
    column that the list masks, letter by letter. ``list_lookups`` names the look-ups that links to
    the list use, apart from the look-ups of ``list_filter``.
    """

    list_lookups: ClassVar[Sequence[str]] = ()

    # Facets would count the rows of each filter in the whole table.
    show_facets = admin.ShowFacets.NEVER

    @admin.display(description="")
    def action_checkbox(self, obj: Model) -> SafeString:
        """Return the checkbox of a row, as Django writes it by a template."""
        return format_html(
            '<input type="checkbox" name="{}" value="{}" class="action-select" aria-label="{}">',
            ACTION_CHECKBOX_NAME,
            obj.pk,
            f"Select this object for an action - {obj}",
        )

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Return True if a filter of the list, or ``list_lookups``, declares ``lookup``."""
        return lookup in self._declared_lookups(request)

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """Return the list that the query string asks for; the first page if its page is gone.

        Raises UnknownParameterError or ParameterError for anything that the list doesn't declare.
        """
        self._check_query(request)
        try:
            return super().get_changelist_instance(request)
        except IncorrectLookupParameters as error:
            if error.args:
                # Django doesn't tell which filter can't use its value.
                raise ParameterError(
                    "query", "A filter of this list can't use its value."
                ) from error
        query = request.GET.copy()
        query.pop(PAGE_VAR, None)
        request.GET = query  # type: ignore[assignment]
        return super().get_changelist_instance(request)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        names = {SEARCH_VAR, *(name for form in self._forms(request) for name in form.base_fields)}
        if request.method == "GET" and (query := without_empty(request.GET, names)) is not None:
            return HttpResponseRedirect(f"{request.path}?{query.urlencode()}")
        return super().changelist_view(request, extra_context)

    def _forms(self, request: HttpRequest) -> list[type[FilterForm]]:
        return [
            item.form_class
            for item in self.get_list_filter(request)
            if isinstance(item, type) and issubclass(item, FormFilter)
        ]

    def response_action(
        self, request: HttpRequest, queryset: QuerySet[Any], *args: Any
    ) -> HttpResponse | None:
        for key in request.POST.getlist(ACTION_CHECKBOX_NAME):
            try:
                self.opts.pk.clean(key, None)
            except ValidationError as error:
                text = f"{key!r} is not the key of a row."
                raise ParameterError(ACTION_CHECKBOX_NAME, text) from error
        return super().response_action(request, queryset, *args)

    def _check_query(self, request: HttpRequest) -> None:
        accepted = {PAGE_VAR}
        if self.get_search_fields(request):
            accepted.add(SEARCH_VAR)
        if self.get_sortable_by(request):
            accepted.add(ORDER_VAR)
        if self.list_max_show_all:
            accepted.add(ALL_VAR)
        if set(request.GET) - accepted:
            accepted |= self._declared_lookups(request)
        for name in request.GET:
            if name not in accepted:
                raise UnknownParameterError(name, sorted(accepted))
        if order := request.GET.get(ORDER_VAR):
            self._check_order(request, order)

    def _check_order(self, request: HttpRequest, order: str) -> None:
        """Check numbers of columns such as ``2.-1``. Raises ParameterError."""
        columns = list(self.get_list_display(request))
        if self.get_actions(request):
            columns.insert(0, "action_checkbox")
        sortable = {
            number
            for number, column in enumerate(columns)
            if column in self.get_sortable_by(request)
        }
        numbers = re.findall("[0-9]+", order) if _COLUMNS.fullmatch(order) else ()
        if not numbers or not sortable.issuperset(map(int, numbers)):
            raise ParameterError(ORDER_VAR, f"This list has no order {order!r}.")

    def _declared_lookups(self, request: HttpRequest) -> set[str]:
        page: Any = request
        # Some filters query the database for their choices: build them once per request.
        if not hasattr(page, "declared_lookups"):
            filters = self.get_list_filter(request)
            names = {
                *self.list_lookups,
                *(name for item in filters for name in self._parameters(request, item)),
            }
            # Both spellings of the same look-up.
            page.declared_lookups = names | {name.removesuffix("__exact") for name in names}
        lookups: set[str] = page.declared_lookups
        return lookups

    def _parameters(self, request: HttpRequest, item: Any) -> Iterable[str]:
        """Return the parameters of one item of ``list_filter``."""
        if not isinstance(item, str):
            is_form = issubclass(item, FormFilter)
            return item.form_class.base_fields if is_form else [item.parameter_name]
        field = get_fields_from_path(self.model, item)[-1]
        spec = admin.FieldListFilter.create(
            field,
            request,
            {},
            self.model,
            self,
            field_path=item,
        )
        return [name for name in spec.expected_parameters() if name]


class ReadOnlyAdmin(DeclaredListAdmin):
    """Shows its records to the holders of ``needed_permission`` ("app_label.codename").

    Nobody adds, changes or deletes records; an action that sends commands names its own permission.
    """

    needed_permission: str

    paginator = CappedPaginator
    show_full_result_count = False
    list_per_page = 50
    list_max_show_all = 0
    actions_selection_counter = True
    # Django would resolve the link of each row, to add the filters for a form that nobody sends.
    preserve_filters = False

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

        ``done`` is the text of a success ("cancelled"). A refusal is shown with its reason, and the
        next record follows. An unanticipated error is raised.
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
