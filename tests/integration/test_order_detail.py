"""A whole order: its units, parcels, money, returns and notes, as each role may see them."""

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from config.accounts.models import User
from config.accounts.roles import Role
from ordering_read.admin import orders
from ordering_read.models import InventoryLevel, OrderLine, OrderSummary, StockReservation
from ordering_read.models.customer import CustomerSummary
from ordering_read.queries import get_query_bus
from ordering_read.queries.inventory import GetProduct
from ordering_read.queries.orders import (
    GetOrderById,
    GetOrderByNumber,
    OrderDetail,
    OrderNotFoundError,
)
from ordering_write.domain import events as e
from ordering_write.domain.commands import LineQuantity, ReceivedLine, ReturnedLine
from ordering_write.domain.values import Money
from ordering_write.models import Order
from tests.integration.test_read_api import ROOT, client_of
from tests.kit_admin import ORDERS, logged_in, row_url
from tests.kit_projections import (
    NOON,
    History,
    customer_registered,
    go_live,
    new_generation,
    order_placed,
    product_registered,
    project,
    rows_of,
)

pytestmark = pytest.mark.usefixtures("db")

LATER = NOON + timedelta(hours=1)
ask = get_query_bus().dispatch


def units(order: Order, *quantities: int) -> list[LineQuantity]:
    """Return ``quantities`` of units: of the first line, of the second line and so on."""
    return [
        LineQuantity(line_id=line, quantity=quantity)
        for line, quantity in zip(order.lines, quantities, strict=False)
        if quantity
    ]


class Scenario:
    """An order of two lines, 5 and 5 units at 10.00, with events of all kinds."""

    def __init__(self) -> None:
        order = self.order = order_placed(
            lines=2, quantity=5, unit_price="10.00", adjustments={"shipping": "4.00"}
        )
        first, _second = order.lines
        self.arrived, self.lost, self.packed = uuid4(), uuid4(), uuid4()
        self.back, self.refund, self.note = uuid4(), uuid4(), uuid4()
        order.confirm(now=NOON)
        order.record_payment("p-1", e.PaymentKind.CAPTURED, Decimal(104), method="card", at=LATER)
        order.cancel_items(units(order, 0, 1), "Too many", now=LATER)
        content = {self.arrived: (3, 1), self.lost: (1, 0), self.packed: (0, 1)}
        for shipment, quantities in content.items():
            order.pack(units(order, *quantities), shipment_id=shipment, now=LATER)
        order.dispatch_shipment(self.arrived, carrier="Fast Post", tracking_number="1Z", now=LATER)
        order.deliver(self.arrived, at=LATER)
        order.dispatch_shipment(self.lost, now=LATER)
        # Recorded late: it happened before events that were recorded earlier.
        order.fail_delivery(self.lost, e.DeliveryFailure.LOST, at=NOON)
        order.request_return(
            [ReturnedLine(line_id=first, quantity=2, reason=e.ReturnReason.DAMAGED)],
            return_id=self.back,
            now=LATER,
        )
        order.receive_return(self.back, [ReceivedLine(line_id=first, damaged=1)], now=LATER)
        order.request_refund(
            Decimal(10), "It was broken", refund_id=self.refund, return_id=self.back, now=LATER
        )
        order.settle_refund(self.refund, reference="r-1", at=LATER)
        order.add_note("Rings twice", note_id=self.note, now=LATER)
        order.add_note("Be at home", note_id=uuid4(), visibility=e.Visibility.CUSTOMER, now=LATER)
        order.tag("gift", now=LATER)
        order.assign("casey", now=LATER)
        order.hold(e.HoldReason.STOCK, note="Count it first", now=LATER)
        self.history = History()
        self.history.add(order)


@pytest.fixture
def scenario() -> Scenario:
    scenario = Scenario()
    go_live(scenario.history)
    return scenario


def whole(scenario: Scenario) -> OrderDetail:
    return ask(GetOrderById(order_id=scenario.order.pk))


# --- Fields ------------------------------------------------------------------------------------
def test_a_line_counts_every_unit_once(scenario: Scenario) -> None:
    first, second = whole(scenario).items

    assert (first.quantity, first.open, first.cancelled, first.packed) == (5, 1, 0, 0)
    assert (first.shipped, first.delivered, first.failed) == (4, 3, 1)
    assert (first.return_requested, first.returned) == (1, 1)
    assert (second.quantity, second.open, second.cancelled, second.packed) == (5, 2, 1, 1)
    assert (second.shipped, second.delivered, second.returned) == (1, 1, 0)
    assert (first.line_total, second.line_total) == (Decimal("30.00"), Decimal("40.00"))
    for line, shown in zip(scenario.order.lines.values(), (first, second), strict=True):
        for column in ("open", "cancelled", "packed", "shipped", "delivered", "failed"):
            assert getattr(shown, column) == getattr(line, column)


def test_statuses_and_amounts_are_those_of_the_aggregate(scenario: Scenario) -> None:
    shown, outcome = whole(scenario), scenario.order.outcome()

    assert {name: getattr(shown, name) for name in outcome if hasattr(shown, name)} == {
        name: value for name, value in outcome.items() if hasattr(shown, name)
    }
    assert (shown.total_amount, shown.balance) == (Decimal("74.00"), Decimal("-20.00"))
    assert (shown.payment_status, shown.return_status) == ("credit_owed", "requested")
    assert (shown.on_hold, shown.fulfilment_status) == (True, "on_hold")


def test_all_embedded_documents_are_shown(scenario: Scenario) -> None:
    order = whole(scenario)

    assert [(s.status, s.tracking_number, s.failure) for s in order.shipments] == [
        ("delivered", "1Z", None),
        ("failed", "", "lost"),
        ("packed", "", None),
    ]
    assert order.shipments[1].failed_at == NOON
    assert [(p.payment_id, p.kind, p.amount, p.method) for p in order.payments] == [
        ("p-1", "captured", Decimal("104.00"), "card")
    ]
    [refund], [back] = order.refunds, order.returns
    assert (refund.status, refund.amount, refund.return_id) == (
        "settled",
        Decimal(10),
        scenario.back,
    )
    assert (back.status, back.items[0].quantity, back.items[0].damaged) == ("requested", 2, 1)
    assert [(a.kind, a.amount) for a in order.adjustments] == [("shipping", Decimal("4.00"))]
    assert [note.text for note in order.notes] == ["Rings twice", "Be at home"]
    assert order.hold is not None
    assert (order.hold.reason, order.hold.note, order.hold.placed_at) == (
        "stock",
        "Count it first",
        LATER,
    )
    assert (order.assigned_to, order.tags) == ("casey", ("gift",))


def test_an_event_recorded_late_does_not_set_updated_at_back(scenario: Scenario) -> None:
    assert whole(scenario).updated_at == LATER


def test_a_return_is_closed_when_no_more_units_can_come(scenario: Scenario) -> None:
    scenario.order.reject_return(scenario.back, "Too late", now=LATER)
    scenario.history.add(scenario.order)

    [row] = scenario.history.rows(OrderSummary)

    assert row["returns"][0]["status"] == "received"
    assert row["returns"][0]["items"][0]["rejected"] == 1


def test_a_refund_may_fail_or_settle_without_a_request(scenario: Scenario) -> None:
    unrequested, failed = uuid4(), uuid4()
    scenario.order.settle_refund(unrequested, amount=Decimal(1), at=LATER)
    scenario.order.request_refund(Decimal(2), "Sorry", refund_id=failed, now=LATER)
    scenario.order.fail_refund(failed, reason="Card expired", at=LATER)
    scenario.history.add(scenario.order)

    [row] = scenario.history.rows(OrderSummary)

    assert [
        (refund["status"], refund["requested_at"] is not None, refund["failure"])
        for refund in row["refunds"]
    ] == [("settled", True, ""), ("settled", False, ""), ("failed", True, "Card expired")]


def test_a_hold_ends_with_its_release_or_the_orders_cancellation() -> None:
    released, cancelled = order_placed(number="1"), order_placed(number="2")
    history = History()
    for order in (released, cancelled):
        order.hold(e.HoldReason.OTHER, now=NOON)
    released.release_hold(now=LATER)
    cancelled.cancel("Not wanted", now=LATER)
    history.add(released, cancelled)

    assert [(row["hold_reason"], row["hold"]) for row in history.rows(OrderSummary)] == [
        ("", None)
    ] * 2
    assert [line["cancelled"] for line in history.rows(OrderLine)] in ([0, 2], [2, 0])


@pytest.mark.parametrize("query", ["id", "number"])
def test_an_order_takes_one_statement(scenario: Scenario, query: str) -> None:
    order_query = (
        GetOrderById(order_id=scenario.order.pk)
        if query == "id"
        else GetOrderByNumber(order_number=scenario.order.order_number)
    )
    with CaptureQueriesContext(connections["read"]) as statements:
        assert ask(order_query) == whole(scenario)
    # One for the query, and one for ``whole``.
    assert len(statements) == 2
    with pytest.raises(OrderNotFoundError):
        ask(order_query.model_copy(update={"customer_scope": uuid4()}))


# --- Permissions -------------------------------------------------------------------------------
def test_a_customer_does_not_see_the_fields_for_the_staff(scenario: Scenario) -> None:
    client = client_of(Role.CUSTOMER, customer_id=scenario.order.customer_id)

    body = client.get(f"{ROOT}/orders/{scenario.order.pk}").json()

    assert [(note["text"], note["by"]) for note in body["notes"]] == [("Be at home", None)]
    assert (body["hold"], body["assigned_to"], body["tags"]) == (None, None, [])
    assert {line["price_source"] for line in body["items"]} == {None}
    assert body["refunds"][0]["reason"] is None
    for secret in ("Rings twice", "casey", "Count it first", "broken"):
        assert secret not in str(body)


@pytest.mark.parametrize(
    ("role", "street", "text"),
    [
        (Role.CLERK, "1 Example Street", "Rings twice"),
        (Role.WAREHOUSE, "1 Example Street", "***"),
        (Role.AUDITOR, "***", "***"),
    ],
)
def test_personal_texts_are_masked_without_their_permission(
    scenario: Scenario, role: Role, street: str, text: str
) -> None:
    body = client_of(role).get(f"{ROOT}/orders/by-number/{scenario.order.order_number}").json()

    assert (body["shipping_address"]["line1"], body["notes"][0]["text"]) == (street, text)


def test_an_order_reads_the_same_by_number_and_by_id(scenario: Scenario) -> None:
    client = client_of(Role.CLERK)

    by_id = client.get(f"{ROOT}/orders/{scenario.order.pk}")
    by_number = client.get(f"{ROOT}/order-numbers/{scenario.order.order_number}")
    at_former_address = client.get(f"{ROOT}/orders/by-number/{scenario.order.order_number}")
    assert at_former_address.json() == by_number.json()
    assert by_number.json()["order_id"] == by_number.json()["id"]

    assert by_number.json() == by_id.json()
    assert by_number["ETag"] == by_id["ETag"]
    assert client.get(f"{ROOT}/orders/by-number/2026-999999").status_code == 404


def test_an_order_is_shown_by_each_spelling_of_its_number(
    scenario: Scenario, subtests: pytest.Subtests
) -> None:
    client, number = client_of(Role.CLERK), scenario.order.order_number
    year, digits = number.split("-")
    for text in (f"{year}-{int(digits)}", number.replace("-", "–"), f"Order {number}"):
        with subtests.test(text):
            shown = client.get(f"{ROOT}/orders/by-number/{text}")
            assert shown.json().get("order_number") == number


def test_the_admin_page_shows_the_whole_order(
    scenario: Scenario, clerk: User, auditor: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The order is in the read models only, so the log has no actions for it.
    monkeypatch.setattr(orders.client, "actions_of", lambda order_id, now: [])
    url = row_url(ORDERS, scenario.order.pk)

    page = " ".join(logged_in(clerk).get(url).text.split())

    for text in (
        "On hold: stock.",
        "1 returned, 1 awaiting return, 1 delivered, 1 failed, 1 open",
        "20.00 EUR owed to the customer",
        "3 × Sample 1, 1 × Sample 2",
        "2 × Sample 1, damaged: 1 damaged",
        "Rings twice",
        "casey",
    ):
        assert text in page, text
    assert "Rings twice" not in logged_in(auditor).get(url).text


# --- Erasure -----------------------------------------------------------------------------------
def test_erased_texts_are_gone_from_the_row(scenario: Scenario) -> None:
    scenario.order.redact_note(scenario.note, now=LATER)
    scenario.history.add(scenario.order)

    [row] = scenario.history.rows(OrderSummary)

    assert [note["text"] for note in row["notes"]] == ["[erased]", "Be at home"]

    scenario.order.anonymize(now=LATER)
    scenario.history.add(scenario.order)

    [row] = scenario.history.rows(OrderSummary)

    assert {note["text"] for note in row["notes"]} == {"[erased]"}
    assert (row["customer_name"], row["billing_address"]) == ("[erased]", None)
    assert row["shipping_address"]["line1"] == "[erased]"


@pytest.mark.parametrize("model", [OrderSummary, OrderLine])
def test_the_size_of_batches_makes_no_difference(scenario: Scenario, model: Any) -> None:
    generation = new_generation(model.projection_name)

    for event in scenario.history.events:
        project([event], generation)

    assert rows_of(model, generation) == scenario.history.rows(model)


# --- Customers and stock -----------------------------------------------------------------------
def test_a_customer_row_follows_changes_blocking_and_erasure() -> None:
    customer, history = customer_registered(), History()
    customer.change_details(email="new@example.com", phone="+34 600", now=LATER)
    customer.block("Never pays", now=LATER)
    history.add(customer)

    [row] = history.rows(CustomerSummary)
    assert (row["name"], row["email"], row["phone"]) == (
        "Robin Sample",
        "new@example.com",
        "+34 600",
    )
    assert row["status"] == "blocked"

    customer.unblock("Has paid", now=LATER)
    customer.erase("Asked for it", erased={}, now=LATER)
    history.add(customer)

    [row] = history.rows(CustomerSummary)
    assert (row["name"], row["email"], row["phone"]) == ("[erased]", "[erased]", "")
    assert row["status"] == "erased"


def test_the_oldest_reservation_ignores_dispatched_units() -> None:
    product, history = product_registered(on_hand=10), History()
    old, new = (uuid4(), uuid4()), (uuid4(), uuid4())
    product.reserve(old, 3, now=NOON)
    product.reserve(new, 2, now=LATER)
    product.extend(old, 1, now=LATER)
    history.add(product)
    go_live(history)

    assert ask(GetProduct(product_id=product.pk)).oldest_reservation_at == NOON
    assert sorted(row["quantity"] for row in history.rows(StockReservation)) == [2, 4]

    product.dispatch(old, 3, now=LATER)
    product.release(old, 1, now=LATER)
    history.add(product)
    generation = new_generation("inventory_level")
    for event in history.events:
        project([event], generation)

    assert rows_of(StockReservation, generation) == history.rows(StockReservation)
    [row] = history.rows(StockReservation)
    assert (row["line_id"], row["quantity"], row["reserved_at"]) == (new[1], 2, LATER)


def test_prices_and_policies_do_not_count_as_movements() -> None:
    product, history = product_registered(on_hand=4), History()
    product.set_list_price(Money.of(Decimal(5), "EUR"), now=LATER)
    product.set_policy(reorder_point=4, backorderable=True, now=LATER)
    history.add(product)

    [row] = history.rows(InventoryLevel)

    assert (row["list_price"], row["currency"]) == (Decimal(5), "EUR")
    assert (row["reorder_point"], row["backorderable"], row["is_low"]) == (4, True, True)
    assert (row["last_movement_at"], row["updated_at"]) == (NOON, LATER)
