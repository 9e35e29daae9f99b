"""A month of random orders: the readers of its money agree to the cent, and with the payments."""

import csv
import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from datetime import date, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest

from config.accounts.roles import Role
from ordering_read.models.customer_stats import CustomerStats
from ordering_read.models.order_timeline import TimelineEntry
from ordering_read.models.sales_by_day import SalesByDay
from ordering_read.models.tax_by_day import TaxByDay
from ordering_read.projections.order_view import fold_order
from ordering_read.queries import get_query_bus
from ordering_read.queries.orders import GetOrderById, OrderDetail, order_detail
from ordering_write.domain import commands as c
from ordering_write.domain import events as e
from ordering_write.domain.errors import DomainError
from ordering_write.models import Order
from tests.integration.test_read_api import ROOT, client_of
from tests.kit import NOW
from tests.kit_money import exchange_line, order_of
from tests.kit_money_moves import COUNTRIES, MOVES, Walk
from tests.kit_projections import NOON, History, go_live
from tests.proof import size

pytestmark = [pytest.mark.usefixtures("db"), pytest.mark.proof]

ZERO = Decimal(0)
DAYS = 30
CURRENCIES = ("EUR", "JPY", "KWD")
# The payments that move money, with the columns and signs by which they are counted.
COLUMNS = {
    "captured": ("captured", 1),
    "chargeback": ("charged_back", 1),
    "chargeback_reversed": ("charged_back", -1),
}


class Month:
    """Orders that are placed and moved at random on each day, and the history of their events."""

    def __init__(self, seed: int, *, moves: int) -> None:
        self.dice = random.Random(seed)
        self.history = History()
        self.orders: list[Order] = []
        self.customers = [uuid4() for _ in range(3)]
        # The sums of `due` and of `balance` of all orders of a currency, at the end of a day.
        self.closing: dict[tuple[date, str], tuple[Decimal, Decimal]] = {}
        for number in range(DAYS):
            at = NOON + timedelta(days=number)
            changed = {order.pk: order for order in self._day(moves)}
            for order in changed.values():
                self._add(order, at)
            for currency in CURRENCIES:
                own = [order for order in self.orders if order.currency == currency]
                due = sum((order.due for order in own), ZERO)
                self.closing[at.date(), currency] = due, sum((o.balance for o in own), ZERO)

    def _day(self, moves: int) -> Iterator[Order]:
        if self.dice.random() < 0.5 or not self.orders:
            yield self._placed()
        own_moves = {
            "pay": self._pay,
            "deliver": self._deliver,
            "settle": self._settle,
            "bounce": self._bounce,
            "charge back": self._charge_back,
        }
        for _ in range(moves):
            order = self.dice.choice(self.orders)
            choice, number = self.dice.randint(0, 6), self.dice.randint(0, 3_000)
            name = self.dice.choice([*MOVES, *(["exchange", *own_moves] * 3)])
            with suppress(DomainError):
                if name == "exchange":
                    yield from self._exchange(order)
                elif name in own_moves:
                    own_moves[name](order)
                else:
                    Walk(order, self.dice.choice(COUNTRIES)).try_move(name, choice, number)
            yield order

    def _pay(self, order: Order) -> None:
        if order.balance > 0:
            payment_id, kind = f"payment-{order.version}", e.PaymentKind.CAPTURED
            order.record_payment(payment_id, kind, order.balance, at=NOW)

    def _charge_back(self, order: Order) -> None:
        half = order.money(order.captured / 2).amount
        for payment_id in list(order.payments)[:1] if half > 0 else ():
            kind, reference = e.PaymentKind.CHARGEBACK, f"chargeback-{order.version}"
            order.record_payment(payment_id, kind, half, reference=reference, at=NOW)

    def _deliver(self, order: Order) -> None:
        if order.status == "pending":
            order.confirm(now=NOW)
        order.ship_everything(shipment_id=uuid4(), now=NOW)
        order.deliver_everything(now=NOW)

    def _settle(self, order: Order) -> None:
        for refund_id, refund in list(order.refunds.items()):
            if refund["status"] == "requested":
                order.settle_refund(UUID(refund_id), at=NOW)

    def _bounce(self, order: Order) -> None:
        for refund_id, refund in list(order.refunds.items()):
            if refund["status"] == "settled":
                order.fail_refund(UUID(refund_id), at=NOW + timedelta(hours=1))

    def _placed(self, customer_id: UUID | None = None, **fields: Any) -> Order:
        """Place an order of some lines with a discount, a tax and shipping, or without."""
        currency = fields.get("currency") or self.dice.choice(CURRENCIES)
        lines = [(self.dice.randint(1, 4), self.dice.randint(100, 9_999)) for _ in range(2)]
        beside = {"discount": 90, "shipping": 450, "tax": self.dice.randint(1, 999)}
        events, _ = order_of(lines, beside if self.dice.random() < 0.7 else {}, currency)
        own = {"customer_id": customer_id or self.dice.choice(self.customers)}
        number = {"order_number": f"2026-{len(self.orders):06}"}
        events = [
            event.model_copy(update={**own, **(number if event.type == "OrderCreated" else {})})
            for event in events
        ]
        order = Order.fold(events)
        order._pending = list(events)
        self.orders.append(order)
        return order

    def _exchange(self, order: Order) -> Iterator[Order]:
        line_id, return_id = self.dice.choice(list(order.lines)), uuid4()
        back = c.ReturnedLine(line_id=line_id, quantity=1, reason=e.ReturnReason.UNWANTED)
        lines = [exchange_line(order, Decimal(1))]
        order.request_return([back], return_id=return_id, exchange_for=lines, now=NOW)
        order.receive_return(return_id, [c.ReceivedLine(line_id=line_id, restock=1)], now=NOW)
        other = self._placed(order.customer_id, currency=order.currency)
        order.exchange_by(other, return_id, now=NOW)
        yield other

    def _add(self, order: Order, at: Any) -> None:
        """Add the new events of ``order`` to the history, as events of the time ``at``."""
        events = [
            event.model_copy(
                update={
                    "timestamp": at,
                    **({"placed_at": at} if hasattr(event, "placed_at") else {}),
                }
            )
            for event in order.pending_events
        ]
        self.history.add(SimpleNamespace(pending_events=events, stream=order.stream))  # type: ignore[arg-type]


@pytest.fixture(params=range(size(2, full=40)))
def month(request: pytest.FixtureRequest) -> Month:
    return Month(request.param, moves=size(12, full=20))


def test_the_sales_of_each_day_reconcile_with_the_payments_of_the_day(month: Month) -> None:
    rows = {(row["day"], row["currency"]): row for row in month.history.rows(SalesByDay)}
    payments = _payments(month.history)
    sums: Any = defaultdict(Counter)
    for (day, currency), (due, balance) in sorted(month.closing.items()):
        row = rows.get((day, currency), {})
        columns = ("captured", "charged_back", "paid_back")
        assert {name: row.get(name, ZERO) for name in columns} == {
            name: payments[day, currency, name] for name in columns
        }
        sums[currency].update({name: row[name] for name in (*columns, "gross") if row})
        sums[currency].update({name: -row[name] for name in ("cancelled", "refunded") if row})
        total = sums[currency]
        net = total["gross"] + total["cancelled"] + total["refunded"]
        paid = total["captured"] - total["charged_back"] - total["paid_back"]
        assert (net, net - paid) == (due, balance), day


def _payments(history: History) -> Counter[tuple[date, str, str]]:
    """Return the sums of the payment events of each day, by currency and column."""
    payments: Counter[Any] = Counter()
    for event in history.events:
        column, sign = "", 1
        match event:
            case e.PaymentRecorded():
                column, sign = COLUMNS.get(event.kind, ("", 1))
            case e.RefundSettled():
                column = "paid_back"
            case e.RefundBounced():
                column, sign = "paid_back", -1
        if column:
            money: Any = event.amount  # type: ignore[attr-defined]
            payments[event.timestamp.date(), money.currency, column] += sign * money.amount
    return payments


def test_no_reader_sees_two_amounts_for_one_fact(month: Month) -> None:
    history = month.history
    go_live(history)
    shown = {order.pk: _shown(order.pk) for order in month.orders}
    due: Any = Counter()
    taxes: Any = Counter()
    for order in month.orders:
        detail = shown[order.pk]
        _check_order(order, detail, history)
        if order.status == "cancelled":
            continue
        for key in (order.customer_id, "sales"):
            due[key, order.currency, "spent"] += order.due
            due[key, order.currency, "discount"] += detail.sums.discount
            due[key, order.currency, "tax"] += sum(tax.amount for tax in detail.taxes)
        for tax in detail.taxes:
            taxes[order.currency, tax.label, "base"] += tax.base
            taxes[order.currency, tax.label, "amount"] += tax.amount
    paid: Any = Counter()
    for order in month.orders:
        paid[order.customer_id, order.currency] += order.captured - order.refunded

    for row in CustomerStats.live.all():
        for name in ("spent", "discount", "tax"):
            assert getattr(row, name) == due[row.customer_id, row.currency, name], name
        assert row.paid == paid[row.customer_id, row.currency]
    exported = _exported("sales-by-day")
    for currency in CURRENCIES:
        own = [line for line in exported if line["currency"] == currency]
        for column, name in (("net", "spent"), ("discount", "discount"), ("tax", "tax")):
            total = sum((Decimal(line[column]) for line in own), ZERO)
            assert total == due["sales", currency, name], column
    by_tax: Any = Counter()
    for tax_row in TaxByDay.live.all():
        by_tax[tax_row.currency, tax_row.label, "base"] += tax_row.base
        by_tax[tax_row.currency, tax_row.label, "amount"] += tax_row.amount
    assert _nonzero(by_tax) == _nonzero(taxes) != {}


def _nonzero(sums: Any) -> dict[Any, Decimal]:
    return {name: amount for name, amount in sums.items() if amount}


def _shown(order_id: UUID) -> OrderDetail:
    detail: OrderDetail = get_query_bus().dispatch(GetOrderById(order_id=order_id))
    return detail


def _check_order(order: Order, detail: OrderDetail, history: History) -> None:
    """Check that the page, the past states and the timeline of an order say its amounts."""
    assert (detail.total_amount, detail.balance) == (order.total, order.balance)
    assert (detail.captured, detail.refunded) == (order.captured, order.refunded)
    sums = detail.sums
    added = sum((tax.amount for tax in detail.taxes if not tax.included), ZERO)
    assert sums.tax == added
    total = sums.list_value - sums.discount + sums.charges + sums.tax - sums.goodwill
    assert total == order.total
    own = [event for event in history.events if event.recorded.stream == order.stream]
    assert order_detail(*fold_order(own)).total_amount == order.total  # type: ignore[arg-type]
    sentences = dict(
        TimelineEntry.live.filter(order_id=order.pk).values_list("version", "sentence")
    )
    for event in own:
        if isinstance(event, e.PaymentRecorded | e.RefundSettled | e.CreditTransferred):
            amount = f"{event.amount.amount} {event.amount.currency}"
            assert amount in sentences[event.recorded.version]


def _exported(report: str) -> list[dict[str, str]]:
    """Return the lines of a report as CSV."""
    answer = client_of(Role.ADMIN).get(f"{ROOT}/reports/{report}", headers={"accept": "text/csv"})
    return list(csv.DictReader(answer.content.decode("utf-8-sig").splitlines()))
