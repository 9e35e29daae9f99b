"""Placing an order: who orders, what it costs, and whether it is there.

The stock is reserved in the same transaction: checking now and taking later is how shops sell what
they don't have.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection
from uuid_utils.compat import uuid7

from ordering_write.domain import events as e
from ordering_write.domain.commands import Adjustment, CreateOrder
from ordering_write.domain.errors import (
    AmountTooLargeError,
    CustomerBlockedError,
    CustomerErasedError,
    DuplicateReferenceError,
    InsufficientInventoryError,
    InvalidAmountError,
    ShopOnlyError,
    UnknownCustomerError,
    UnknownOrderError,
)
from ordering_write.domain.events import DomainEvent
from ordering_write.domain.values import TOO_LARGE, Address, Money, has_minor_units_only
from ordering_write.handlers.base import CommandHandler, unique
from ordering_write.handlers.pricing import priced_items
from ordering_write.log import outbox
from ordering_write.models import Customer, Order, StockItem, save
from ordering_write.ports import tax_port
from ordering_write.ports.tax import OrderDraft

Stock = Mapping[UUID, StockItem]

# What would let customers set their own price, skip the shop's consent or keep stock from others.
_SHOP_ONLY = ("adjustments", "auto_confirm", "reserve_for", "tags")


class CreateOrderHandler(CommandHandler[CreateOrder]):
    """Place an order and reserve what it asks for, all of it or nothing."""

    def handle(self, command: CreateOrder) -> list[DomainEvent]:
        _refuse_shop_fields(command)
        customer = _customer(command)
        _refuse_unknown_order(command)
        currency = command.currency or settings.DEFAULT_CURRENCY
        stock = StockItem.load_all({item.product_id for item in command.items})
        order_id = uuid7()
        items, quoted = priced_items(command, order_id=order_id, currency=currency, stock=stock)
        _refuse_shortages(items, stock)
        created = _created(command, order_id, customer, currency)
        adjustments = _adjustments(command, created, items, quoted)
        order = Order.create(created=created, items=items, adjustments=adjustments)
        _decorate(order, command)
        for line in order.lines.values():
            stock[line.product_id].reserve((order.id, line.id), line.ordered, now=command.timestamp)
        taken = DuplicateReferenceError(
            f"There is an order with the external reference {command.external_reference!r}.",
            pointer="#/external_reference",
        )
        with unique({"order_reference_unique": taken}):
            return save([order, *stock.values()], caused_by=command)


def _refuse_shop_fields(command: CreateOrder) -> None:
    for name in _SHOP_ONLY:
        if command.customer_scope is not None and getattr(command, name):
            raise ShopOnlyError(pointer=f"#/{name}")


def _customer(command: CreateOrder) -> Customer:
    visible = command.customer_scope in (None, command.customer_id)
    customer = Customer.find(command.customer_id) if visible else None
    if customer is None:
        raise UnknownCustomerError(
            f"There is no customer {command.customer_id}.", pointer="#/customer_id"
        )
    if customer.status == Customer.Status.ERASED:
        raise CustomerErasedError
    if customer.status == Customer.Status.BLOCKED:
        raise CustomerBlockedError
    return customer


def _refuse_unknown_order(command: CreateOrder) -> None:
    replaced = command.replaces_order_id
    if replaced is None:
        return
    own = Order.objects.filter(pk=replaced, customer_id=command.customer_id)
    if not own.exists():
        raise UnknownOrderError(
            f"The customer has no order {replaced}.", pointer="#/replaces_order_id"
        )


def _refuse_shortages(items: Sequence[e.OrderItemAdded], stock: Stock) -> None:
    demand = Counter[UUID]()
    for item in items:
        demand[item.product_id] += item.quantity
    shortages = [
        shortage
        for product_id, quantity in demand.items()
        if (shortage := stock[product_id].shortage(quantity))
    ]
    if shortages:
        raise InsufficientInventoryError(shortages)


def _created(
    command: CreateOrder, order_id: UUID, customer: Customer, currency: str
) -> e.OrderCreated:
    reserve_for = command.reserve_for or timedelta(hours=settings.RESERVE_FOR_HOURS)
    billing = command.billing_address
    return e.OrderCreated(
        timestamp=command.timestamp,
        order_id=order_id,
        customer_id=customer.pk,
        order_number=_next_order_number(command),
        customer=customer.person,
        shipping_address=_postal(command.shipping_address),
        billing_address=_postal(billing) if billing else None,
        currency=currency,
        placed_at=command.timestamp,
        expires_at=command.timestamp + reserve_for if reserve_for else None,
        source=command.by.id,
        external_reference=command.external_reference,
        replaces_order_id=command.replaces_order_id,
    )


def _adjustments(
    command: CreateOrder,
    created: e.OrderCreated,
    items: Sequence[e.OrderItemAdded],
    quoted: Sequence[Adjustment],
) -> list[e.OrderAdjustmentAdded]:
    """What is added to the lines: by the command, by our pricing, and the taxes on all that."""
    added = _Added(created, items)
    for number, adjustment in enumerate(command.adjustments):
        added.add(adjustment, f"#/adjustments/{number}/amount")
    for adjustment in quoted:
        added.add(adjustment, "#/items")
    draft = OrderDraft(created=created, items=items, adjustments=tuple(added.events))
    for adjustment in tax_port().calculate(draft):
        added.add(adjustment, "#/items")
    return added.events


class _Added:
    """Adjustments, each looked at with the total that it makes."""

    def __init__(self, created: e.OrderCreated, items: Sequence[e.OrderItemAdded]) -> None:
        self.events: list[e.OrderAdjustmentAdded] = []
        self._created = created
        self._total = Decimal(0)
        for number, item in enumerate(items):
            self._total += item.line_total.amount
            _refuse_too_large(self._total, f"#/items/{number}/unit_price")

    def add(self, adjustment: Adjustment, pointer: str) -> None:
        currency = self._created.currency
        if not has_minor_units_only(adjustment.amount, currency):
            raise InvalidAmountError(
                f"{adjustment.amount} has more decimals than {currency}.", pointer=pointer
            )
        sign = -1 if adjustment.kind == "discount" else 1
        self._total += sign * adjustment.amount
        if self._total < 0:
            raise InvalidAmountError("The order would cost less than nothing.", pointer=pointer)
        _refuse_too_large(self._total, pointer)
        self.events.append(
            e.OrderAdjustmentAdded(
                timestamp=self._created.timestamp,
                order_id=self._created.order_id,
                kind=adjustment.kind,
                label=adjustment.label,
                amount=Money.of(adjustment.amount, currency),
                rate=adjustment.rate,
            )
        )


def _refuse_too_large(total: Decimal, pointer: str) -> None:
    if total >= TOO_LARGE:
        raise AmountTooLargeError(f"The order can't cost {TOO_LARGE} or more.", pointer=pointer)


def _decorate(order: Order, command: CreateOrder) -> None:
    for tag in command.tags:
        order.tag(tag, now=command.timestamp)
    if command.note:
        order.add_note(command.note, note_id=uuid7(), now=command.timestamp)
    if command.auto_confirm:
        order.confirm(now=command.timestamp)


def _postal(address: Address) -> e.PostalAddress:
    return e.PostalAddress(**address.model_dump())


def _next_order_number(command: CreateOrder) -> str:
    """The next number for people: the store's year and a running number, with gaps.

    A dry run uses none up.
    """
    if outbox.is_dry_run():
        # As unique as a number, so that dry runs don't wait for each other.
        return command.command_id.hex[:20]
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval('order_number_seq')")
        number = cursor.fetchone()[0]
    year = command.timestamp.astimezone(ZoneInfo(settings.STORE_TIME_ZONE)).year
    return f"{year}-{number:06d}"
