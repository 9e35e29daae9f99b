"""What the answers of the read API hold: what a query returned, and links to what belongs to it."""

from datetime import datetime
from typing import Annotated, Any, Generic, Self, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from rest_framework.request import Request
from rest_framework.reverse import reverse

from ordering_read.fields import CustomerId, StreamName
from ordering_read.projections.sentences import note_sentence
from ordering_read.queries import (
    AddressView,
    AvailabilityView,
    CustomerStatsView,
    CustomerView,
    OrderDetail,
    OrderLineView,
    OrderView,
    ParkedEventDetail,
    ParkedEventView,
    ProductView,
    ProjectionView,
    SalesByDayView,
    SalesByProductView,
    StockMovementView,
    TimelineEntryView,
    View,
    parked_event_view,
)
from ordering_write.published import parked

Item = TypeVar("Item")

# What stands where a user may not read.
MASK = "***"


class OrderLinks(View):
    """Where the order is, whose it is, what has happened to it, and what can be done with it."""

    self: str
    customer: str
    timeline: str
    actions: str


class OrderBody(OrderView):
    """An order as lists show it."""

    links: OrderLinks

    @classmethod
    def of(cls, order: OrderView, request: Request) -> Self:
        return cls(**dict(order), links=_order_links(order, request))


class LineLinks(View):
    """Where the product is."""

    product: str


class LineBody(OrderLineView):
    """A line of an order."""

    links: LineLinks

    @classmethod
    def of(cls, line: OrderLineView, request: Request) -> Self:
        product = _address("product-detail", line.product_id, request)
        return cls(**dict(line), links=LineLinks(product=product))


class OrderDetailBody(OrderDetail):
    """An order, whole.

    Who may not see where it goes gets `***` for all of an address but city and country, and who may
    not see personal texts for what notes say.
    """

    items: tuple[LineBody, ...]
    links: OrderLinks

    @classmethod
    def of(cls, order: OrderDetail, request: Request) -> Self:
        fields = dict(order)
        fields["items"] = tuple(LineBody.of(line, request) for line in order.items)
        return cls(**fields, links=_order_links(order, request))


def masked(order: OrderDetail, *, with_addresses: bool, with_notes: bool) -> OrderDetail:
    """``order`` without what may not be seen."""
    hidden: dict[str, Any] = {}
    if not with_addresses:
        hidden["shipping_address"] = _masked(order.shipping_address)
        hidden["billing_address"] = order.billing_address and _masked(order.billing_address)
    if not with_notes:
        hidden["notes"] = tuple(note.model_copy(update={"text": MASK}) for note in order.notes)
    return order.model_copy(update=hidden)


class CustomerLinks(View):
    """Where the customer is, the customer's orders, and what they come to."""

    self: str
    orders: str
    stats: str


class CustomerBody(CustomerView):
    """A customer."""

    links: CustomerLinks

    @classmethod
    def of(cls, customer: CustomerView, request: Request, *, with_email: bool) -> Self:
        fields = dict(customer)
        if not with_email:
            fields |= dict.fromkeys(("email", "phone"), MASK)
        links = CustomerLinks(
            self=_address("customer-detail", customer.customer_id, request),
            orders=_address("customer-orders", customer.customer_id, request),
            stats=_address("customer-stats", customer.customer_id, request),
        )
        return cls(**fields, links=links)


class ProductLinks(View):
    """Where the product is."""

    self: str


class ProductBody(AvailabilityView):
    """A product. Who may see no more than what is available gets null for all other levels."""

    on_hand: int | None
    reserved: int | None
    reorder_point: int | None
    backorderable: bool | None
    is_low: bool | None
    last_movement_at: datetime | None
    oldest_reservation_at: datetime | None
    links: ProductLinks

    @classmethod
    def of(cls, product: ProductView, request: Request, *, with_levels: bool) -> Self:
        fields = dict(product)
        if not with_levels:
            fields |= dict.fromkeys(
                ProductView.model_fields.keys() - AvailabilityView.model_fields.keys()
            )
        here = _address("product-detail", product.product_id, request)
        return cls(**fields, links=ProductLinks(self=here))


class TimelineEntryBody(TimelineEntryView):
    """One thing that has happened to an order.

    Who may not see personal texts gets `***` for what a note says, and who may see one customer's
    orders only gets null for the actor.
    """

    @classmethod
    def of(cls, entry: TimelineEntryView, *, with_notes: bool) -> Self:
        fields = dict(entry)
        if entry.type == "NoteAdded" and not with_notes:
            fields["sentence"] = note_sentence(MASK, entry.actor)
        return cls(**fields)


class CustomerStatsBody(View):
    """What a customer has ordered, by currency."""

    customer_id: CustomerId
    currencies: tuple[CustomerStatsView, ...]


class MovementLinks(View):
    """Where the order is that the units are for."""

    order: str | None


class StockMovementBody(StockMovementView):
    """Units of a product that came, went, were set aside or were given back."""

    links: MovementLinks

    @classmethod
    def of(cls, movement: StockMovementView, request: Request) -> Self:
        order_id = movement.order_id
        order = None if order_id is None else _address("order-detail", order_id, request)
        return cls(**dict(movement), links=MovementLinks(order=order))


class ProductSalesBody(SalesByProductView):
    """What was ordered of a product on a day of the store, in one currency."""

    links: LineLinks

    @classmethod
    def of(cls, sales: SalesByProductView, request: Request) -> Self:
        product = _address("product-detail", sales.product_id, request)
        return cls(**dict(sales), links=LineLinks(product=product))


class ParkedEventLinks(View):
    """Where the parked event is, and what can be done about it."""

    self: str
    retry: str
    skip: str


class ParkedEventBody(ParkedEventView):
    """An event that a projection lacks."""

    links: ParkedEventLinks

    @classmethod
    def of(cls, parked: ParkedEventView, request: Request) -> Self:
        return cls(**dict(parked), links=_parked_event_links(parked, request))


class ParkedEventDetailBody(ParkedEventDetail):
    """An event that a projection lacks, with the place in the code where it failed."""

    links: ParkedEventLinks

    @classmethod
    def of(cls, parked: ParkedEventDetail, request: Request) -> Self:
        return cls(**dict(parked), links=_parked_event_links(parked, request))


class RetryBody(BaseModel):
    """Nothing is to be said."""

    model_config = ConfigDict(extra="forbid")


class SkipBody(BaseModel):
    """Why the projection can go without the event."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[parked.Reason, Field(examples=["It was a test"])]


class RetriedBody(View):
    """What became of a stream: how many of its events were applied, and which one holds it up, null
    when it is no longer parked."""

    projection: str
    generation: int
    stream: StreamName
    applied: int
    held_by: ParkedEventBody | None

    @classmethod
    def of(cls, retried: parked.Retried, request: Request) -> Self:
        blocked_by = retried.blocked_by
        return cls(
            projection=retried.checkpoint.name,
            generation=retried.checkpoint.generation,
            stream=retried.stream,
            applied=retried.applied,
            held_by=blocked_by and ParkedEventBody.of(parked_event_view(blocked_by), request),
        )


class PageBody(View, Generic[Item]):
    """A page of a list. ``count`` is exact unless ``count_capped``: then there are more.

    A page that was chosen by ``cursor`` isn't counted: its ``count`` is null. ``next_cursor`` is
    the cursor of the page behind this one, null when there is none.
    """

    count: int | None
    count_capped: bool
    next: Annotated[str | None, Field(examples=[None])]
    previous: Annotated[str | None, Field(examples=[None])]
    next_cursor: Annotated[str | None, Field(examples=[None])]
    results: list[Item]


class OrderPageBody(PageBody[OrderBody]):
    """A page of orders."""


class CustomerPageBody(PageBody[CustomerBody]):
    """A page of customers."""


class ProductPageBody(PageBody[ProductBody]):
    """A page of products."""


class TimelinePageBody(PageBody[TimelineEntryBody]):
    """A page of what has happened to an order."""


class StockMovementPageBody(PageBody[StockMovementBody]):
    """A page of movements."""


class SalesByDayPageBody(PageBody[SalesByDayView]):
    """A page of sales by day."""


class ProductSalesPageBody(PageBody[ProductSalesBody]):
    """A page of sales by product."""


class ProjectionPageBody(PageBody[ProjectionView]):
    """The projections."""


class ParkedEventPageBody(PageBody[ParkedEventBody]):
    """A page of parked events."""


def _masked(address: AddressView) -> AddressView:
    hidden = dict.fromkeys(AddressView.model_fields.keys() - {"city", "country"}, MASK)
    return address.model_copy(update=hidden)


def _order_links(order: OrderView, request: Request) -> OrderLinks:
    return OrderLinks(
        self=_address("order-detail", order.id, request),
        customer=_address("customer-detail", order.customer_id, request),
        timeline=_address("order-timeline", order.id, request),
        actions=_address("order-actions", order.id, request),
    )


def _parked_event_links(parked: ParkedEventView, request: Request) -> ParkedEventLinks:
    return ParkedEventLinks(
        self=_address("parked-event-detail", parked.id, request),
        retry=_address("parked-event-retry", parked.id, request),
        skip=_address("parked-event-skip", parked.id, request),
    )


def _address(route: str, row_id: UUID, request: Request) -> str:
    return reverse(route, kwargs={"pk": row_id}, request=request)
