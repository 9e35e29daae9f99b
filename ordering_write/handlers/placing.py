"""Placing an order: who orders, what it costs, and whether it is there.

The stock is reserved in the same transaction: checking now and taking later is how shops sell what
they don't have.
"""

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection
from uuid_utils.compat import uuid7

from ordering_write import outbox
from ordering_write.domain import events as e
from ordering_write.domain.commands import CreateOrder, NewItem
from ordering_write.domain.errors import (
    AmountTooLargeError,
    CustomerBlockedError,
    DuplicateReferenceError,
    InsufficientInventoryError,
    InvalidAmountError,
    MixedCurrencyError,
    PriceMismatchError,
    ShopOnlyError,
    UnknownCustomerError,
    UnknownProductError,
)
from ordering_write.domain.events import DomainEvent
from ordering_write.domain.values import (
    TOO_LARGE,
    Address,
    Money,
    has_minor_units_only,
    quantize,
)
from ordering_write.handlers.base import CommandHandler, unique
from ordering_write.models import Customer, Order, StockItem, save

Stock = Mapping[UUID, StockItem]

# What would let customers set their own price, skip the shop's consent or keep stock from others.
_SHOP_ONLY = ("adjustments", "auto_confirm", "reserve_for", "tags")


class CreateOrderHandler(CommandHandler[CreateOrder]):
    """Place an order and reserve what it asks for, all of it or nothing."""

    def handle(self, command: CreateOrder) -> list[DomainEvent]:
        _refuse_shop_fields(command)
        customer = _customer(command)
        currency = command.currency or settings.DEFAULT_CURRENCY
        stock = StockItem.load_all({item.product_id for item in command.items})
        _check_items(command, currency, stock)
        order_id = uuid7()
        order = Order.create(
            created=_created(command, order_id, customer, currency),
            items=[
                _item_added(command, order_id, item, currency, stock[item.product_id])
                for item in command.items
            ],
            adjustments=_adjustments(command, order_id, currency),
        )
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
    if customer.status != Customer.Status.ACTIVE:
        raise CustomerBlockedError
    return customer


def _check_items(command: CreateOrder, currency: str, stock: Stock) -> None:
    for number, item in enumerate(command.items):
        pointer = f"#/items/{number}"
        product = stock.get(item.product_id)
        if product is None:
            raise UnknownProductError(
                f"There is no product {item.product_id}.", pointer=f"{pointer}/product_id"
            )
        if not has_minor_units_only(item.unit_price, currency):
            raise InvalidAmountError(
                f"{item.unit_price} has more decimals than {currency}.",
                pointer=f"{pointer}/unit_price",
            )
        # Customers pay the list price; whoever acts for the shop may agree on another one.
        if command.customer_scope is not None:
            _check_price(item, currency, product.price, pointer)
    demand = Counter[UUID]()
    for item in command.items:
        demand[item.product_id] += item.quantity
    shortages = [
        shortage
        for product_id, quantity in demand.items()
        if (shortage := stock[product_id].shortage(quantity))
    ]
    if shortages:
        raise InsufficientInventoryError(shortages)


def _check_price(item: NewItem, currency: str, price: Money | None, pointer: str) -> None:
    if price is not None and price.currency != currency:
        raise MixedCurrencyError(
            f"The product is sold in {price.currency}, not in {currency}.", pointer="#/currency"
        )
    if price is None or price.amount != item.unit_price:
        raise PriceMismatchError(
            f"The list price is {price.amount}, not {item.unit_price}."
            if price
            else "The product has no list price; ask the shop for one.",
            pointer=f"{pointer}/unit_price",
            sent=item.unit_price,
            expected=price.amount if price else None,
        )


def _created(
    command: CreateOrder, order_id: UUID, customer: Customer, currency: str
) -> e.OrderCreated:
    reserve_for = command.reserve_for
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
    )


def _item_added(
    command: CreateOrder, order_id: UUID, item: NewItem, currency: str, product: StockItem
) -> e.OrderItemAdded:
    unit_price = Money.of(item.unit_price, currency)
    return e.OrderItemAdded(
        timestamp=command.timestamp,
        order_id=order_id,
        line_id=uuid7(),
        product_id=item.product_id,
        sku=product.sku,
        name=product.name,
        quantity=item.quantity,
        unit_price=unit_price,
        line_total=Money.of(unit_price.amount * item.quantity, currency),
        price_source="list" if product.price == unit_price else "client",
    )


def _adjustments(
    command: CreateOrder, order_id: UUID, currency: str
) -> list[e.OrderAdjustmentAdded]:
    total = _sum_of_lines(command, currency)
    for number, adjustment in enumerate(command.adjustments):
        pointer = f"#/adjustments/{number}/amount"
        if not has_minor_units_only(adjustment.amount, currency):
            raise InvalidAmountError(
                f"{adjustment.amount} has more decimals than {currency}.", pointer=pointer
            )
        total += -adjustment.amount if adjustment.kind == "discount" else adjustment.amount
        if total < 0:
            raise InvalidAmountError("The order would cost less than nothing.", pointer=pointer)
        _refuse_too_large(total, pointer)
    return [
        e.OrderAdjustmentAdded(
            timestamp=command.timestamp,
            order_id=order_id,
            kind=adjustment.kind,
            label=adjustment.label,
            amount=Money.of(adjustment.amount, currency),
            rate=adjustment.rate,
        )
        for adjustment in command.adjustments
    ]


def _sum_of_lines(command: CreateOrder, currency: str) -> Decimal:
    total = Decimal(0)
    for number, item in enumerate(command.items):
        total += quantize(item.unit_price * item.quantity, currency)
        _refuse_too_large(total, f"#/items/{number}/unit_price")
    return total


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
