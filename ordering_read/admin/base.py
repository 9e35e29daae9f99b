"""What the admin pages of the read models have in common."""

from typing import Any, ClassVar
from uuid import UUID

from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import Model, Q, QuerySet
from django.db.models.functions import Collate, Upper
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from config.http.admin import ReadOnlyAdmin


def page_of(model: type[Model], key: object) -> str:
    """The address of the page that shows one row of ``model``."""
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[key])


def list_of(model: type[Model], query: str = "") -> str:
    """The address of the list of ``model``, with a query string such as ``?q=...``."""
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist") + query


def link(address: str, label: object) -> SafeString:
    """An anchor."""
    return format_html('<a href="{}">{}</a>', address, label)


def log_of(request: HttpRequest, stream: str) -> str:
    """The address of what the log holds of ``stream``; empty for who may not read the log."""
    if not request.user.has_perm("ordering_write.view_outbox"):
        return ""
    return reverse("admin:ordering_write_outboxevent_changelist") + f"?q={stream}"


def uuid_in(text: str) -> UUID | None:
    """The id that ``text`` is, if it is one."""
    try:
        return UUID(text)
    except ValueError:
        return None


def begins(rows: QuerySet[Any], text: str, *fields: str) -> QuerySet[Any]:
    """The ``rows`` of which one of ``fields`` begins with ``text``, in capital or small letters.

    An index on the same expression serves it: in the collation "C" a prefix is a range.
    """
    wanted = Q()
    for field in fields:
        rows = rows.alias(**{f"{field}_key": Collate(Upper(field), "C")})
        wanted |= Q(**{f"{field}_key__startswith": text.upper()})
    return rows.filter(wanted)


class _StableLinks(ChangeList):
    """Links to rows by what they show: their own keys change with each rebuild."""

    model_admin: "ReadModelAdmin"

    def url_for_result(self, result: Model) -> str:
        return page_of(self.model, getattr(result, self.model_admin.identity))


class ReadModelAdmin(ReadOnlyAdmin):
    """Shows the live rows of a read model. ``identity`` is the field that names a row for ever."""

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


class ActingAdmin(ReadOnlyAdmin):
    """A page with actions, each of which asks for its own permission."""

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        # Django would say no more than "No action selected".
        asked = [action for action in request.POST.getlist("action") if action]
        if set(asked) - set(self.get_actions(request)):
            raise PermissionDenied("You don't have the permission that this action needs.")
        return super().changelist_view(request, extra_context)
