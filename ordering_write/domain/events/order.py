"""Events of the whole order, of its lines and of its notes and tags."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Literal
from uuid import UUID

from pydantic import AwareDatetime

from ordering_write.domain.events.base import DomainEvent
from ordering_write.domain.events.metadata import MetadataEvent
from ordering_write.domain.events.states import (
    Attention,
    FulfilmentStatus,
    HoldReason,
    OrderStatus,
    PaymentStatus,
    ReturnStatus,
    Visibility,
)
from ordering_write.domain.prices import AdjustmentKind, LinePrice, OrderPrice, Tax, TaxLine
from ordering_write.domain.values import Money, Value


class Person(Value):
    """A customer in an event: personal data."""

    name: str
    email: str


class PostalAddress(Value):
    """An address in an event: personal data, validated in the command."""

    name: str
    line1: str
    line2: str = ""
    city: str
    region: str = ""
    postal_code: str = ""
    country: str
    phone: str = ""


class Units(Value):
    """Units of one line."""

    line_id: UUID
    quantity: int


class ReleasedUnits(Units):
    """Units of a line that went back to stock."""

    product_id: UUID


class CreditedUnits(ReleasedUnits):
    """Units of a line that are no longer owed.

    ``amount`` is the credit for them, with added taxes. ``line_total`` is the price of the rest of
    the line, without added taxes, and ``price`` has its details; ``price`` is None in events that
    were stored before lines had shares of discounts and taxes.
    """

    amount: Money
    line_total: Money
    price: LinePrice | None = None


class OrderEvent(DomainEvent, stored=False):
    """The base of an order's events: they carry the outcome, the order after the event.

    Every event has the customer and the ``status``. The other fields are set when the event changed
    them, so that readers assign and count without knowing the rules; ``Order.outcome`` computes
    them. A field that ends in ``_before`` is the former value, under which readers stop counting
    the order.

    ``discount_change`` and ``tax_changes`` say by how much the discounts and each tax in the amount
    due have grown, or fallen: they are what reports add up. They are None for orders that an
    earlier release has priced.
    """

    order_id: UUID
    customer_id: UUID | None = None
    status: OrderStatus | None = None
    status_before: OrderStatus | None = None
    payment_status: PaymentStatus | None = None
    payment_status_before: PaymentStatus | None = None
    fulfilment_status: FulfilmentStatus | None = None
    fulfilment_status_before: FulfilmentStatus | None = None
    return_status: ReturnStatus | None = None
    return_status_before: ReturnStatus | None = None
    on_hold: bool | None = None
    total: Money | None = None
    total_before: Money | None = None
    balance: Money | None = None
    authorized: Money | None = None
    captured: Money | None = None
    refunded: Money | None = None
    attention: tuple[Attention, ...] | None = None
    item_count: int | None = None
    discount_change: Money | None = None
    tax_changes: tuple[TaxLine, ...] | None = None


class OrderCreated(OrderEvent):
    """An order was placed. An order that requires no shipping may have no shipping address."""

    personal = frozenset({"customer", "shipping_address", "billing_address"})
    shown_as_erased = frozenset({"shipping_address"})

    customer_id: UUID
    order_number: str
    customer: Person
    shipping_address: PostalAddress | None = None
    billing_address: PostalAddress | None = None
    currency: str
    placed_at: AwareDatetime
    expires_at: AwareDatetime | None = None
    # The actor who gave the external reference; references are unique within a source.
    source: str
    external_reference: str | None = None
    po_number: str | None = None
    replaces_order_id: UUID | None = None
    replaces_order_number: str | None = None


class PricedEvent(OrderEvent, stored=False):
    """The base of events after which an order is priced anew.

    ``price`` is the price of all ordered units and of the charges. It is None if no adjustment is
    to be allocated, if another event of the placement follows, and in events that were stored
    before shares were. ``owed`` has the price of the units that are still owed, for each line of
    which some aren't.
    """

    price: OrderPrice | None = None
    owed: tuple[LinePrice, ...] | None = None


class OrderItemAdded(PricedEvent):
    """A line was added; ``line_total`` is its list value, ``discount`` lowers its price.

    ``taxes`` are those that the client gave. Without them our taxes are in ``price``.
    """

    line_id: UUID
    product_id: UUID
    sku: str
    name: str
    quantity: int
    unit_price: Money
    line_total: Money
    price_source: Literal["client", "list", "override"]
    price_reason: str | None = None
    discount: Money | None = None
    tax_class: str | None = None
    # False, or None for a line that requires shipping.
    requires_shipping: bool | None = None
    taxes: tuple[Tax, ...] | None = None


class OrderAdjustmentAdded(PricedEvent):
    """An amount beside the lines; a discount and goodwill are subtracted.

    A discount on one line or charge has its ``part_id``, a line id or an adjustment id. A charge
    can have a ``discount``, and ``taxes`` that the client gave. An adjustment after the placement
    has a ``reason``; if some units weren't owed then, it has the ``shares`` of lines and charges,
    for all ordered units. Goodwill has no shares.
    """

    kind: AdjustmentKind
    label: str
    amount: Money
    rate: Decimal | None = None
    reason: str | None = None
    adjustment_id: UUID | None = None
    part_id: UUID | None = None
    shares: dict[UUID, Decimal] | None = None
    discount: Money | None = None
    taxes: tuple[Tax, ...] | None = None


class OrderAdjustmentRemoved(PricedEvent):
    """An adjustment was removed, with the discounts on it."""

    adjustment_id: UUID
    kind: AdjustmentKind
    label: str
    amount: Money


class OrderItemPriceChanged(PricedEvent):
    """The unit price of a line changed; ``line_total`` is the new price of the ``owed_units``."""

    line_id: UUID
    product_id: UUID
    owed_units: int
    from_unit_price: Money
    unit_price: Money
    from_line_total: Money
    line_total: Money
    reason: str


class OrderItemQuantityChanged(PricedEvent):
    """The units ordered of a line changed; ``line_total`` is the new price of those owed."""

    line_id: UUID
    product_id: UUID
    from_quantity: int
    to_quantity: int
    from_line_total: Money
    line_total: Money


class OrderItemsCancelled(OrderEvent):
    items: list[CreditedUnits]
    reason: str


class MadeGoodUnits(ReleasedUnits):
    """Lost units of a line that are owed again, because they were replaced for nothing.

    ``amount`` is charged for the units again, with added taxes. ``price`` is the price of all owed
    units of the line.
    """

    amount: Money
    price: LinePrice


class FreeUnits(Value):
    """Units of a product in a replacement that costs nothing."""

    product_id: UUID
    quantity: int


class OrderReplaced(OrderEvent):
    """Another order was placed in place of this one, or of some of its units.

    ``return_id`` is set if the other order is the exchange for a return, and ``free_units`` if the
    other order costs nothing.
    """

    replaced_by: UUID
    replaced_by_number: str
    return_id: UUID | None = None
    free_units: list[FreeUnits] | None = None


class LostUnitsMadeGood(OrderEvent):
    """Lost units were replaced for nothing, so the customer keeps no credit for them."""

    items: list[MadeGoodUnits]


class ShippingAddressChanged(PricedEvent):
    """The order goes to another address; ``price`` is None if the price stays what it was.

    ``from_address`` is None for an order that had none.
    """

    personal = frozenset({"from_address", "to_address"})
    shown_as_erased = frozenset({"from_address"})

    from_address: PostalAddress | None = None
    to_address: PostalAddress


def shipping_address(events: Sequence[DomainEvent]) -> PostalAddress | None:
    """Return the shipping address of an order after ``events``, all events of its stream.

    None for an order that has none, because it requires no shipping.

    The address is personal data, so no row of the order holds it: only the events do.
    """
    for event in reversed(events):
        match event:
            case OrderCreated():
                return event.shipping_address
            case ShippingAddressChanged():
                return event.to_address
    raise ValueError("An order begins with OrderCreated.")


class OrderStatusChanged(OrderEvent):
    """A change of status that no other event implies: confirmed, processing started, completed."""

    from_status: OrderStatus
    to_status: OrderStatus
    reason: str = ""


class OrderCancelled(OrderEvent):
    """Every unit is cancelled. ``total`` stays the price of the order."""

    reason: str
    reason_code: str
    released: list[ReleasedUnits]


class OrderHeld(OrderEvent):
    reason: HoldReason
    note: str = ""


class OrderHoldReleased(OrderEvent):
    reason: HoldReason
    note: str = ""


class OrderTagged(OrderEvent):
    tag: str


class OrderUntagged(OrderEvent):
    tag: str


class OrderMetadataChanged(OrderEvent, MetadataEvent):
    """Pairs of the metadata of an order, or of its line ``line_id``, were set or removed."""

    line_id: UUID | None = None


class OrderPoNumberChanged(OrderEvent):
    """The number of the customer's purchase order; None if it was removed."""

    po_number: str | None = None


class OrderAssigned(OrderEvent):
    """The user name of the member of staff responsible for the order; None stands for nobody."""

    assignee: str | None = None


class NoteAdded(OrderEvent):
    personal = frozenset({"text"})

    note_id: UUID
    text: str
    visibility: Visibility


class NoteRedacted(OrderEvent):
    """The text of the note was erased. From now on it reads as erased in the log too."""

    erases = True

    note_id: UUID


class OrderAnonymized(OrderEvent):
    """The customer was erased. From now on every personal field of this stream reads as erased."""

    erases = True
