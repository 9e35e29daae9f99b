"""The values of which the price of an order consists: adjustments, taxes, shares, prices."""

from decimal import Decimal
from typing import Literal, Self, get_args
from uuid import UUID, uuid5

from ordering_write.domain.values import Value

ChargeKind = Literal["shipping", "fee", "tip", "gift_wrap"]
AdjustmentKind = Literal[ChargeKind, "discount", "tax", "goodwill"]
CHARGES: frozenset[str] = frozenset(get_args(ChargeKind))


class Tax(Value):
    """A tax as it was given for a line or a charge, which it is added to or ``included`` in.

    Without an ``amount``, the amount follows from the ``rate`` in per cent. A given amount is for
    the price ``base``, and follows later prices in proportion; ``base`` is None until the order is
    priced.
    """

    label: str
    jurisdiction: str | None = None
    rate: Decimal | None = None
    included: bool = False
    amount: Decimal | None = None
    base: Decimal | None = None


class OrderAdjustment(Value):
    """An amount beside the lines of an order, as it was given.

    A discount can be on one part of the order: ``part_id`` is the id of a line, or the adjustment
    id of a charge. A charge can be on a line, and have ``taxes`` of its own otherwise. An
    adjustment that was given when some units weren't owed any more has the ``shares`` of the parts
    in place of its amount, for all ordered units. A tax on the order was given for a ``base``: the
    price of the lines, and of the charges if ``on_charges``.
    """

    kind: AdjustmentKind
    label: str
    amount: Decimal
    rate: Decimal | None = None
    base: Decimal | None = None
    on_charges: bool = False
    adjustment_id: UUID | None = None
    part_id: UUID | None = None
    shares: dict[UUID, Decimal] | None = None
    taxes: tuple[Tax, ...] | None = None

    @property
    def is_charge(self) -> bool:
        """Return True for a charge beside the lines."""
        return self.kind in CHARGES and self.part_id is None

    @property
    def is_surcharge(self) -> bool:
        """Return True for a charge on a line."""
        return self.kind in CHARGES and self.part_id is not None

    @property
    def amounts_by_part(self) -> dict[UUID, Decimal]:
        """The amounts for the ordered units of lines and for charges, as far as they are fixed."""
        if self.shares is not None:
            return self.shares
        return {} if self.part_id is None else {self.part_id: self.amount}

    def without_share(self, part_id: UUID) -> Self:
        """Return the adjustment without the share of a part that isn't there any more."""
        if self.shares is None or part_id not in self.shares:
            return self
        shares = {key: amount for key, amount in self.shares.items() if key != part_id}
        return self.model_copy(update={"shares": shares})


def adjustment_id(order_id: UUID, number: int) -> UUID:
    """Return the id of an adjustment that was stored without one, the ``number``th from 0."""
    return uuid5(order_id, f"adjustment {number}")


def part_discount(part_id: UUID, amount: Decimal) -> OrderAdjustment:
    """Return the discount that a line or charge was added with."""
    return OrderAdjustment(
        kind="discount",
        label="Discount",
        amount=amount,
        adjustment_id=adjustment_id(part_id, 0),
        part_id=part_id,
    )


class DiscountShare(Value):
    """The share of a line or a charge in a discount of the order."""

    label: str
    amount: Decimal


class Surcharge(Value):
    """A charge on a line, which is a part of the line's price."""

    label: str
    amount: Decimal


class TaxLine(Value):
    """A tax on one line or charge: added to its price, or ``included`` in it.

    ``rate`` is as it was given; ``base`` is the price without any tax.
    """

    label: str
    jurisdiction: str | None = None
    rate: Decimal | None = None
    included: bool = False
    base: Decimal
    amount: Decimal


class Price(Value):
    """The price of a line or charge: ``list_value`` minus the ``discounts``, and its ``taxes``.

    The price of a line contains the ``surcharges``, which no discount of the order is on.
    ``net`` is the amount between the discounts and the added taxes; it contains the included ones.
    """

    list_value: Decimal
    discounts: tuple[DiscountShare, ...] = ()
    surcharges: tuple[Surcharge, ...] | None = None
    net: Decimal
    taxes: tuple[TaxLine, ...] = ()

    @property
    def discount(self) -> Decimal:
        """The sum of the discounts."""
        return self.list_value + self.surcharge - self.net

    @property
    def surcharge(self) -> Decimal:
        """The sum of the surcharges."""
        return sum((item.amount for item in self.surcharges or ()), Decimal(0))

    @property
    def taxable(self) -> Decimal:
        """The price without any tax."""
        return self.net - sum(tax.amount for tax in self.taxes if tax.included)

    @property
    def cost(self) -> Decimal:
        """The amount to pay, taxes included."""
        return self.net + sum(tax.amount for tax in self.taxes if not tax.included)


class LinePrice(Price):
    """The price of a line."""

    line_id: UUID


class ChargePrice(Price):
    """The price of a charge beside the lines, such as shipping."""

    kind: ChargeKind
    label: str


class OrderPrice(Value):
    """The prices of all lines and charges of an order."""

    lines: tuple[LinePrice, ...]
    charges: tuple[ChargePrice, ...]

    @property
    def total(self) -> Decimal:
        """The amount to pay for everything."""
        return sum((part.cost for part in (*self.lines, *self.charges)), Decimal(0))
