"""What the pages of the write side share: filters, links, and what a search term may name."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, get_args
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from ordering_write.domain.values import Channel
from ordering_write.models import Order


class ChoiceFilter(admin.SimpleListFilter):
    """Filters by one of a fixed list of values; asking the table for them would read all of it."""

    values: ClassVar[Iterable[str]]

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(value, value) for value in self.values]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() is None:
            return queryset
        return queryset.filter(**{str(self.parameter_name): self.value()})


class ChannelFilter(ChoiceFilter):
    title = parameter_name = "channel"
    values = get_args(Channel)


def found(model: type[Model], term: str, *, label: str = "") -> SafeString:
    """A link to what the page of ``model`` finds for ``term``."""
    page = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    return format_html('<a href="{}?{}">{}</a>', page, urlencode({"q": term}), label or term)


def who_is(actor: Mapping[str, str]) -> str:
    """The actor of an event or a command, for people."""
    name = actor.get("label") or f"{actor['type']} {actor['id']}"
    customer = actor.get("on_behalf_of")
    return f"{name} on behalf of customer {customer}" if customer else name


def as_uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def order_streams(number: str) -> list[str]:
    """The stream of the order with this number, if there is one."""
    return [order.stream for order in Order.objects.filter(order_number=number)]
