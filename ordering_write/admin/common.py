"""Filters, links and look-ups that the admin pages of the write side share."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, get_args
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import admin
from django.db.models import F, Model, QuerySet, TextField, Value
from django.db.models.functions import Cast
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString
from django.utils.text import camel_case_to_spaces, capfirst

from config.http.admin import ReadOnlyAdmin, link, list_url
from ordering_write.domain.order_numbers import spelled_order_number
from ordering_write.domain.values import Channel
from ordering_write.models import Customer, Order, StockItem

# The pages of the read side about the aggregates, by the prefix of their streams.
_PAGES = {
    "order": "admin:ordering_read_ordersummary_change",
    "stock": "admin:ordering_read_inventorylevel_change",
    "customer": "admin:ordering_read_customersummary_change",
}


class LogAdmin(ReadOnlyAdmin):
    """A page for users who may read the log."""

    needed_permission = "ordering_write.view_outbox"
    sortable_by = ()


class ChoiceFilter(admin.SimpleListFilter):
    """Filters by one of the fixed ``values``: reading them from the table would scan all rows."""

    values: ClassVar[Iterable[str]]

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(value, self.label(value)) for value in self.values]

    def label(self, value: str) -> str:
        """Return the text of the link for ``value``."""
        return value

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() is None:
            return queryset
        return queryset.filter(**{str(self.parameter_name): self.value()})


class TypeFilter(ChoiceFilter):
    """Filters by the type of an event or a command."""

    title = parameter_name = "type"

    def label(self, value: str) -> str:
        return class_label(value)


class ChannelFilter(ChoiceFilter):
    title = parameter_name = "channel"
    values = get_args(Channel)


def search_link(model: type[Model], term: str, *, label: str) -> SafeString:
    """Return a link to the list of ``model``, searched for ``term``."""
    return link(list_url(model, f"?{urlencode({'q': term})}"), label)


def class_label(class_name: str) -> str:
    """Return the name of an event, a command or an error as people read it: ``Order on hold``."""
    return capfirst(camel_case_to_spaces(class_name.removesuffix("Error")))


def subject_names(streams: Iterable[str]) -> dict[str, str]:
    """Return order numbers, SKUs and customers' names by stream, in one statement."""
    selections = []
    for model, field in ((Order, "order_number"), (StockItem, "sku"), (Customer, "name")):
        prefix = f"{model.stream_prefix}-"
        keys = {stream.removeprefix(prefix) for stream in streams if stream.startswith(prefix)}
        if keys:
            rows = model._default_manager.filter(pk__in=keys).order_by()
            columns = (Value(prefix, TextField()), F("pk"), Cast(field, TextField()))
            selections.append(rows.values_list(*columns))
    if not selections:
        return {}
    first, *others = selections
    found: Any = first.union(*others, all=True) if others else first
    return {f"{prefix}{key}": name for prefix, key, name in found}


def subject_link(stream: str, name: str) -> SafeString:
    """Return a link to the page of what ``stream`` is about; a text if its ``name`` is unknown."""
    prefix, _, key = stream.partition("-")
    if not name:
        return escape(f"an unknown {'product' if prefix == 'stock' else prefix}")
    page = link(reverse(_PAGES[prefix], args=[key]), name)
    return format_html('<bdi class="clipped" title="{}">{}</bdi>', name, page)


def causes_link(correlation_id: UUID, event_id: UUID) -> SafeString:
    """Return a link to the tree of causes in which the event is marked."""
    url = reverse("screens:causes", args=[correlation_id])
    return link(f"{url}?{urlencode({'event': event_id})}", "Why")


def actor_label(actor: Mapping[str, str], names: Mapping[str, str] | None = None) -> str:
    """Return the actor of an event or a command as people read it.

    ``names`` has the names of customers by stream; a customer without a name is named by the id.
    """
    name = actor.get("label") or f"{actor['type']} {actor['id']}"
    if actor["type"] == "policy" and name == actor["id"]:
        # Earlier releases stored the name of a policy as its label.
        name = f"Automatic {name.replace('_', ' ')}"
    customer_id = actor.get("on_behalf_of")
    if not customer_id:
        return name
    customer = (names or {}).get(f"customer-{customer_id}", customer_id)
    return f"{name} on behalf of customer {customer}"


def customer_streams(actors: Iterable[Mapping[str, str]]) -> set[str]:
    """Return the streams of the customers on whose behalf ``actors`` act."""
    return {f"customer-{key}" for actor in actors if (key := actor.get("on_behalf_of"))}


def streams_named(term: str) -> list[str]:
    """Return the streams that a search term may name, as a stream or as an order number."""
    orders = Order.objects.filter(order_number=spelled_order_number(term))
    return [term.lower(), *(order.stream for order in orders)]
