"""The record of exports: who has taken which data, and when."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, QueryDict

from config.exports.models import Export
from config.http.admin import ReadOnlyAdmin
from ordering_read import permissions
from ordering_read.exports.lists import all_lists


class ListFilter(admin.SimpleListFilter):
    """Selects the exports of one list."""

    title = "list"
    parameter_name = "list"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name.replace("-", " ").capitalize()) for name in all_lists()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(list_name=self.value()) if self.value() else queryset


@admin.register(Export)
class ExportAdmin(ReadOnlyAdmin):
    """The exports of everybody, without their files."""

    needed_permission = permissions.VIEW_EXPORTS
    ordering = ("-created_at", "id")
    sortable_by = ()
    list_display = (
        "created_at",
        "requested_by",
        "list_label",
        "filters",
        "format",
        "state",
        "rows_done",
        "position",
    )
    list_display_links = None
    list_filter = ("created_at", ListFilter, "state")
    search_fields = ("requested_by",)
    search_help_text = "The beginning of the name of a user"
    fields = (*list_display, "size", "error")

    def search(self, request: HttpRequest, rows: QuerySet[Export], term: str) -> QuerySet[Export]:
        return rows.filter(requested_by__startswith=term)

    @admin.display(description="List")
    def list_label(self, export: Export) -> str:
        return export.list_name.replace("-", " ")

    @admin.display(description="Filters")
    def filters(self, export: Export) -> str:
        parameters = QueryDict(export.query).items()
        return ", ".join(f"{name}: {value}" for name, value in parameters) or "none"
