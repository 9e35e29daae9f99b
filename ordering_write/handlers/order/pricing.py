"""Prices of order lines: the same rules for a new order and for an added line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from uuid_utils.compat import uuid7

from ordering_write.domain import commands as c
from ordering_write.domain import errors
from ordering_write.domain import events as e
from ordering_write.domain.values import Money
from ordering_write.handlers.order import amounts
from ordering_write.models import Order, StockItem
from ordering_write.ports import catalog_port, pricing_port
from ordering_write.ports.catalog import CatalogEntry
from ordering_write.ports.pricing import PricedUnits

# The errors that the functions of this module raise.
REFUSALS = (
    *amounts.REFUSALS,
    errors.MixedCurrencyError,
    errors.PriceMismatchError,
    errors.PriceReasonMissingError,
    errors.ProductInactiveError,
    errors.UnknownProductError,
)

_Stock = Mapping[UUID, StockItem]
_Item = c.PricedItem | c.AddOrderItem
# Items by the JSON pointer to each in the command.
_Items = Mapping[str, _Item]
_Source = Literal["client", "list", "override"]


def priced_items(
    command: c.CreateOrder, customer_id: UUID, *, order_id: UUID, currency: str, stock: _Stock
) -> tuple[list[e.OrderItemAdded], Sequence[c.Adjustment]]:
    """Return the lines of a new order, and the adjustments that our pricing adds to them.

    ``stock`` holds the products that exist. Raises the FieldError of the first line refused.
    """
    items = {f"#/items/{number}": item for number, item in enumerate(command.items)}
    pricing = _Pricing(command=command, order_id=order_id, currency=currency, stock=stock)
    return pricing.price_lines(items, customer_id)


def priced_item(command: c.AddOrderItem, order: Order, stock: _Stock) -> e.OrderItemAdded:
    """Return the line that ``command`` adds to ``order``. Raises a FieldError."""
    pricing = _Pricing(command=command, order_id=order.id, currency=order.currency, stock=stock)
    return pricing.price_lines({"#": command}, order.customer_id)[0][0]


def priced_exchange(
    command: c.RequestReturn, order: Order, stock: _Stock
) -> list[e.OrderItemAdded]:
    """Return the lines that ``command`` asks for in exchange. Raises a FieldError."""
    items = {f"#/exchange_for/{number}": item for number, item in enumerate(command.exchange_for)}
    pricing = _Pricing(command=command, order_id=order.id, currency=order.currency, stock=stock)
    return pricing.price_lines(items, order.customer_id)[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pricing:
    """Prices the lines of one command."""

    command: c.Command
    order_id: UUID
    currency: str
    stock: _Stock

    def price_lines(
        self, items: _Items, customer_id: UUID
    ) -> tuple[list[e.OrderItemAdded], Sequence[c.Adjustment]]:
        entries = catalog_port().get(self.stock)
        for pointer, item in items.items():
            self._refuse_unsold(item, pointer, entries)
            amounts.refuse_fractions(item.unit_price, self.currency, f"{pointer}/unit_price")
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
        for (pointer, item), our_price in zip(items.items(), quote.unit_prices, strict=True):
            unit_price = Money.of(item.unit_price, self.currency)
            source = self._source(item, unit_price, our_price, pointer)
            source = source if quote.is_ours else "client"
            lines.append(self._line(item, pointer, entries[item.product_id], unit_price, source))
        return lines, quote.adjustments

    def _line(
        self,
        item: _Item,
        pointer: str,
        entry: CatalogEntry,
        unit_price: Money,
        source: _Source,
    ) -> e.OrderItemAdded:
        currency = self.currency
        list_value = Money.of(unit_price.amount * item.quantity, currency)
        discount = amounts.line_discount(
            item.discount, list_value.amount, currency, f"{pointer}/discount"
        )
        net = list_value.amount - (discount.amount if discount else 0)
        return e.OrderItemAdded(
            timestamp=self.command.timestamp,
            order_id=self.order_id,
            line_id=uuid7(),
            product_id=item.product_id,
            sku=entry.sku,
            name=entry.name,
            quantity=item.quantity,
            unit_price=unit_price,
            line_total=list_value,
            price_source=source,
            price_reason=item.price_reason if source == "override" else None,
            discount=discount,
            tax_class=entry.tax_class or None,
            requires_shipping=None if _requires_shipping(item, entry) else False,
            taxes=amounts.given_taxes(item.taxes, net, currency, f"{pointer}/taxes"),
        )

    def _refuse_unsold(
        self, item: _Item, pointer: str, entries: Mapping[UUID, CatalogEntry]
    ) -> None:
        product_id, pointer = item.product_id, f"{pointer}/product_id"
        if product_id not in self.stock:
            raise errors.UnknownProductError(f"There is no product {product_id}.", pointer=pointer)
        if product_id not in entries or not entries[product_id].is_active:
            raise errors.ProductInactiveError(
                f"{self.stock[product_id].sku} isn't sold any more.", pointer=pointer
            )

    def _source(
        self, item: _Item, unit_price: Money, our_price: Money | None, pointer: str
    ) -> _Source:
        """Return the source of ``unit_price``. Raises a FieldError unless the user may set it."""
        if unit_price == our_price:
            return "list"
        # Customers don't set prices, even with privileges.
        is_shop = self.command.customer_scope is None
        may_override = is_shop and self.command.has_privilege(c.Privilege.OVERRIDE_PRICE)
        if may_override and item.price_reason:
            return "override"
        if is_shop and self.command.has_privilege(c.Privilege.ANY_PRICE):
            return "client"
        if may_override:
            raise errors.PriceReasonMissingError(
                f"{_list_price_sentence(our_price)} Another price needs a reason.",
                pointer=f"{pointer}/price_reason",
            )
        if our_price is not None and our_price.currency != unit_price.currency:
            is_new = isinstance(self.command, c.CreateOrder)
            raise errors.MixedCurrencyError(
                f"The product is sold in {our_price.currency}, not in {unit_price.currency}.",
                pointer="#/currency" if is_new else f"{pointer}/product_id",
            )
        raise errors.PriceMismatchError(
            f"The list price is {our_price.amount}, not {unit_price.amount}."
            if our_price
            else "The product has no list price; ask the shop for one.",
            pointer=f"{pointer}/unit_price",
            sent=unit_price.amount,
            expected=our_price.amount if our_price else None,
        )


def is_shipped(line: e.OrderItemAdded) -> bool:
    """Return True if ``line`` requires shipping."""
    return line.requires_shipping is not False


def _requires_shipping(item: _Item, entry: CatalogEntry) -> bool:
    return entry.requires_shipping and item.requires_shipping is not False


def _list_price_sentence(price: Money | None) -> str:
    if price is None:
        return "The product has no list price."
    return f"The list price is {price.amount} {price.currency}."
