"""Exchanges from the return to the order that is paid with its credit, and replacements."""

from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from config.accounts.roles import Role
from ordering_write import log
from ordering_write.bus.actions import actions_of
from ordering_write.domain import commands as c
from ordering_write.domain import errors
from ordering_write.domain import events as e
from ordering_write.models import Order, StockItem
from tests import kit
from tests.integration.test_read_api import ROOT, client_of
from tests.kit import NOW, check_rows_equal_log
from tests.kit_admin import ORDERS, logged_in, page_text, row_url, run_projections
from tests.kit_policies import Gateway, give, plug, run_policies

pytestmark = pytest.mark.usefixtures("db")

ZERO = Decimal(0)
SHIPPED, DELIVERED = e.OrderStatus.SHIPPED, e.OrderStatus.DELIVERED


class Exchange:
    """A delivered order of two lamps at 19.90, paid by payment-1, of which one is to be exchanged
    for goods of another product."""

    def __init__(self, *, price: str = "25.00", on_hand: int = 5, paid: str = "39.80") -> None:
        self.customer = kit.registered_customer()
        self.product = kit.registered_product(on_hand, list_price=price, name="Other")
        self.order = kit.placed_order(self.customer, (kit.registered_product(), 2))
        if Decimal(paid):
            kind = "captured"
            give(c.RecordPayment, self.order, payment_id="payment-1", kind=kind, amount=paid)
        give(c.ConfirmOrder, self.order)
        for status in (SHIPPED, DELIVERED):
            give(c.UpdateOrderStatus, self.order, status=status)
        [self.line_id] = kit.stored(self.order.stream).lines
        [requested] = self.request(price)
        self.return_id = requested.return_id

    def request(self, price: str, **item: Any) -> Any:
        return give(
            c.RequestReturn,
            self.order,
            items=[{"line_id": self.line_id, "quantity": 1, "reason": "unwanted"}],
            exchange_for=[
                {"product_id": self.product.pk, "quantity": 1, "unit_price": price, **item}
            ],
        )

    def receive(self) -> None:
        items = [{"line_id": self.line_id, "restock": 1}]
        give(c.ReceiveReturn, self.order, return_id=self.return_id, items=items)

    def returned(self) -> Order:
        """Return the order that was returned, as it is now."""
        return Order.objects.get(pk=self.order.pk)

    def placed(self) -> list[Order]:
        """Return the orders that were placed in exchange."""
        return list(Order.objects.exclude(pk=self.order.pk))


def refunds_of(order: Order) -> list[Decimal]:
    events = log.read_stream(order.stream)
    return [event.amount.amount for event in events if isinstance(event, e.RefundRequested)]


def test_a_received_return_is_exchanged_once(settings: Any) -> None:
    settings.CONFIRM_WHEN_PAID = True
    exchange = Exchange(price="15.00")
    run_policies(NOW)
    assert exchange.placed() == []

    exchange.receive()
    run_policies(NOW)
    run_policies(NOW)

    [placed] = exchange.placed()
    created: Any = log.read_stream(placed.stream)[0]
    assert created.replaces_order_id == exchange.order.pk
    assert created.replaces_order_number == exchange.order.order_number
    assert created.shipping_address.city == "Sampleton"
    assert (placed.total, placed.captured, placed.balance) == (
        Decimal("15.00"),
        Decimal("15.00"),
        ZERO,
    )
    assert placed.status == "confirmed"
    assert refunds_of(exchange.order) == [Decimal("4.90")]
    transfers = [
        event.amount.amount
        for order in (exchange.order, placed)
        for event in log.read_stream(order.stream)
        if isinstance(event, e.CreditTransferred)
    ]
    assert transfers == [Decimal("15.00"), Decimal("15.00")]
    with pytest.raises(errors.ExchangeNotDueError):
        give(c.PlaceExchange, exchange.order, return_id=exchange.return_id)
    check_rows_equal_log()


def test_an_exchange_that_is_not_due_has_the_refusal_of_the_actions() -> None:
    exchange = Exchange()

    [action] = [
        action
        for action in actions_of(exchange.order.pk, now=NOW)
        if action.command is c.PlaceExchange
    ]
    with pytest.raises(errors.ExchangeNotDueError) as refusal:
        give(c.PlaceExchange, exchange.order, return_id=exchange.return_id)

    assert str(refusal.value) == f"No exchange of order {exchange.order.order_number} is due."
    assert str(action.refusal) == str(refusal.value)
    with pytest.raises(errors.ReturnNotFoundError):
        give(c.PlaceExchange, exchange.order, return_id=uuid4())


def test_the_difference_to_a_dearer_exchange_is_due() -> None:
    exchange = Exchange()
    exchange.receive()

    run_policies(NOW)

    [placed] = exchange.placed()
    assert (placed.captured, placed.balance) == (Decimal("19.90"), Decimal("5.10"))
    assert refunds_of(exchange.order) == []
    assert exchange.returned().balance == 0


def test_an_exchange_keeps_the_price_that_was_agreed() -> None:
    exchange = Exchange()
    give_price = {"product_id": exchange.product.pk, "list_price": "30.00", "currency": "EUR"}
    kit.dispatch(c.SetListPrice(user_id=kit.USER, **give_price))
    exchange.receive()

    run_policies(NOW)

    [placed] = exchange.placed()
    added: Any = log.read_stream(placed.stream)[1]
    assert added.unit_price.amount == Decimal("25.00")
    assert added.price_source == "override"
    assert added.price_reason == f"Agreed in order {exchange.order.order_number}"


@pytest.mark.parametrize("setting", ["always", "cancelled_and_returned", "never"])
def test_the_credit_is_refunded_when_the_goods_are_sold_out(settings: Any, setting: str) -> None:
    settings.REFUND_CREDIT = setting
    exchange = Exchange(on_hand=1)
    kit.placed_order(kit.registered_customer(), (exchange.product, 1))
    exchange.receive()

    run_policies(NOW)

    failed: Any = next(
        event
        for event in log.read_stream(exchange.order.stream)
        if isinstance(event, e.ExchangeFailed)
    )
    assert failed.reason.startswith("Insufficient inventory: 1 requested")
    assert refunds_of(exchange.order) == ([] if setting == "never" else [Decimal("19.90")])
    assert StockItem.objects.get(pk=exchange.product.pk).reserved == 1


def test_an_exchange_has_the_discount_and_the_taxes_that_were_agreed() -> None:
    exchange = Exchange()
    taxes = [{"label": "IVA 21 %", "jurisdiction": "ES", "rate": "21", "included": False}]
    [requested] = exchange.request("25.00", discount="5.00", taxes=taxes)
    items = [{"line_id": exchange.line_id, "restock": 1}]
    give(c.ReceiveReturn, exchange.order, return_id=requested.return_id, items=items)

    run_policies(NOW)

    [placed] = exchange.placed()
    assert (placed.total, placed.balance) == (Decimal("24.20"), Decimal("4.30"))


def test_the_credit_is_refunded_when_the_customer_is_blocked() -> None:
    exchange = Exchange()
    kit.dispatch(
        c.BlockCustomer(user_id=kit.USER, customer_id=exchange.customer.pk, reason="Unpaid bills")
    )
    exchange.receive()

    run_policies(NOW)

    assert exchange.placed() == []
    assert refunds_of(exchange.order) == [Decimal("19.90")]


def test_a_rejected_return_is_not_exchanged() -> None:
    exchange = Exchange()
    give(c.RejectReturn, exchange.order, return_id=exchange.return_id, reason="Worn")

    run_policies(NOW)

    assert exchange.placed() == []
    assert exchange.returned().balance == 0


def test_a_cancelled_exchange_is_refunded_from_the_first_payment(settings: Any) -> None:
    plug(settings, payment=Gateway)
    exchange = Exchange()
    exchange.receive()
    run_policies(NOW)
    [placed] = exchange.placed()

    give(c.CancelOrder, placed, reason="No longer wanted")
    run_policies(NOW)

    [request] = Gateway.calls("refund")
    assert (request["order_id"], request["amount"].amount) == (placed.pk, Decimal("19.90"))
    assert request["payment_ids"] == ["payment-1"]
    assert Order.objects.get(pk=placed.pk).balance == 0


def test_an_exchange_of_an_unpaid_order_is_due_in_whole() -> None:
    exchange = Exchange(paid="0")
    exchange.receive()

    run_policies(NOW)

    [placed] = exchange.placed()
    assert (placed.captured, placed.balance) == (ZERO, Decimal("25.00"))
    assert exchange.returned().balance == Decimal("19.90")


def test_impossible_exchanges_are_refused_when_they_are_requested(
    subtests: pytest.Subtests,
) -> None:
    exchange = Exchange(on_hand=1)
    dollars = kit.registered_product(list_price="25.00", currency="USD")
    unknown, customer = kit.USER, {"customer_scope": exchange.customer.pk}
    cases: dict[str, tuple[dict[str, Any], dict[str, Any], type[Exception]]] = {
        "too many units": ({"quantity": 2}, {}, errors.InsufficientInventoryError),
        "an unknown product": ({"product_id": unknown}, {}, errors.UnknownProductError),
        "a price of the customer's": ({"unit_price": "1.00"}, customer, errors.PriceMismatchError),
        "a discount of the customer's": ({"discount": "1.00"}, customer, errors.ShopOnlyError),
        "another currency": ({"product_id": dollars.pk}, customer, errors.MixedCurrencyError),
    }
    item = {"product_id": exchange.product.pk, "quantity": 1, "unit_price": "25.00"}
    for case, (fields, scope, error) in cases.items():
        with subtests.test(case=case), pytest.raises(error) as refusal:
            give(
                c.RequestReturn,
                exchange.order,
                items=[{"line_id": exchange.line_id, "quantity": 1, "reason": "unwanted"}],
                exchange_for=[{**item, **fields}],
                **scope,
            )
        if isinstance(refusal.value, errors.FieldError):
            assert refusal.value.pointer.startswith("#/exchange_for/0/")


def test_both_orders_show_each_other() -> None:
    exchange = Exchange()
    exchange.receive()
    run_policies(NOW)
    [placed] = exchange.placed()
    run_projections()
    api = client_of(Role.ADMIN)
    orders = (exchange.order, placed)
    first, second = (api.get(f"{ROOT}/orders/{order.pk}").json() for order in orders)

    assert first["replaced_by"] == [
        {
            "order_id": str(placed.pk),
            "order_number": placed.order_number,
            "return_id": str(exchange.return_id),
        }
    ]
    [shown_return] = first["returns"]
    assert shown_return["exchange"]["status"] == "placed"
    assert shown_return["exchange"]["order_number"] == placed.order_number
    assert second["replaces_order_id"] == str(exchange.order.pk)
    assert second["replaces_order_number"] == exchange.order.order_number
    transfers = [first["transfers"][0], second["transfers"][0]]
    assert [transfer["direction"] for transfer in transfers] == ["out", "in"]
    assert [transfer["amount"] for transfer in transfers] == ["19.90", "19.90"]
    sentences = [
        entry["sentence"]
        for order in orders
        for entry in api.get(f"{ROOT}/orders/{order.pk}/timeline").json()["results"]
    ]
    for sentence in (
        f"placed order {placed.order_number} in exchange",
        f"transferred 19.90 EUR of credit to order {placed.order_number}",
        f"transferred 19.90 EUR of credit from order {exchange.order.order_number}",
        f"placed the order for Robin Sample in place of order {exchange.order.order_number}",
        "asked to return 1 × Sample in exchange for 1 × Other: unwanted",
    ):
        assert any(shown.endswith(sentence) for shown in sentences), sentence


def test_the_admin_pages_of_both_orders_lead_to_each_other(make_user: Any) -> None:
    exchange = Exchange()
    exchange.receive()
    run_policies(NOW)
    [placed] = exchange.placed()
    run_projections()
    clerk = logged_in(make_user(Role.CLERK, is_staff=True))

    first, second = (
        page_text(clerk, row_url(ORDERS, order.pk)) for order in (exchange.order, placed)
    )

    assert f"In exchange {placed.order_number}" in first
    assert f"In exchange for 1 × Other: placed {placed.order_number}" in first
    assert f"19.90 EUR of credit to order {placed.order_number}" in first
    assert f"In place of {exchange.order.order_number}" in second


def test_a_clerk_requests_an_exchange_in_the_admin(make_user: Any) -> None:
    exchange = Exchange()
    run_projections()
    clerk = logged_in(make_user(Role.CLERK, is_staff=True))
    fields = {
        "command_id": uuid4(),
        f"items-{exchange.line_id}-quantity": "1",
        f"items-{exchange.line_id}-reason": "damaged",
        "exchange_for-1-product_id": exchange.product.sku,
        "exchange_for-1-quantity": "1",
        "confirm": "1",
    }

    clerk.post(f"/admin/{ORDERS}/{exchange.order.pk}/commands/request_return/", fields)

    requested: Any = log.read_stream(exchange.order.stream)[-1]
    assert requested.exchange_for[0].unit_price.amount == Decimal("25.00")


# --- Replacements ------------------------------------------------------------------------------
def test_a_replacement_for_nothing_makes_lost_units_good(settings: Any) -> None:
    settings.REFUND_CREDIT = "cancelled_and_returned"
    product = kit.registered_product()
    order = kit.placed_order(kit.registered_customer(), (product, 2))
    give(c.RecordPayment, order, payment_id="payment-1", kind="captured", amount="39.80")
    give(c.ConfirmOrder, order)
    give(c.UpdateOrderStatus, order, status=SHIPPED)
    [shipment_id] = kit.stored(order.stream).shipments
    give(c.FailDelivery, order, shipment_id=shipment_id, outcome="lost")
    free = {"product_id": product.pk, "quantity": 2, "unit_price": "0", "price_reason": "Lost"}

    created, *_ = kit.dispatch(
        c.CreateOrder(
            user_id=kit.USER,
            timestamp=NOW,
            customer_id=order.customer_id,
            items=[free],
            shipping_address=kit.ADDRESS,
            replaces_order_id=order.pk,
        )
    )
    run_policies(NOW)

    replaced = Order.objects.get(pk=order.pk)
    assert (replaced.total, replaced.balance) == (Decimal("39.80"), ZERO)
    assert Order.objects.get(pk=created.order_id).balance == 0
    assert refunds_of(order) == []
    run_projections()
    shown = client_of(Role.ADMIN).get(f"{ROOT}/orders/{order.pk}").json()
    assert shown["replaced_by"][0]["order_id"] == str(created.order_id)
    assert (shown["items"][0]["made_good"], shown["items"][0]["line_total"]) == (2, "39.80")
    check_rows_equal_log()
