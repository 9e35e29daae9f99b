"""The figures of /metrics about sales, taxes and payments."""

from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from config import money_metrics
from ordering_write.domain import events as e
from ordering_write.models import Order
from tests.kit_projections import NOON, History, go_live, order_placed

pytestmark = pytest.mark.usefixtures("db")


def pay(order: Order, amount: str, *, kind: e.PaymentKind = e.PaymentKind.CAPTURED) -> None:
    order.record_payment("p-1", kind, Decimal(amount), reference=f"{kind} of {amount}", at=NOON)


def samples_of(*orders: Order) -> dict[tuple[str, ...], Any]:
    """Return the samples after the events of ``orders``, by name and values of labels."""
    history = History()
    history.add(*orders)
    go_live(history)
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in money_metrics.money_metrics()
        for sample in family.samples
    }


def taxed(number: str, rate: str, tax: str) -> Order:
    adjustments = {"discount": "2.00", "tax": tax}
    return order_placed(
        number=number, quantity=2, unit_price="10.00", adjustments=adjustments, tax_rate=rate
    )


def test_amounts_of_sales_and_payments_are_sums_by_currency(subtests: pytest.Subtests) -> None:
    disputed = taxed("2026-000001", "21", "3.78")
    pay(disputed, "21.78")
    pay(disputed, "5.00", kind=e.PaymentKind.CHARGEBACK)
    late = order_placed(number="2026-000002", quantity=1, unit_price="10.00")
    pay(late, "10.00")
    late.grant_goodwill(Decimal("3.00"), "Late", refund_id=uuid4(), now=NOON)
    [refund_id] = late.refunds
    late.settle_refund(UUID(refund_id), at=NOON)
    cancelled = order_placed(number="2026-000003", quantity=1, unit_price="990", currency="JPY")
    cancelled.cancel("Not wanted", now=NOON)

    samples = samples_of(disputed, late, cancelled)

    expected: dict[str, tuple[str | int, int]] = {
        "placed_total": (2, 1),
        "gross_amount": ("31.78", 990),
        "cancelled_amount": (0, 990),
        "refunded_amount": ("3.00", 0),
        "discount_amount": ("2.00", 0),
        "goodwill_amount": ("3.00", 0),
        "captured_amount": ("31.78", 0),
        "charged_back_amount": ("5.00", 0),
        "paid_back_amount": ("3.00", 0),
    }
    for name, (euros, yen) in expected.items():
        with subtests.test(name):
            assert samples[f"orders_{name}", "EUR"] == Decimal(euros)
            assert samples[f"orders_{name}", "JPY"] == yen
    assert samples["orders_needing_attention", "chargeback"] == 1
    assert samples["orders_needing_attention", "refund_failed"] == 0


def test_taxes_are_sums_by_name_and_rate() -> None:
    samples = samples_of(taxed("2026-000001", "21", "3.78"), taxed("2026-000002", "21", "3.78"))

    assert samples["orders_tax_amount", "EUR", "", "Sample tax", "21"] == 7.56
    assert samples["orders_tax_base_amount", "EUR", "", "Sample tax", "21"] == 36


def test_the_taxes_beyond_the_largest_are_one_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(money_metrics, "_MOST_TAXES", 1)
    orders = [taxed(f"2026-{tax}", tax, f"0.0{tax}") for tax in ("1", "2", "3")]
    pair = order_placed(quantity=4, unit_price="10.00", adjustments={"tax": "8.40"}, tax_rate="21")

    samples = samples_of(*orders, pair)

    taxes = {name[1:]: value for name, value in samples.items() if name[0] == "orders_tax_amount"}
    assert taxes == {("EUR", "", "Sample tax", "21"): 8.4, ("EUR", "", "(other taxes)", ""): 0.06}


def test_orders_that_need_attention_are_counted_to_a_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(money_metrics, "_MOST_ATTENTION", 2)
    orders = [order_placed(number=f"2026-{number}", quantity=1) for number in range(3)]
    for order in orders:
        pay(order, "9.95")
        pay(order, "9.95", kind=e.PaymentKind.CHARGEBACK)

    assert samples_of(*orders)["orders_needing_attention", "chargeback"] == 2


def test_a_shop_without_orders_has_no_amounts() -> None:
    assert {name for name, *_ in samples_of()} == {"orders_needing_attention"}
