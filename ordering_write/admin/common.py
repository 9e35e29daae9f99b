"""Filters, links and look-ups that the admin pages of the write side share."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, get_args
from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from config.http.admin import ReadOnlyAdmin, link, list_url
from ordering_write.domain.order_numbers import spelled_order_number
from ordering_write.domain.values import Channel
from ordering_write.models import Order


class LogAdmin(ReadOnlyAdmin):
    """A page for users who may read the log."""

    needed_permission = "ordering_write.view_outbox"
    sortable_by = ()


class ChoiceFilter(admin.SimpleListFilter):
    """Filters by one of the fixed ``values``: reading them from the table would scan all rows."""

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


def search_link(model: type[Model], term: str, *, label: str) -> SafeString:
    """Return a link to the list of ``model``, searched for ``term``."""
    return link(list_url(model, f"?{urlencode({'q': term})}"), label)


def actor_label(actor: Mapping[str, str]) -> str:
    """Return the actor of an event or a command as people read it."""
    name = actor.get("label") or f"{actor['type']} {actor['id']}"
    customer = actor.get("on_behalf_of")
    return f"{name} on behalf of customer {customer}" if customer else name


def streams_named(term: str) -> list[str]:
    """Return the streams that a search term may name, as a stream or as an order number."""
    orders = Order.objects.filter(order_number=spelled_order_number(term))
    return [term.lower(), *(order.stream for order in orders)]
