"""The kit for tests of money: a book of an order that only events fill.

``Book`` knows no rule of the aggregate: it adds up what events say, and compares that with the
order. It rounds by decimals, where the aggregate counts minor units.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from ordering_read.projections.receivables import change_in_amount_due
from ordering_write.domain import events as e
from ordering_write.domain.prices import ChargePrice, LinePrice, Price, TaxLine
from ordering_write.domain.values import MINOR_UNITS, Money, quantize
from ordering_write.log.verification.money import MoneyLedger
from ordering_write.models import Order
from tests.kit import NOW, placed

ZERO = Decimal(0)
# The outcome of an event that an order hasn't raised yet.
NO_OUTCOME = {
    name: field.default
    for name, field in e.OrderEvent.model_fields.items()
    if not field.is_required()
}


class Book:
    """The prices of the lines and charges of an order, as its events say them."""

    def __init__(self) -> None:
        # The prices of the ordered units, and those of the owed units.
        self.ordered: dict[UUID, LinePrice] = {}
        self.lines: dict[UUID, LinePrice] = {}
        self.charges: Sequence[ChargePrice] = ()
        self.goodwill = self.due = self.total = self.balance = ZERO
        self.credits: dict[UUID, Decimal] = {}
        self.charged: dict[UUID, Decimal] = {}

    def add(self, event: Any) -> None:
        is_unpriced = isinstance(event, e.PricedEvent) and event.price is None
        if is_unpriced and isinstance(event, e.OrderItemAdded | e.OrderItemQuantityChanged):
            value = event.line_total.amount
            self._charge(LinePrice(line_id=event.line_id, list_value=value, net=value))
        if isinstance(event, e.OrderAdjustmentAdded) and event.kind == "goodwill":
            self.goodwill += event.amount.amount
        if isinstance(event, e.OrderAdjustmentRemoved) and event.kind == "goodwill":
            self.goodwill -= event.amount.amount
        if isinstance(event, e.PricedEvent) and event.price is not None:
            self.charges = event.price.charges
            self.ordered = {line.line_id: line for line in event.price.lines}
            for line in (*event.price.lines, *(event.owed or ())):
                self._charge(line)
        if isinstance(event, e.OrderItemsCancelled | e.ShipmentFailed | e.ReturnReceived):
            for item in event.items:
                assert item.price is not None
                self.credits[item.line_id] += item.amount.amount
                self.lines[item.line_id] = item.price
                assert item.line_total.amount == item.price.net
        if isinstance(event, e.LostUnitsMadeGood):
            for made_good in event.items:
                self.credits[made_good.line_id] -= made_good.amount.amount
                self.lines[made_good.line_id] = made_good.price
        if change := change_in_amount_due(event):
            self.due += change.change
        self.total = event.total.amount if event.total else self.total
        self.balance = event.balance.amount if event.balance else self.balance
        assert self.total >= 0

    def _charge(self, line: LinePrice) -> None:
        self.lines[line.line_id] = line
        self.charged[line.line_id], self.credits[line.line_id] = line.cost, ZERO

    def check(self, order: Order) -> None:
        """Check the invariants of money after the last event."""
        assert (order.total, order.balance) == (self.total, self.balance)
        assert order.balance == order.due - (order.captured - order.refunded)
        assert order.due == self.due
        if order.status == "cancelled":
            return
        parts = (*self.lines.values(), *self.charges)
        for part in (*parts, *self.ordered.values()):
            _check_part(part)
        for part in (*self.ordered.values(), *self.charges):
            _check_rates(part, order.currency)
        added = (tax.amount for part in parts for tax in part.taxes if not tax.included)
        costs = sum((part.net for part in parts), ZERO) + sum(added, ZERO)
        assert order.total == max(costs - self.goodwill, ZERO)
        for line_id, line in self.lines.items():
            assert self.charged[line_id] - self.credits[line_id] == line.cost
            if line_id in self.ordered:
                _check_rest(self.ordered[line_id], line, order)


def _check_part(part: Price) -> None:
    """Check that a price adds up: discounts, net, included taxes, base."""
    discount = sum(share.amount for share in part.discounts)
    assert part.list_value + part.surcharge - discount == part.net >= 0
    included = sum(tax.amount for tax in part.taxes if tax.included)
    assert all(tax.base == part.net - included >= 0 and tax.amount >= 0 for tax in part.taxes)


def _check_rates(part: Price, currency: str) -> None:
    """Check the amounts of taxes that only a rate says, the label of the tax."""
    included = [tax for tax in part.taxes if tax.included]
    for tax in part.taxes:
        if not tax.label.endswith(" %") or tax.rate is None:
            continue
        if not tax.included:
            assert tax.amount == quantize(tax.base * tax.rate / 100, currency)
        elif len(included) == 1:
            assert tax.amount == quantize(part.net * tax.rate / (100 + tax.rate), currency)


def _check_rest(ordered: LinePrice, line: LinePrice, order: Order) -> None:
    """Check that ``line`` is the price of ``ordered`` less the credits, rounded cumulatively."""
    row = order.lines[line.line_id]

    def rest(amount: Decimal) -> Decimal:
        return amount - quantize(amount * row.credited / row.ordered, order.currency)

    def amounts(price: LinePrice, taxes: list[TaxLine]) -> list[Decimal]:
        return [price.list_value, price.net, *(tax.amount for tax in taxes)]

    # The last of several included taxes can be cut to what is left of the price.
    taxes = [
        (tax, tax_of_rest)
        for tax, tax_of_rest in zip(ordered.taxes, line.taxes, strict=True)
        if not tax.included or row.owed == 0
    ]
    whole = amounts(ordered, [tax for tax, _ in taxes])
    assert amounts(line, [tax for _, tax in taxes]) == [rest(amount) for amount in whole]


def order_of(
    lines: Sequence[tuple[int, int]], adjustments: Mapping[str, int], currency: str
) -> tuple[list[Any], Order]:
    """Return the events of a new order and the order.

    A line is its quantity and its unit price in minor units; adjustments are amounts by kind.
    """
    unit = MINOR_UNITS[currency]
    created, *items = placed(*(quantity for quantity, _ in lines), currency=currency)
    items = [
        item.model_copy(
            update={
                **NO_OUTCOME,
                "unit_price": Money.of(price * unit, currency),
                "line_total": Money.of(quantity * price * unit, currency),
            }
        )
        for item, (quantity, price) in zip(items, lines, strict=True)
    ]
    added = [
        e.OrderAdjustmentAdded(
            timestamp=NOW,
            order_id=created.order_id,
            kind=kind,
            label=f"Sample {kind}",
            amount=Money.of(amount * unit, currency),
        )
        for kind, amount in adjustments.items()
    ]
    events = Order.create(created=created, items=items, adjustments=added).pending_events
    return list(events), Order.fold(events)


def faults_of(events: Iterable[e.DomainEvent]) -> list[str]:
    """Return what the verification of the log finds in the money of an order's ``events``."""
    ledger, order = MoneyLedger(), Order()
    faults: list[str] = []
    for event in events:
        order.evolve(event)
        order.version += 1
        faults += ledger.add(event, order)
    return faults


def free_order(*product_ids: UUID) -> Order:
    """Return an order of a unit of each product, at a price of 0."""
    created, *items = placed(*[1] * len(product_ids), unit_price="0")
    products = zip(items, product_ids, strict=True)
    lines = [
        item.model_copy(update={**NO_OUTCOME, "product_id": product_id})
        for item, product_id in products
    ]
    return Order.create(created=created, items=lines)


def adjustment(
    order: Order, kind: str, amount: Decimal, *, line_id: UUID | None = None
) -> e.OrderAdjustmentAdded:
    """Return the event that adjusts ``order``, or one of its lines."""
    return e.OrderAdjustmentAdded(
        timestamp=NOW,
        order_id=order.id,
        kind=kind,
        label=f"Later {kind}",
        amount=order.money(amount),
        reason="Agreed",
        adjustment_id=uuid4(),
        part_id=line_id,
    )


def exchange_line(order: Order, amount: Decimal | None = None) -> e.ExchangeLine:
    """Return a line of an exchange for goods of ``order``, by default at the smallest price."""
    return e.ExchangeLine(
        product_id=uuid4(),
        sku="OTHER-1",
        name="Other",
        quantity=1,
        unit_price=order.money(amount or MINOR_UNITS[order.currency]),
        price_source="list",
    )
