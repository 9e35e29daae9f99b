"""The commands that change the price of an order after it was placed, on the database."""

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from rest_framework.test import APIClient

from config.accounts.models import User
from ordering_read.engine import live
from ordering_read.models.customer_stats import CustomerStats
from ordering_read.models.sales_by_day import SalesByDay
from ordering_read.models.sales_by_product import SalesByProduct
from ordering_read.projector import registered
from ordering_read.queries import get_query_bus
from ordering_read.queries.orders import GetOrderById, OrderDetail
from ordering_write import log
from ordering_write.domain import commands as c
from ordering_write.domain import events as e
from ordering_write.domain.errors import InvalidAmountError, RefundLimitError
from ordering_write.domain.prices import Tax
from ordering_write.models import Order
from ordering_write.ports.tax import TaxDraft
from tests.kit import NOW, check_rows_equal_log
from tests.kit_policies import Adapter, give, later_event_types, new_order, plug, run_policies

pytestmark = pytest.mark.usefixtures("db")


class OnEverything(Adapter):
    """Adds 10 % to every line and charge."""

    def taxes(self, draft: TaxDraft) -> dict[UUID, list[Tax]]:
        return {part.part_id: [Tax(label="GST 10 %", rate=Decimal(10))] for part in draft.parts}


def paid_order(**fields: Any) -> Order:
    """Place an order of two units at 19.90 EUR, and pay it."""
    order = new_order(**fields)
    amount = Order.objects.get(pk=order.pk).total
    give(c.RecordPayment, order, payment_id="payment-1", kind="captured", amount=amount)
    return order


def line_of(order: Order) -> UUID:
    return next(
        event.line_id
        for event in log.read_stream(order.stream)
        if isinstance(event, e.OrderItemAdded)
    )


def adjust(order: Order, kind: str, amount: str, **fields: Any) -> e.OrderAdjustmentAdded:
    """Adjust the order; return the event."""
    payload = {"kind": kind, "label": "Later", "amount": amount, "reason": "agreed", **fields}
    [added] = give(c.AdjustOrder, order, **payload)
    assert isinstance(added, e.OrderAdjustmentAdded)
    return added


def change_price(order: Order, unit_price: str, **fields: Any) -> None:
    payload = {"line_id": line_of(order), "unit_price": unit_price, "reason": "agreed", **fields}
    give(c.ChangeItemPrice, order, **payload)


def refunds_of(order: Order) -> list[Decimal]:
    events = log.read_stream(order.stream)
    return [event.amount.amount for event in events if isinstance(event, e.RefundRequested)]


def shown(order: Order, **parameters: Any) -> OrderDetail:
    query = GetOrderById(order_id=order.pk, **(parameters or {"consistency": "strong"}))
    detail: OrderDetail = get_query_bus().dispatch(query)
    return detail


def test_a_lower_price_of_a_paid_order_is_refunded_once(subtests: pytest.Subtests) -> None:
    def remove_fee(order: Order) -> None:
        [fee] = shown(order).adjustments
        give(c.RemoveAdjustment, order, adjustment_id=fee.adjustment_id)

    fee = {"kind": "fee", "label": "Gift wrap", "amount": "5.00"}
    for name, change in {
        "discount": lambda order: adjust(order, "discount", "5.00"),
        "discount on a line": lambda order: adjust(
            order, "discount", "5.00", line_id=line_of(order)
        ),
        "removed fee": remove_fee,
        "unit price": lambda order: change_price(order, "17.40"),
    }.items():
        with subtests.test(change=name):
            order = paid_order(adjustments=[fee])

            change(order)
            run_policies(NOW)
            run_policies(NOW)

            assert refunds_of(order) == [Decimal("5.00")]
    check_rows_equal_log()


def test_an_order_whose_price_falls_to_what_is_paid_is_confirmed(
    settings: Any, subtests: pytest.Subtests
) -> None:
    settings.CONFIRM_WHEN_PAID = True
    for name, change in {
        "discount": lambda order: adjust(order, "discount", "9.80"),
        "unit price": lambda order: change_price(order, "15.00"),
        "goodwill": lambda order: give(c.GrantGoodwill, order, amount="9.80", reason="late"),
        "quantity": lambda order: give(
            c.ChangeItemQuantity, order, line_id=line_of(order), new_quantity=1
        ),
    }.items():
        with subtests.test(change=name):
            order = new_order()
            give(c.RecordPayment, order, payment_id="pay-1", kind="captured", amount="30.00")
            adjust(order, "fee", "1.00")
            run_policies(NOW)
            assert shown(order).status == "pending"
            adjust(order, "discount", "1.00")

            change(order)
            run_policies(NOW)

            assert shown(order).status == "confirmed"


def test_a_higher_price_of_a_paid_order_is_due() -> None:
    order = paid_order()

    change_price(order, "20.90")
    adjust(order, "gift_wrap", "3.00", line_id=line_of(order))
    run_policies(NOW)

    assert later_event_types(order) == [
        "PaymentRecorded",
        "OrderItemPriceChanged",
        "OrderAdjustmentAdded",
    ]
    detail = shown(order)
    assert (detail.total_amount, detail.balance) == (Decimal("44.80"), Decimal("5.00"))


def test_taxes_are_asked_for_at_every_change(settings: Any) -> None:
    plug(settings, tax=OnEverything)
    order = new_order()

    adjust(order, "shipping", "10.00")
    adjust(order, "discount", "4.80")
    change_price(order, "29.90")

    detail = shown(order)
    assert detail.sums.tax == Decimal("6.50")
    assert detail.total_amount == Decimal("71.50")
    check_rows_equal_log()


def test_a_receipt_with_later_changes_adds_up() -> None:
    order = paid_order()
    adjust(order, "gift_wrap", "3.00", line_id=line_of(order))
    adjust(order, "shipping", "4.00")
    adjust(order, "discount", "6.00")
    units = [{"line_id": line_of(order), "quantity": 1}]
    give(c.CancelOrderItems, order, items=units, reason="sold out")

    detail = shown(order)

    [line] = detail.items
    assert (line.list_value, line.discount, line.surcharge, line.line_total) == (
        Decimal("19.90"),
        Decimal("3.00"),
        Decimal("1.50"),
        Decimal("18.40"),
    )
    assert detail.sums.charges == Decimal("5.50")
    assert detail.total_amount == Decimal("22.40")
    live.run(*registered())
    assert shown(order, version=detail.version) == shown(order)


def test_a_removed_adjustment_is_no_longer_shown() -> None:
    order = new_order()
    kept = adjust(order, "fee", "1.00")
    removed = adjust(order, "discount", "2.00")

    give(c.RemoveAdjustment, order, adjustment_id=removed.adjustment_id)

    assert [item.adjustment_id for item in shown(order).adjustments] == [kept.adjustment_id]
    assert len(shown(order, version=4).adjustments) == 2


def test_a_clerk_changes_prices_up_to_the_limit_of_refunds(
    settings: Any, subtests: pytest.Subtests
) -> None:
    settings.REFUND_LIMITS = {"EUR": Decimal(8)}
    for name, change in {
        "discount": lambda order: adjust(order, "discount", "8.01", privileges=[]),
        "unit price": lambda order: change_price(order, "15.89", privileges=[]),
    }.items():
        with subtests.test(change=name):
            order = paid_order()
            with pytest.raises(RefundLimitError):
                change(order)
            # Without a payment nothing would be refunded.
            change(new_order())


def test_amounts_have_the_decimals_of_the_currency() -> None:
    order = new_order()

    with pytest.raises(InvalidAmountError):
        adjust(order, "discount", "0.001")
    with pytest.raises(InvalidAmountError):
        change_price(order, "19.901")


def test_only_a_charge_beside_the_lines_has_taxes() -> None:
    taxes = [{"label": "IVA", "rate": "21"}]
    fields = {"order_id": UUID(int=1), "label": "A", "amount": "1.00", "reason": "agreed"}
    for payload in ({"kind": "discount"}, {"kind": "fee", "line_id": UUID(int=2)}):
        with pytest.raises(ValueError, match="Only a charge beside the lines has taxes"):
            c.AdjustOrder(user_id=UUID(int=1), taxes=taxes, **fields, **payload)


def test_the_api_needs_the_version_and_previews_the_change(admin_user: User) -> None:
    order = new_order()
    api = APIClient()
    api.force_authenticate(admin_user)
    body = {"kind": "discount", "label": "Scratched", "amount": "5.00", "reason": "agreed"}
    path = f"/api/v1/orders/{order.pk}/adjustments"

    without_version = api.post(path, body, format="json")
    preview = api.post(f"{path}?dry_run=true", body, format="json", headers={"If-Match": '"2"'})
    stale = api.post(path, body, format="json", headers={"If-Match": '"1"'})
    added = api.post(path, body, format="json", headers={"If-Match": '"2"'})

    assert (without_version.status_code, stale.status_code) == (428, 412)
    assert Decimal(preview.json()["total_after"]) == Decimal("34.80")
    removed = api.delete(f"{path}/{added.json()['adjustment_id']}", headers={"If-Match": '"3"'})
    assert removed.status_code == 200
    assert shown(order).total_amount == Decimal("39.80")


def test_reports_follow_the_price() -> None:
    order = paid_order()
    adjust(order, "discount", "5.80")
    change_price(order, "25.00")
    live.run(*registered())

    total = shown(order).total_amount
    assert total == Decimal("44.20")
    assert CustomerStats.live.get(customer_id=order.customer_id).spent == total
    assert SalesByDay.live.get().net == total
    assert SalesByProduct.live.get().gross == Decimal("50.00")
