"""The base classes and links that the admin pages of the read models share."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, ClassVar, cast

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import Model, Q, QuerySet
from django.db.models.functions import Collate, Upper
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.safestring import SafeString

from config.accounts.models import User
from config.http.admin import ReadOnlyAdmin, link, page_url
from ordering_write.published import quantize

# The most rows that one action accepts: a page of the list.
_MAX_SELECTED = 50


def user_of(request: HttpRequest) -> User:
    """Return the user of an admin page, who is never anonymous."""
    return cast(User, request.user)


def log_url(request: HttpRequest, stream: str) -> str:
    """Return the URL of the events of ``stream``, or "" for a user who may not read the log."""
    if not request.user.has_perm("ordering_write.view_outbox"):
        return ""
    return reverse("admin:ordering_write_outboxevent_changelist") + f"?q={stream}"


def money(amount: Decimal, currency: str) -> str:
    """Return an amount as people read it: ``19.90 EUR``."""
    return f"{quantize(amount, currency)} {currency}"


def link_column(
    model: type[Model], key: str, label: str, text: str = ""
) -> Callable[[Any, Any], SafeString | None]:
    """Return a column that links a row to the row of ``model`` that its field ``key`` names.

    The text of the link is the field ``text``, or "Show". There is no link if the key is None.
    """

    @admin.display(description=label)
    def column(_page: ReadOnlyAdmin, row: Any) -> SafeString | None:
        identity = getattr(row, key)
        if identity is None:
            return None
        return link(page_url(model, identity), getattr(row, text) if text else "Show")

    return column


def money_column(field: str, label: str) -> Callable[[Any, Any], str | None]:
    """Return a column for an amount in the row's currency; empty if the amount is None."""

    @admin.display(description=label)
    def column(_page: ReadOnlyAdmin, row: Any) -> str | None:
        amount = getattr(row, field)
        return None if amount is None else money(amount, row.currency)

    return column


def starting_with(rows: QuerySet[Any], text: str, *fields: str) -> QuerySet[Any]:
    """Return the ``rows`` in which one of ``fields`` starts with ``text``, ignoring case.

    An index on the same expression serves the search: in the collation "C" a prefix is a range.
    """
    condition = Q()
    for field in fields:
        rows = rows.alias(**{f"{field}_key": Collate(Upper(field), "C")})
        condition |= Q(**{f"{field}_key__startswith": text.upper()})
    return rows.filter(condition)


class _StableLinks(ChangeList):
    """Links to a row by its identity, because a rebuild changes its primary key."""

    model_admin: "ReadModelAdmin"

    def url_for_result(self, result: Model) -> str:
        return page_url(self.model, getattr(result, self.model_admin.identity))


class ReadModelAdmin(ReadOnlyAdmin):
    """Shows the live rows of a read model.

    ``identity`` is the field that names a row in every generation.
    """

    identity: ClassVar[str]

    sortable_by = ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = self.model.live.all()
        return rows

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Model | None:
        return super().get_object(request, object_id, self.identity)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return _StableLinks


class ListOnlyAdmin(ReadModelAdmin):
    """A list without pages of single rows, because it shows everything about them."""

    identity = "key"
    list_display_links = None


class ActingAdmin(ReadOnlyAdmin):
    """A page with actions, each of which needs its own permission."""

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        # Django would only report "No action selected", not the missing permission.
        actions = [action for action in request.POST.getlist("action") if action]
        if set(actions) - set(self.get_actions(request)):
            raise PermissionDenied("You don't have the permission that this action needs.")
        return super().changelist_view(request, extra_context)

    def selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        """Return the selected rows; none, and a message, if there are too many for one action."""
        rows = list(queryset[: _MAX_SELECTED + 1])
        if len(rows) <= _MAX_SELECTED:
            return rows
        text = f"Select at most {_MAX_SELECTED} {self.opts.verbose_name_plural} at once."
        self.message_user(request, text, messages.ERROR)
        return []

    def page(self, request: HttpRequest, template: str, **context: Any) -> TemplateResponse:
        """Return a page of this admin that shows the template ``admin/ordering_read/…``."""
        context = {**self.admin_site.each_context(request), "opts": self.opts, **context}
        return TemplateResponse(request, f"admin/ordering_read/{template}", context)
