"""The base classes and links that the admin pages of the read models share."""

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, cast

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import Model, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Collate, Upper
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.timezone import localtime
from pydantic import ValidationError

from config.accounts.models import User
from config.http.admin import ReadOnlyAdmin, link, list_url, page_url, parse_uuid
from ordering_read.admin.gaps import (
    gap_details,
    gap_of_stream,
    gaps_of,
    incomplete_named,
    incomplete_of,
    incomplete_search,
)
from ordering_read.engine.gaps import ProjectionGap, Streams, answer_gap
from ordering_read.models import ReadModel
from ordering_read.queries.lists import ListQuery
from ordering_write import client
from ordering_write.published import quantize

# The most refused attempts that a page counts.
_MOST_REFUSALS = 99
# An amount of four digits or more in a text, before its currency.
_LONG_AMOUNT = re.compile(r"\b\d{4,}(?:\.\d+)?(?= [A-Z]{3}\b)")
# A moment in a sentence of the domain: "2026-12-03 23:46 UTC", "2026-12-03 23:46:10+01:00".
_MOMENT = re.compile(r"\b(\d{4}-\d\d-\d\d \d\d:\d\d(?::\d\d(?:\.\d+)?)?)( UTC|[+-]\d\d:\d\d)")


def for_programs(*fields: str) -> Any:
    """Return the folded fieldset of a page with ``fields`` that people seldom need."""
    return "For programs", {"classes": ("collapse",), "fields": fields}


def user_of(request: HttpRequest) -> User:
    """Return the user of an admin page, who is never anonymous."""
    return cast(User, request.user)


def log_url(request: HttpRequest, stream: str) -> str:
    """Return the URL of the events of ``stream``, or "" for a user who may not read the log."""
    if not request.user.has_perm("ordering_write.view_outbox"):
        return ""
    return reverse("admin:ordering_write_outboxevent_changelist") + f"?q={stream}"


def refused_attempts(request: HttpRequest, stream: str) -> str:
    """Return the number of refused attempts at ``stream``, such as "3"; "" for none.

    Also "" for a user who may not read the log.
    """
    if not request.user.has_perm("ordering_write.view_outbox"):
        return ""
    number = client.refusals_of(stream, most=_MOST_REFUSALS + 1)
    return f"more than {_MOST_REFUSALS}" if number > _MOST_REFUSALS else str(number or "")


def money(amount: Decimal, currency: str) -> str:
    """Return an amount as people read it: ``1,019.90 EUR``."""
    return f"{quantize(amount, currency):,} {currency}"


def grouped(value: Any) -> str:
    """Return a number, or a text with amounts such as "1019.90 EUR", with thousands separators.

    An empty text for None.
    """
    match value:
        case None:
            return ""
        case int() | Decimal():
            return f"{value:,}"
    return _LONG_AMOUNT.sub(lambda amount: f"{Decimal(amount[0]):,}", str(value))


def in_store_time(sentence: str) -> str:
    """Return a sentence of the domain with its moments in the store's time zone."""

    def store_time(match: re.Match[str]) -> str:
        try:
            moment = datetime.fromisoformat(match[1] + match[2].replace(" UTC", "+00:00"))
            return date_format(localtime(moment), "j M Y, H:i")
        except (ValueError, OverflowError):
            # The sentence quotes what people typed.
            return match[0]

    return _MOMENT.sub(store_time, sentence)


def link_column(
    model: type[Model], key: str, label: str, text: str = ""
) -> Callable[[Any, Any], SafeString | None]:
    """Return a column that links a row to the row of ``model`` that its field ``key`` names.

    The text of the link is the field ``text``, or "Show" where there is none or it is empty. There
    is no link if the key is None.
    """

    @admin.display(description=label)
    def column(_page: ReadOnlyAdmin, row: Any) -> SafeString | None:
        identity = getattr(row, key)
        if identity is None:
            return None
        return link(page_url(model, identity), (getattr(row, text) if text else "") or "Show")

    return column


def money_column(field: str, label: str) -> Callable[[Any, Any], str | None]:
    """Return a column for an amount in the row's currency; empty if the amount is None."""

    @admin.display(description=label)
    def column(_page: ReadOnlyAdmin, row: Any) -> str | None:
        amount = getattr(row, field)
        return None if amount is None else money(amount, row.currency)

    return column


def amount_column(field: str, label: str) -> Callable[[Any, Any], str | None]:
    """Return a column for an amount in a row whose currency is another column."""

    @admin.display(description=label)
    def column(_page: ReadOnlyAdmin, row: Any) -> str | None:
        amount = getattr(row, field)
        return None if amount is None else f"{quantize(amount, row.currency):,}"

    return column


def name_of(model: type[ReadModel], key: str, name: str) -> Subquery:
    """Return the field ``name`` of the row of ``model`` that has the ``key`` of a row of a list."""
    rows = model.live.filter(**{key: OuterRef(key)})
    return Subquery(rows.values(name)[:1])


@admin.display(description="Metadata")
def metadata_column(_page: ReadOnlyAdmin, row: Any) -> SafeString:
    """Return the pairs of metadata of ``row``, each in its own line."""
    return format_html_join("", "<div>{} = {}</div>", row.metadata.items())


def matching(
    rows: QuerySet[Any], text: str, *fields: str, query: Callable[[str], ListQuery[Any]]
) -> QuerySet[Any]:
    """Return the ``rows`` that ``query`` of ``text`` finds, or that start with ``text``.

    The beginnings are those of ``fields``. Each of the two has its own index, so they are united.
    """
    found = starting_with(rows, text, *fields).values("pk")
    try:
        found = found.union(query(text).select(rows).values("pk"))
    except ValidationError:
        return rows.none()
    return rows.filter(pk__in=found)


def starting_with(rows: QuerySet[Any], text: str, *fields: str) -> QuerySet[Any]:
    """Return the ``rows`` in which one of ``fields`` starts with ``text``, ignoring case.

    An index on the same expression serves the search: in the collation "C" a prefix is a range.
    """
    condition = Q()
    for field in fields:
        rows = rows.alias(**{f"{field}_upper": Collate(Upper(field), "C")})
        condition |= Q(**{f"{field}_upper__startswith": text.upper()})
    return rows.filter(condition)


class _ReadModelList(ChangeList):
    """A list of read models, with a column for the gaps of its rows if there are any.

    Links to a row by its identity, because a rebuild changes its primary key.
    """

    model_admin: "ReadModelAdmin"
    # The gap of the whole list, from which rows may be missing.
    projection_gap: ProjectionGap | None = None

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows = self.result_list = self._rows(request)
        projections = incomplete_of(rows, self.model)
        projections += incomplete_named(self.model_admin.also_reads)
        searched = incomplete_search() if self.query and self.model_admin.uses_search else []
        self.projection_gap = answer_gap([*projections, *searched])
        if not projections or not self.model_admin.stream_prefix:
            return
        for row, gap in zip(rows, gaps_of(rows, self.model_admin), strict=True):
            row.projection_gap = gap
        if any(row.projection_gap for row in rows):
            self.list_display = [*self.list_display, "missing_changes"]

    def _rows(self, request: HttpRequest) -> list[Any]:
        """Return the rows of the page, without their unlisted columns.

        A search walks through an index until it has found a page, so it reads the rows afterwards.
        """
        if not (self.query and self.model_admin.uses_search):
            return list(self.result_list.defer(*self.model_admin.unlisted))
        identity = self.model_admin.identity
        ids = list(self.result_list.values_list(identity, flat=True))
        rows = self.model_admin.get_queryset(request).filter(**{f"{identity}__in": ids})
        of_id = {getattr(row, identity): row for row in rows.defer(*self.model_admin.unlisted)}
        # A promotion between the statements can take a row away.
        return [of_id[key] for key in ids if key in of_id]

    def url_for_result(self, result: Model) -> str:
        return page_url(self.model, getattr(result, self.model_admin.identity))


class ReadModelAdmin(ReadOnlyAdmin):
    """Shows the live rows of a read model.

    ``identity`` is the field that names a row in every generation. Rows that belong to one stream
    each name the prefix of the streams, and the field with the id that follows it. ``also_reads``
    names further projections, from which such rows are made too.
    """

    identity: ClassVar[str]
    stream_prefix: ClassVar[str] = ""
    stream_field: ClassVar[str] = ""
    also_reads: ClassVar[tuple[str, ...]] = ()
    # True if a search reads the projection of the search.
    uses_search: ClassVar[bool] = False
    # The columns that the list doesn't read.
    unlisted: ClassVar[Sequence[str]] = ()

    sortable_by = ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        # The checkpoint of each row says whether the row may lack events.
        rows: QuerySet[Any] = self.model.live.select_related("projection")
        return rows

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        record = kwargs["obj"] if "obj" in kwargs else args[-1]
        context["projection_gaps"] = self.page_gaps(record)
        return super().render_change_form(request, context, *args, **kwargs)

    def page_gaps(self, record: Any) -> list[str]:
        """Return a sentence for the events that the page of ``record`` lacks, if any."""
        return gap_details([record], self)

    def streams(self, row: Any) -> Streams:
        """Return the streams from which ``row`` is made, by projection."""
        return {row.projection_name: [f"{self.stream_prefix}-{getattr(row, self.stream_field)}"]}

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        gap = self._gap_of_missing(request, object_id)
        if gap is None:
            return super().change_view(request, object_id, form_url, extra_context)
        # Django would call a record deleted whose first event isn't applied yet.
        self.message_user(request, f"{object_id}: {gap.detail}", messages.WARNING)
        return redirect(list_url(self.model))

    def _gap_of_missing(self, request: HttpRequest, object_id: str) -> ProjectionGap | None:
        """Return the events from which the row of a record is yet to be made."""
        key, name = parse_uuid(object_id), self.model.projection_name
        if key is None or not self.stream_prefix or not self.has_view_permission(request):
            return None
        gap = gap_of_stream(f"{self.stream_prefix}-{key}", name)
        return gap if gap and self.get_object(request, object_id) is None else None

    @admin.display(description="Not shown yet")
    def missing_changes(self, row: Any) -> SafeString | None:
        gap: ProjectionGap | None = row.projection_gap
        if gap is None:
            return None
        html = '<span class="badge badge-bad" title="{}">{}</span>'
        return format_html(html, gap.detail, gap.amount)

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Model | None:
        return super().get_object(request, object_id, self.identity)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return _ReadModelList


class ListOnlyAdmin(ReadModelAdmin):
    """A list without pages of single rows, because it shows everything about them."""

    identity = "key"
    list_display_links = None


class ActingAdmin(ReadOnlyAdmin):
    """A page with actions, each of which needs its own permission.

    ``most_selected`` is the most rows that an action accepts. If it is more than a page of the
    list, people can select all rows that match.
    """

    most_selected: ClassVar[int] = ReadOnlyAdmin.list_per_page

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if request.POST.get("select_across") == "1" and ACTION_CHECKBOX_NAME not in request.POST:
            # Django asks for a selected row, although all rows are selected.
            fields = request.POST.copy()
            fields[ACTION_CHECKBOX_NAME] = "0"
            request.POST = fields  # type: ignore[assignment]
        # Django would only report "No action selected", not the missing permission.
        actions = [action for action in request.POST.getlist("action") if action]
        if set(actions) - set(self.get_actions(request)):
            raise PermissionDenied("You don't have the permission that this action needs.")
        return super().changelist_view(request, extra_context)

    def selected(
        self, request: HttpRequest, queryset: QuerySet[Any], *, most: int | None = None
    ) -> list[Any]:
        """Return the selected rows; none, and a message, if there are more than ``most``.

        Without ``most``, the limit is ``most_selected``.
        """
        most = most or self.most_selected
        rows = list(queryset[: most + 1])
        if len(rows) <= most:
            return rows
        text = f"Select at most {most} {self.opts.verbose_name_plural} at once."
        self.message_user(request, text, messages.ERROR)
        return []

    def page(self, request: HttpRequest, template: str, **context: Any) -> TemplateResponse:
        """Return a page of this admin that shows the template ``admin/ordering_read/…``."""
        context = {**self.admin_site.each_context(request), "opts": self.opts, **context}
        return TemplateResponse(request, f"admin/ordering_read/{template}", context)
