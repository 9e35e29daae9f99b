"""A filter of lists: the rows that are work of some kind, as the page Today counts them."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from ordering_read.admin.labels import WORK
from ordering_read.queries.work import Work, select_work


class WorkFilter(admin.SimpleListFilter):
    """Selects the rows of a kind of work; a subclass names the ``kinds`` of its list."""

    title = "work"
    parameter_name = "work"
    kinds: tuple[Work, ...]

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(kind.value, WORK[kind]) for kind in self.kinds]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        return select_work(queryset, Work(value)) if value in self.kinds else queryset


class QueueWorkFilter(WorkFilter):
    kinds = (Work.TO_PACK, Work.TO_DISPATCH)


class StockWorkFilter(WorkFilter):
    kinds = (Work.LOW_STOCK, Work.GOODS_LATE)


class ParkedWorkFilter(WorkFilter):
    kinds = (Work.PARKED,)
