"""Checks that the amounts in the events of an order add up.

Each event is compared with the state of the order after it, and with the prices in the events
before it. Events of releases before lines had shares of discounts and taxes have no prices; their
totals and balances are checked all the same.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from uuid import UUID

from ordering_write.domain import events as e
from ordering_write.domain.prices import OrderAdjustment, Price
from ordering_write.domain.values import quantize
from ordering_write.models import Order

# The amounts of an order that an event has if the event changes them.
_AMOUNTS = ("total", "balance", "captured", "refunded")
_CREDITS = (e.OrderItemsCancelled, e.ShipmentFailed, e.ReturnReceived)


class MoneyLedger:
    """The prices of the owed units of an order's lines, as in its events."""

    def __init__(self) -> None:
        # Lines are missing as long as no event has the shares of their adjustments.
        self._costs: dict[UUID, Decimal] = {}

    def add(self, event: e.DomainEvent, order: Order) -> Iterator[str]:
        """Yield the faults of ``event``, whose state is ``order``."""
        if not isinstance(event, e.OrderEvent):
            return
        yield from _check_outcome(event, order)
        match event:
            case e.PricedEvent():
                yield from self._add_price(event, order)
            case e.OrderItemsCancelled() | e.ShipmentFailed() | e.ReturnReceived():
                for item in event.items:
                    yield from self._add_credit(item, order)
            case e.LostUnitsMadeGood():
                for units in event.items:
                    yield from self._add_made_good(units)

    def _add_price(self, event: e.PricedEvent, order: Order) -> Iterator[str]:
        if event.price is not None:
            yield from _check_prices(event.price, order)
            for owed in event.owed or ():
                yield from _check_price(f"line {owed.line_id}", owed)
            for price in (*event.price.lines, *(event.owed or ())):
                self._costs[price.line_id] = price.cost
        elif isinstance(event, e.OrderItemAdded):
            self._costs[event.line_id] = event.line_total.amount
        elif isinstance(event, e.OrderAdjustmentAdded) and event.kind != "goodwill":
            self._costs.clear()
        elif isinstance(event, e.OrderItemQuantityChanged) and event.line_id in self._costs:
            self._costs[event.line_id] = event.line_total.amount

    def _add_credit(self, item: e.CreditedUnits, order: Order) -> Iterator[str]:
        line = order.lines[item.line_id]
        rest = item.line_total.amount if item.price is None else item.price.cost
        if item.line_id in self._costs:
            credit = self._costs[item.line_id] - rest
            if item.amount.amount != credit:
                yield (
                    f"it credits {item.amount.amount} for {item.quantity} units of line {line.pk}, "
                    f"whose price falls by {credit}"
                )
            self._costs[item.line_id] = rest
        if item.price is None:
            return
        self._costs[item.line_id] = rest
        yield from _check_price(f"line {line.pk}", item.price)
        if item.line_total.amount != item.price.net:
            yield (
                f"the total of line {line.pk} is {item.line_total.amount}, its price says "
                f"{item.price.net}"
            )
        if not line.owed and any(_amounts(item.price)):
            yield f"no unit of line {line.pk} is owed, its price is {item.price.cost}"

    def _add_made_good(self, units: e.MadeGoodUnits) -> Iterator[str]:
        cost = units.price.cost
        if units.line_id in self._costs:
            charge = cost - self._costs[units.line_id]
            if units.amount.amount != charge:
                yield (
                    f"it charges {units.amount.amount} for {units.quantity} units of line "
                    f"{units.line_id}, whose price rises by {charge}"
                )
        self._costs[units.line_id] = cost
        yield from _check_price(f"line {units.line_id}", units.price)


def _check_outcome(event: e.OrderEvent, order: Order) -> Iterator[str]:
    """Yield the amounts of ``event`` that aren't those of ``order``."""
    for name in _AMOUNTS:
        money = getattr(event, name)
        amount = getattr(order, name)
        if money is not None and money.amount != amount:
            yield f"its {name} is {money.amount}, its prices and payments add up to {amount}"
    if event.total is not None and event.total.amount < 0 and _is_priced(event):
        yield f"its total is {event.total.amount}, which is below zero"


def _is_priced(event: e.OrderEvent) -> bool:
    """Return True if ``event`` has prices: earlier releases let totals fall below zero."""
    if isinstance(event, _CREDITS):
        return any(item.price is not None for item in event.items)
    return isinstance(event, e.PricedEvent) and event.price is not None


def _check_prices(price: e.OrderPrice, order: Order) -> Iterator[str]:
    """Yield the faults of the price of all ordered units."""
    priced = {line.line_id: line for line in price.lines}
    if priced.keys() != order.lines.keys():
        yield f"it says the prices of {len(priced)} lines, the order has {len(order.lines)}"
        return
    for line_id, line_price in priced.items():
        line = order.lines[line_id]
        list_value = quantize(line.unit_price * line.ordered, order.currency)
        if line_price.list_value != list_value:
            yield (
                f"the list value of line {line_id} is {line_price.list_value}, its units cost "
                f"{list_value}"
            )
        yield from _check_price(f"line {line_id}", line_price)
    for charge in price.charges:
        yield from _check_price(f"the charge {charge.label}", charge)
    parts = (*price.lines, *price.charges)
    shares = _sum(share.amount for part in parts for share in part.discounts)
    discounts = _sum(
        _discount(OrderAdjustment.model_validate(item)) for item in order.adjustments or ()
    )
    # A discount that exceeds the prices has no further effect.
    is_used_up = any(part.net == 0 for part in parts)
    if shares > discounts or (shares < discounts and not is_used_up):
        yield f"the shares of the discounts add up to {shares}, the discounts are {discounts}"


def _check_price(subject: str, price: Price) -> Iterator[str]:
    """Yield the faults of a price in itself."""
    shares = _sum(share.amount for share in price.discounts)
    if (net := price.list_value - shares + price.surcharge) != price.net:
        yield f"the price of {subject} is {price.net}, its parts add up to {net}"
    if any(tax.base != price.taxable for tax in price.taxes):
        yield f"a tax on {subject} isn't on {price.taxable}, its price without taxes"
    if any(amount < 0 for amount in _amounts(price)):
        yield f"the price of {subject} has an amount below zero"


def _discount(item: OrderAdjustment) -> Decimal:
    """Return the amount of a discount for all ordered units; 0 for other adjustments."""
    if item.kind != "discount":
        return Decimal(0)
    return item.amount if item.shares is None else _sum(item.shares.values())


def _amounts(price: Price) -> Iterator[Decimal]:
    yield price.list_value
    yield price.net
    yield from (share.amount for share in price.discounts)
    yield from (item.amount for item in price.surcharges or ())
    yield from (tax.amount for tax in price.taxes)


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    return sum(amounts, Decimal(0))
