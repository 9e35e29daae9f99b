"""The lines of a new order as people type them: their products, prices, units and complaints."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Self
from uuid import UUID

from django.utils.formats import date_format
from django.utils.timezone import localtime
from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from config.fields.amount import parse_amount
from config.fields.text import identity_key
from ordering_read.admin.base import money
from ordering_read.queries.new_order import FindOffers, OfferView
from ordering_write.client import commands as c
from ordering_write.published import quantize

# A command has at most so many lines. The form begins with some, and a button adds some more.
_MOST_LINES = 200
_FIRST_LINES = 3
_MORE_LINES = 5
_MOST_UNITS = 10_000
_BETWEEN_PRICES = "|"


@dataclass
class DraftLine:
    """A line as it was typed. ``errors`` are the complaints, by field.

    ``list_price`` is the price that the form filled in: a price that still equals it was not typed,
    and follows the product and the currency. ``value`` is the price of all units. ``discount`` is
    an amount on the whole line or a percentage of ``value``, and ``reduction`` is its amount.
    """

    number: int
    product: str = ""
    quantity: str = ""
    price: str = ""
    reason: str = ""
    discount: str = ""
    list_price: str = ""
    offer: OfferView | None = None
    availability: str = ""
    value: Decimal | None = None
    reduction: Decimal | None = None
    errors: dict[str, list[str]] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Return True if nothing was typed, or if people cleared the product that was named."""
        is_price_typed = self.price not in ("", self.list_price)
        is_quantity_typed = bool(self.quantity) and not self.list_price
        is_typed = self.product or self.reason or self.discount
        return not (is_typed or is_price_typed or is_quantity_typed)

    @property
    def field_id(self) -> str:
        """The id of the field for the product, on the page."""
        return f"line-{self.number}-product"

    @property
    def complaints(self) -> list[str]:
        """The complaints of all fields."""
        return [text for texts in self.errors.values() for text in texts]

    def complain(self, name: str, text: str) -> None:
        """Add a complaint at the field ``name``."""
        self.errors.setdefault(name, []).append(text)

    @property
    def units(self) -> int:
        """The number of units; 0 unless the quantity is one that can be ordered."""
        text = self.quantity
        is_number = text.isascii() and text.isdecimal() and len(text) <= len(str(_MOST_UNITS))
        return int(text) if is_number and int(text) <= _MOST_UNITS else 0

    @property
    def unit_price(self) -> Decimal | None:
        """The price of a unit, or None if the text is no amount."""
        try:
            return parse_amount(self.price)
        except PydanticCustomError:
            return None

    def item(self, *, picked_up: bool) -> dict[str, Any]:
        """Return the item of the command CreateOrder."""
        item = {
            "product_id": self.offer and self.offer.product_id,
            "quantity": self.units,
            "unit_price": self.price,
        }
        if self.reason:
            item["price_reason"] = self.reason
        if self.reduction:
            item["discount"] = str(self.reduction)
        if picked_up:
            item["requires_shipping"] = False
        return item


@dataclass(frozen=True)
class PriceRights:
    """The prices that a user may order at: the list price only, or another one with a reason."""

    may_differ: bool
    needs_reason: bool

    @classmethod
    def of(cls, privileges: Collection[str]) -> Self:
        """Return the rights of a user with these privileges of the domain."""
        any_price = c.Privilege.ANY_PRICE in privileges
        may_differ = any_price or c.Privilege.OVERRIDE_PRICE in privileges
        return cls(may_differ=may_differ, needs_reason=not any_price)


def read_lines(data: Mapping[str, str]) -> list[DraftLine]:
    """Return the lines in the fields of the form, and empty ones to type more.

    ``data["remove"]`` is the number of a line to leave out; ``data["more"]`` asks for more lines.
    """
    names = ("product", "quantity", "price", "reason", "discount")
    list_prices = data.get("list_prices", "").split(_BETWEEN_PRICES)
    rows = []
    for number in range(min(_number(data.get("lines", "")), _MOST_LINES)):
        row = {name: " ".join(data.get(f"line-{number}-{name}", "").split()) for name in names}
        list_price = list_prices[number] if number < len(list_prices) else ""
        product, quantity, price, reason, discount = (row[name] for name in names)
        rows.append((product, quantity, price, reason, discount, list_price))
    removed = _number(data.get("remove", ""), default=len(rows))
    del rows[removed : removed + 1]
    lines = [DraftLine(number, *row) for number, row in enumerate(rows)]
    lines = [DraftLine(line.number) if line.is_empty else line for line in lines]
    count = len(lines)
    if "more" in data:
        count += _MORE_LINES
    elif not lines or not lines[-1].is_empty:
        count += 1
    more = range(len(lines), min(max(count, _FIRST_LINES), _MOST_LINES))
    return [*lines, *map(DraftLine, more)]


def list_prices(lines: Sequence[DraftLine]) -> str:
    """Return the list prices that the form has filled in, as one text for a hidden field.

    A field for each line would exceed the number of fields that Django accepts.
    """
    return _BETWEEN_PRICES.join(line.list_price for line in lines)


def searchable(lines: Sequence[DraftLine]) -> FindOffers:
    """Return the query for the products that ``lines`` name."""
    return FindOffers(texts=tuple(line.product for line in lines if _is_searchable(line.product)))


def find_products(
    lines: Sequence[DraftLine], offers: Mapping[str, Sequence[OfferView]]
) -> Sequence[DraftLine]:
    """Set the product of each line that names one; return the lines that aren't empty."""
    typed = [line for line in lines if not line.is_empty]
    for line in typed:
        matches = offers.get(identity_key(line.product), ())
        if len(matches) == 1:
            [line.offer] = matches
            line.product = line.offer.sku
            line.quantity = line.quantity or "1"
            if line.offer.discontinued_at:
                line.complain("product", f"{line.offer.sku} isn't sold any more.")
        elif matches:
            names = ", ".join(f"{offer.sku} ({offer.name})" for offer in matches)
            line.complain("product", f"Several products match. Type one of the SKUs: {names}.")
        elif line.product:
            line.complain("product", f"No product has the SKU or the name “{line.product}”.")
        else:
            line.complain("product", "Choose a product, or remove the line.")
    return typed


def currency_of(lines: Sequence[DraftLine]) -> str:
    """Return the currency of the first product with a list price, or an empty text."""
    currencies = (line.offer.currency for line in lines if line.offer and line.offer.currency)
    return next(currencies, "")


def check_units(lines: Sequence[DraftLine]) -> None:
    """Say for each line how many units are available; complain where there are too few."""
    wanted = Counter[UUID]()
    for line in lines:
        if line.offer:
            wanted[line.offer.product_id] += line.units
    for line in lines:
        if not line.offer:
            continue
        if not line.units:
            line.complain("quantity", f"Type a whole number from 1 to {_MOST_UNITS:,}.")
        offer, quantity = line.offer, wanted[line.offer.product_id]
        available = max(offer.available, 0)
        line.availability = f"{available} available"
        if quantity <= available:
            continue
        if offer.backorderable:
            line.availability += _backorder(offer, quantity)
        elif not offer.discontinued_at:
            together = " for all lines of this product" if quantity > line.units else ""
            line.complain("quantity", f"Only {available} available{together}.")


def check_prices(lines: Sequence[DraftLine], currency: str, rights: PriceRights) -> None:
    """Fill in the list prices, and complain about other prices that the user may not set."""
    for line in lines:
        if not line.offer:
            continue
        offer = line.offer
        amount = offer.price_in(currency)
        listed = "" if amount is None else str(quantize(amount, currency))
        if line.price in ("", line.list_price) or not rights.may_differ:
            line.price = listed
        line.price = line.price.replace(",", ".")
        line.list_price = listed
        if not line.price:
            line.complain("price", _no_price(offer, currency, rights))
        elif line.unit_price is None:
            line.complain("price", "An amount is written in digits, such as 19.90.")
        else:
            line.value = quantize(line.unit_price * line.units, currency) if line.units else None
            differs = amount is None or line.unit_price != amount
            if differs and rights.needs_reason and not line.reason:
                line.complain("reason", _needs_reason(amount, currency))


def check_discounts(lines: Sequence[DraftLine], currency: str) -> None:
    """Set the amount of each discount, and complain where there is none."""
    for line in lines:
        if not line.discount or line.value is None:
            continue
        text = line.discount.replace(",", ".").removesuffix("%").strip()
        try:
            number = parse_amount(text)
        except PydanticCustomError:
            line.complain("discount", "A discount is an amount such as 5.00, or such as 10 %.")
            continue
        if line.discount.endswith("%"):
            number = quantize(line.value * number / 100, currency)
        if number > line.value:
            line.complain("discount", f"The line costs {money(line.value, currency)}.")
        else:
            line.reduction = number


def _no_price(offer: OfferView, currency: str, rights: PriceRights) -> str:
    others = ", ".join(price.currency for price in offer.prices)
    problem = f"{offer.sku} has no list price in {currency}"
    if others:
        problem = f"{offer.sku} is sold in {others}, not in {currency}"
    return f"{problem}: type a price and a reason." if rights.may_differ else f"{problem}."


def _needs_reason(list_price: Decimal | None, currency: str) -> str:
    if list_price is None:
        return "A price without a list price needs a reason."
    return f"The list price is {money(list_price, currency)}. Another price needs a reason."


def _backorder(offer: OfferView, quantity: int) -> str:
    """Return the end of the sentence about units that aren't there yet."""
    missing = quantity - max(offer.available, 0)
    moment = offer.complete_at(quantity)
    if moment is None:
        return f", {missing} to come: no date is known"
    return f", {missing} to come: expected by {date_format(localtime(moment), 'j F Y')}"


def _is_searchable(text: str) -> bool:
    try:
        return bool(text) and bool(FindOffers(texts=(text,)))
    except ValidationError:
        return False


def _number(text: str, default: int = 0) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else default
