"""What the lines of an order cost: the same rules for a new order and for a line that is added."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
_Item = NewItem | AddOrderItem
# What is asked for, by the pointer to it in the command.
_Items = Mapping[str, _Item]
_Source = Literal["client", "list", "override"]


def priced_items(
    command: CreateOrder, *, order_id: UUID, currency: str, stock: _Stock
) -> tuple[list[e.OrderItemAdded], Sequence[Adjustment]]:
    """The lines of a new order, and what the shop's pricing adds to their sum.

    ``stock`` are the products that exist. Raises the FieldError of the first line that can't be.
    """
    items = {f"#/items/{number}": item for number, item in enumerate(command.items)}
    lines = _Lines(command=command, order_id=order_id, currency=currency, stock=stock)
    return lines.priced(items, command.customer_id)


def priced_item(command: AddOrderItem, order: Order, stock: _Stock) -> e.OrderItemAdded:
    """The line that ``command`` adds to ``order``. Raises the FieldError of what is wrong."""
    lines = _Lines(command=command, order_id=order.id, currency=order.currency, stock=stock)
    return lines.priced({"#": command}, order.customer_id)[0][0]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lines:
    """The lines that a command asks for, in which order, and of what."""

    command: Command
    order_id: UUID
    currency: str
    stock: _Stock

    def priced(
        self, items: _Items, customer_id: UUID
    ) -> tuple[list[e.OrderItemAdded], Sequence[Adjustment]]:
        entries = catalog_port().get(self.stock)
        for pointer, item in items.items():
            _refuse_unsold(item, pointer, self.stock, entries)
            _refuse_fractions(item, pointer, self.currency)
        units = [
            PricedUnits(
                product=self.stock[item.product_id],
                quantity=item.quantity,
                unit_price=item.unit_price,
            )
            for item in items.values()
        ]
        quote = pricing_port().quote(customer_id=customer_id, currency=self.currency, items=units)
        lines = []
        for (pointer, item), price in zip(items.items(), quote.unit_prices, strict=True):
            unit_price = Money.of(item.unit_price, self.currency)
            source = _source(self.command, item, unit_price, price, pointer)
            source = source if quote.is_ours else "client"
            lines.append(self._line(item, entries[item.product_id], unit_price, source))
        return lines, quote.adjustments

    def _line(
        self, item: _Item, entry: CatalogEntry, unit_price: Money, source: _Source
    ) -> e.OrderItemAdded:
        return e.OrderItemAdded(
            timestamp=self.command.timestamp,
            order_id=self.order_id,
            line_id=uuid7(),
            product_id=item.product_id,
            sku=entry.sku,
            name=entry.name,
            quantity=item.quantity,
            unit_price=unit_price,
            line_total=Money.of(unit_price.amount * item.quantity, self.currency),
            price_source=source,
            price_reason=item.price_reason if source == "override" else None,
        )


def _refuse_unsold(
    item: _Item,
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


def _refuse_fractions(item: _Item, pointer: str, currency: str) -> None:
    if not has_minor_units_only(item.unit_price, currency):
        raise InvalidAmountError(
            f"{item.unit_price} has more decimals than {currency}.",
            pointer=f"{pointer}/unit_price",
        )


def _source(
    command: Command,
    item: _Item,
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
            pointer="#/currency" if isinstance(command, CreateOrder) else f"{pointer}/product_id",
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
