"""The kit for tests of money: a book of an order that only events fill, and random moves.

``Book`` knows no rule: it adds up what events say, and compares that with the order. ``MOVES`` are
moves of an order that change its goods or its money.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from ordering_read.projections.receivables import change_in_amount_due
from ordering_write.domain import commands as c
from ordering_write.domain import events as e
from ordering_write.domain.errors import DomainError
from ordering_write.domain.prices import ChargePrice, LinePrice
from ordering_write.domain.values import MINOR_UNITS, Money
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
        self.lines: dict[UUID, LinePrice] = {}
        self.charges: Sequence[ChargePrice] = ()
        self.goodwill = self.due = self.total = self.balance = ZERO
        self.credits: dict[UUID, Decimal] = {}
        self.charged: dict[UUID, Decimal] = {}

    def add(self, event: Any) -> None:
        if isinstance(event, e.OrderItemAdded):
            value = event.line_total.amount
            self._charge(LinePrice(line_id=event.line_id, list_value=value, net=value))
        if isinstance(event, e.OrderAdjustmentAdded) and event.kind == "goodwill":
            self.goodwill += event.amount.amount
        if isinstance(event, e.OrderAdjustmentRemoved) and event.kind == "goodwill":
            self.goodwill -= event.amount.amount
        if isinstance(event, e.OrderItemQuantityChanged) and event.price is None:
            value = event.line_total.amount
            self._charge(LinePrice(line_id=event.line_id, list_value=value, net=value))
        if isinstance(event, e.PricedEvent) and event.price is not None:
            self.charges = event.price.charges
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
        for line_id, line in self.lines.items():
            assert self.charged[line_id] - self.credits[line_id] == line.cost
            row = order.lines[line_id]
            if row.owed == 0 and order.status != "cancelled":
                assert (line.net, line.discount, line.cost) == (ZERO, ZERO, ZERO)
        if order.status != "cancelled":
            costs = sum((part.cost for part in (*self.lines.values(), *self.charges)), ZERO)
            assert order.total == max(costs - self.goodwill, ZERO)


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
    beside = [
        e.OrderAdjustmentAdded(
            timestamp=NOW,
            order_id=created.order_id,
            kind=kind,
            label=f"Sample {kind}",
            amount=Money.of(amount * unit, currency),
        )
        for kind, amount in adjustments.items()
    ]
    events = Order.create(created=created, items=items, adjustments=beside).pending_events
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


def try_move(order: Order, name: str, part: int, number: int) -> None:
    """Try a move of MOVES about one of the parts of ``order``; a refusal changes nothing."""
    with suppress(DomainError):
        MOVES[name](order, part, number)


def _line(order: Order, part: int) -> UUID:
    return list(order.lines)[part % len(order.lines)]


def _units(order: Order, part: int, number: int) -> list[c.LineQuantity]:
    return [c.LineQuantity(line_id=_line(order, part), quantity=number % 4 + 1)]


def _amount(order: Order, number: int) -> Decimal:
    return (number + 1) * MINOR_UNITS[order.currency]


def _add_line(order: Order, part: int, number: int) -> None:
    [_, added] = placed(number % 3 + 1, currency=order.currency, unit_price=str(part + 1))
    order.add_item(added.model_copy(update={**NO_OUTCOME, "order_id": order.id}))


def _ship(order: Order, part: int, number: int) -> None:
    order.confirm(now=NOW) if order.status == "pending" else None
    shipment_id = uuid4()
    order.pack(_units(order, part, number), shipment_id=shipment_id, now=NOW)
    order.dispatch_shipment(shipment_id, now=NOW)


def _end_shipment(order: Order, _part: int, number: int) -> None:
    for shipment in list(order.shipments.values()):
        if shipment.status == "dispatched" and number % 3 == 0:
            resend = number % 2 == 0
            order.fail_delivery(shipment.id, e.DeliveryFailure.LOST, resend=resend, at=NOW)
            order.make_lost_units_good(now=NOW)
        elif shipment.status == "dispatched":
            order.deliver(shipment.id, at=NOW)


def _return(order: Order, part: int, number: int) -> None:
    line_id, quantity, return_id = _line(order, part), number % 4 + 1, uuid4()
    back = c.ReturnedLine(line_id=line_id, quantity=quantity, reason=e.ReturnReason.UNWANTED)
    order.request_return([back], return_id=return_id, now=NOW)
    received = c.ReceivedLine(line_id=line_id, restock=quantity)
    order.receive_return(return_id, [received], now=NOW)


def free_order(*product_ids: UUID) -> Order:
    """Return an order of a unit of each product, at a price of 0."""
    created, *items = placed(*[1] * len(product_ids), unit_price="0")
    products = zip(items, product_ids, strict=True)
    lines = [
        item.model_copy(update={**NO_OUTCOME, "product_id": product_id})
        for item, product_id in products
    ]
    return Order.create(created=created, items=lines)


def _replace(order: Order, part: int, number: int) -> None:
    line = order.lines[_line(order, part)]
    order.replace_by(free_order(*[line.product_id] * (number % 3 + 1)), now=NOW)


def exchange_line(order: Order, number: int = 0) -> e.ExchangeLine:
    """Return a line of an exchange for goods of ``order``."""
    return e.ExchangeLine(
        product_id=uuid4(),
        sku="OTHER-1",
        name="Other",
        quantity=1,
        unit_price=order.money(_amount(order, number)),
        price_source="list",
    )


def _exchange(order: Order, part: int, number: int) -> None:
    line_id, return_id = _line(order, part), uuid4()
    back = c.ReturnedLine(line_id=line_id, quantity=1, reason=e.ReturnReason.UNWANTED)
    lines = [exchange_line(order, number)]
    order.request_return([back], return_id=return_id, exchange_for=lines, now=NOW)
    order.receive_return(return_id, [c.ReceivedLine(line_id=line_id, restock=1)], now=NOW)
    if part % 3 == 0:
        order.fail_exchange(return_id, "Sold out", now=NOW)
    else:
        _, other = order_of([(1, number + 1)], {}, order.currency)
        order.exchange_by(other, return_id, now=NOW)


def _capture(order: Order, part: int, number: int) -> None:
    amount = order.balance if part % 2 and order.balance > 0 else _amount(order, number)
    kind = e.PaymentKind.CAPTURED
    order.record_payment(f"payment-{order.version}", kind, amount, at=NOW)


def _refund(order: Order, part: int, number: int) -> None:
    lines = _units(order, part, number) if part % 3 == 0 else None
    order.request_refund(
        _amount(order, number), "Not happy", refund_id=uuid4(), lines=lines, now=NOW
    )


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


def _adjust(order: Order, part: int, number: int) -> None:
    kind = ("discount", "discount", "fee")[part % 3]
    line_id = _line(order, part) if number % 2 else None
    order.adjust(adjustment(order, kind, _amount(order, number), line_id=line_id))


def _remove_adjustment(order: Order, part: int, _number: int) -> None:
    ids = [UUID(item["adjustment_id"]) for item in order.adjustments or ()]
    if ids:
        order.remove_adjustment(ids[part % len(ids)], now=NOW)


def _change_price(order: Order, part: int, number: int) -> None:
    order.change_price(_line(order, part), _amount(order, number), "Agreed", now=NOW)


def _end_refund(order: Order, part: int, _number: int) -> None:
    requested = [key for key, refund in order.refunds.items() if refund["status"] == "requested"]
    for key in requested[:1]:
        move = order.fail_refund if part % 3 == 0 else order.settle_refund
        move(UUID(key), at=NOW)


def _authorize(order: Order, _part: int, number: int) -> None:
    kind = e.PaymentKind.AUTHORIZED
    order.record_payment(f"payment-{order.version}", kind, _amount(order, number), at=NOW)


def _answer_capture(order: Order, part: int, _number: int) -> None:
    kind = e.PaymentKind.FAILED if part % 3 == 0 else e.PaymentKind.CAPTURED
    for capture in [*order.captures.values()][:1]:
        amount, reference = Decimal(capture["amount"]), f"capture-{order.version}"
        order.record_payment(capture["payment_id"], kind, amount, reference=reference, at=NOW)


def _chargeback(order: Order, part: int, number: int) -> None:
    kinds = (e.PaymentKind.CHARGEBACK, e.PaymentKind.CHARGEBACK_REVERSED)
    amount = _amount(order, number)
    order.record_payment(f"payment-{part}", kinds[number % 2], amount, reference="dispute", at=NOW)


def _bounce(order: Order, *_: int) -> None:
    settled = [key for key, refund in order.refunds.items() if refund["status"] == "settled"]
    for key in settled[:1]:
        order.fail_refund(UUID(key), at=NOW)


MOVES: dict[str, Callable[[Order, int, int], None]] = {
    "add_line": _add_line,
    "change_quantity": lambda order, part, number: order.change_quantity(
        _line(order, part), number % 5 + 1, now=NOW
    ),
    "cancel_items": lambda order, part, number: order.cancel_items(
        _units(order, part, number), "Too many", now=NOW
    ),
    "cancel": lambda order, part, number: (
        order.cancel("Not needed", now=NOW) if part == number % 7 else None
    ),
    "ship": _ship,
    "end_shipment": _end_shipment,
    "return": _return,
    "exchange": _exchange,
    "replace": _replace,
    "capture": _capture,
    "refund": _refund,
    "end_refund": _end_refund,
    "adjust": _adjust,
    "remove_adjustment": _remove_adjustment,
    "change_price": _change_price,
    "bounce": _bounce,
    "authorize": _authorize,
    "request_capture": lambda order, *_: order.request_capture(capture_id=uuid4(), now=NOW),
    "answer_capture": _answer_capture,
    "chargeback": _chargeback,
    "grant_goodwill": lambda order, _part, number: order.grant_goodwill(
        _amount(order, number), "Sorry", refund_id=uuid4(), now=NOW
    ),
    "refund_credit": lambda order, *_: order.request_refund(
        order.credit, "the order costs less than was paid", refund_id=uuid4(), now=NOW
    ),
}
