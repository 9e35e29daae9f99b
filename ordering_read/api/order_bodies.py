"""The response bodies of orders: views with links, and masks for data the user may not see."""

from typing import Annotated, Any, ClassVar, Self

from rest_framework.request import Request

from ordering_read import permissions
from ordering_read.api.bodies import Linked, Links, LinkTo, Row
from ordering_read.engine.gaps import Streams
from ordering_read.permissions import masked_pairs
from ordering_read.queries import View
from ordering_read.queries.masks import masked_order
from ordering_read.queries.order_lines import OrderLineView
from ordering_read.queries.orders import OrderDetail, OrderView
from ordering_read.queries.reports import StatusCountsView
from ordering_read.queries.timeline import TimelineEntryView, masked_sentence


class OrderLinks(Links):
    """Addresses of the order, its customer, its timeline and its possible commands."""

    self: Annotated[str, LinkTo("order-detail", "id")]
    customer: Annotated[str, LinkTo("customer-detail", "customer_id")]
    timeline: Annotated[str, LinkTo("order-timeline", "id")]
    actions: Annotated[str, LinkTo("order-actions", "id")]


class OrderBody(Linked, OrderView, Row):
    """An order as lists show it.

    Users who may not see personal texts get `***` for the values of metadata.
    """

    links: OrderLinks

    def streams(self) -> Streams:
        return {"order_view": [f"order-{self.id}"]}


def order_body(order: OrderView, request: Request) -> OrderBody:
    """Return the body of ``order``, with MASK for data that the user may not see."""
    if request.user.has_perm(permissions.VIEW_PII):
        return OrderBody.of(order, request)
    return OrderBody.of(order, request, metadata=masked_pairs(order.metadata))


class LineLinks(Links):
    """The address of the product."""

    product: Annotated[str, LinkTo("product-detail", "product_id")]


class LineBody(Linked, OrderLineView):
    """A line of an order."""

    links: LineLinks


class OrderDetailBody(Linked, OrderDetail, Row):
    """A whole order.

    Users who may not see addresses get `***` for all fields of an address except city and country.
    Users who may not see personal texts get `***` for the text of notes and the values of metadata.
    """

    items: tuple[LineBody, ...]
    links: OrderLinks

    @classmethod
    def of(cls, view: View, request: Request, **fields: Any) -> Self:
        items = tuple(LineBody.of(line, request) for line in vars(view)["items"])
        return super().of(view, request, **fields, items=items)

    def streams(self) -> Streams:
        products = dict.fromkeys(line.product_id for line in self.items)
        return {
            "order_view": [f"order-{self.id}"],
            "inventory_level": [f"stock-{product_id}" for product_id in products],
        }


class TimelineEntryBody(TimelineEntryView, Row):
    """An event of an order, as a sentence.

    Users who may not see personal texts get `***` for the text of a note, and for all that an event
    of another type with personal texts says. Users who may see the orders of one customer only get
    null for the actor.
    """

    list_name: ClassVar = "Timeline"


class StatusCountsBody(StatusCountsView, Row):
    """The number of orders with each value of each facet.

    An order on hold has the fulfilment status `on_hold`.
    """


def masked(order: OrderDetail, request: Request) -> OrderDetail:
    """Return ``order`` with MASK for addresses and notes that the user may not see."""
    return masked_order(
        order,
        with_personal=request.user.has_perm(permissions.VIEW_PII),
        with_addresses=permissions.may_view_addresses(request.user),
    )


def masked_entry(entry: TimelineEntryView, request: Request) -> TimelineEntryBody:
    """Return the body of ``entry``, with MASK for the personal texts the user may not read."""
    body = TimelineEntryBody(**vars(entry))
    if request.user.has_perm(permissions.VIEW_PII):
        return body
    sentence = masked_sentence(entry.type, entry.sentence, entry.actor)
    return body.model_copy(update={"sentence": sentence})
