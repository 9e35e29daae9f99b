"""What the lines of an order cost: the same rules for a new order and for a line that is added."""

from collections.abc import Mapping, Sequence
from typing import Literal
from uuid import UUID

from uuid_utils.compat import uuid7

from ordering_write.domain import events as e
from ordering_write.domain.commands import (
    AddOrderItem,
    Adjustment,
    Command,
    CreateOrder,
    NewItem,
    Power,
)
from ordering_write.domain.errors import (
    InvalidAmountError,
    MixedCurrencyError,
    PriceMismatchError,
    PriceReasonMissingError,
    ProductInactiveError,
    UnknownProductError,
)
from ordering_write.domain.values import Money, has_minor_units_only
from ordering_write.models import Order, StockItem
from ordering_write.ports import catalog_port, pricing_port
from ordering_write.ports.catalog import CatalogEntry
from ordering_write.ports.pricing import PricedUnits

_Stock = Mapping[UUID, StockItem]
# What is asked for, by the pointer to it in the command.
_Items = Mapping[str, NewItem | AddOrderItem]
_Source = Literal["client", "list", "override"]


def priced_items(
    command: CreateOrder, *, order_id: UUID, currency: str, stock: _Stock
) -> tuple[list[e.OrderItemAdded], Sequence[Adjustment]]:
    """The lines of a new order, and what the shop's pricing adds to their sum.

    ``stock`` are the products that exist. Raises the FieldError of the first line that can't be.
    """
    items = {f"#/items/{number}": item for number, item in enumerate(command.items)}
    return _priced(command, items, order_id, command.customer_id, currency, stock)


def priced_item(command: AddOrderItem, order: Order, stock: _Stock) -> e.OrderItemAdded:
    """The line that ``command`` adds to ``order``. Raises the FieldError of what is wrong."""
    lines, _ = _priced(command, {"#": command}, order.id, order.customer_id, order.currency, stock)
    return lines[0]


def _priced(
    command: Command,
    items: _Items,
    order_id: UUID,
    customer_id: UUID,
    currency: str,
    stock: _Stock,
) -> tuple[list[e.OrderItemAdded], Sequence[Adjustment]]:
    entries = catalog_port().get(stock)
    for pointer, item in items.items():
        _refuse_unsold(item, pointer, stock, entries)
        _refuse_fractions(item, pointer, currency)
    units = [
        PricedUnits(
            product=stock[item.product_id], quantity=item.quantity, unit_price=item.unit_price
        )
        for item in items.values()
    ]
    quote = pricing_port().quote(customer_id=customer_id, currency=currency, items=units)
    lines = []
    for (pointer, item), price in zip(items.items(), quote.unit_prices, strict=True):
        unit_price = Money.of(item.unit_price, currency)
        source = _source(command, item, unit_price, price, pointer)
        entry = entries[item.product_id]
        lines.append(
            e.OrderItemAdded(
                timestamp=command.timestamp,
                order_id=order_id,
                line_id=uuid7(),
                product_id=item.product_id,
                sku=entry.sku,
                name=entry.name,
                quantity=item.quantity,
                unit_price=unit_price,
                line_total=Money.of(unit_price.amount * item.quantity, currency),
                price_source=source if quote.is_ours else "client",
                price_reason=item.price_reason if source == "override" else None,
            )
        )
    return lines, quote.adjustments


def _refuse_unsold(
    item: NewItem | AddOrderItem,
    pointer: str,
    stock: _Stock,
    entries: Mapping[UUID, CatalogEntry],
) -> None:
    pointer = f"{pointer}/product_id"
    if item.product_id not in stock:
        raise UnknownProductError(f"There is no product {item.product_id}.", pointer=pointer)
    if item.product_id not in entries or not entries[item.product_id].is_active:
        raise ProductInactiveError(
            f"{stock[item.product_id].sku} isn't sold any more.", pointer=pointer
        )


def _refuse_fractions(item: NewItem | AddOrderItem, pointer: str, currency: str) -> None:
    if not has_minor_units_only(item.unit_price, currency):
        raise InvalidAmountError(
            f"{item.unit_price} has more decimals than {currency}.",
            pointer=f"{pointer}/unit_price",
        )


def _source(
    command: Command,
    item: NewItem | AddOrderItem,
    asked: Money,
    ours: Money | None,
    pointer: str,
) -> _Source:
    """Whose price ``asked`` is, if whoever gives the command may ask for it."""
    if asked == ours:
        return "list"
    # Whatever their rights, customers don't set prices.
    is_shop = command.customer_scope is None
    may_override = is_shop and command.may(Power.OVERRIDE_PRICE)
    if may_override and item.price_reason:
        return "override"
    if is_shop and command.may(Power.ANY_PRICE):
        return "client"
    if may_override:
        raise PriceReasonMissingError(
            f"{_told(ours)} Another price needs a reason.", pointer=f"{pointer}/price_reason"
        )
    if ours is not None and ours.currency != asked.currency:
        raise MixedCurrencyError(
            f"The product is sold in {ours.currency}, not in {asked.currency}.",
            pointer="#/currency",
        )
    raise PriceMismatchError(
        f"The list price is {ours.amount}, not {asked.amount}."
        if ours
        else "The product has no list price; ask the shop for one.",
        pointer=f"{pointer}/unit_price",
        sent=asked.amount,
        expected=ours.amount if ours else None,
    )


def _told(price: Money | None) -> str:
    if price is None:
        return "The product has no list price."
    return f"The list price is {price.amount} {price.currency}."
