"""The page of an order: its next step, its money, its timeline, and names of any kind."""

import re
from decimal import Decimal
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from django.test.utils import CaptureQueriesContext

from config.accounts.models import User
from config.accounts.roles import Role
from ordering_read.admin import order_timeline
from ordering_write.domain import commands as c
from ordering_write.models import Order
from tests import kit
from tests.integration.test_admin_commands import hidden_fields
from tests.kit_admin import ORDERS, list_url, logged_in, page_text, row_url, run_projections

pytestmark = pytest.mark.usefixtures("db")


def give(command_type: type[c.Command], order: Order, **fields: Any) -> Any:
    """Give a command about ``order``, and let the page show it."""
    fields = {"user_id": kit.USER, "order_id": order.pk, **fields}
    events = kit.dispatch(command_type.model_validate(fields))
    run_projections()
    return events


def page_of(client: Client, order: Order, query: str = "") -> Any:
    page = client.get(row_url(ORDERS, order.pk) + query)
    assert page.status_code == 200
    return page


def units(order: Order, quantity: int, **fields: Any) -> list[dict[str, Any]]:
    lines = kit.stored(order.stream).lines
    return [{"line_id": line, "quantity": quantity, **fields} for line in lines]


# --- The next step -----------------------------------------------------------------------------
def test_each_person_gets_the_one_next_step_of_an_order(
    admin_user: User, clerk: User, warehouse: User, auditor: User, subtests: pytest.Subtests
) -> None:
    product = kit.registered_product(10)
    order = kit.placed_order(kit.registered_customer(), (product, 2))
    run_projections()
    users = (admin_user, clerk, warehouse)
    clients = {user: logged_in(user) for user in users}

    def check(state: str, *labels: str | None, waits: str) -> None:
        for user, label in zip(users, labels, strict=True):
            with subtests.test(state, user=user.username):
                page = page_of(clients[user], order)
                primary = page.context["primary"]
                assert (primary and primary.label) == label
                assert page.text.count('class="button default"') == (label is not None)
                assert waits in page.context["step"].waits

    def shipment() -> Any:
        return next(iter(kit.stored(order.stream).shipments))

    assert page_of(logged_in(auditor), order).context["primary"] is None
    check("placed", "Confirm order", "Confirm order", None, waits="Waits to be confirmed.")
    give(c.PlaceHold, order, reason="fraud_review")
    check(
        "held",
        *("Release hold", "Release hold", "Release hold"),
        waits="On hold: fraud review.",
    )
    give(c.ReleaseHold, order)
    give(c.ConfirmOrder, order)
    pack = "Create shipment"
    check("confirmed", pack, None, pack, waits="To pack: 2 units.")
    give(c.CreateShipment, order, items=units(order, 2))
    dispatch = "Dispatch shipment"
    check("packed", dispatch, None, dispatch, waits="Packed and not dispatched: 1 parcel.")
    give(c.DispatchShipment, order, shipment_id=shipment())
    arrive = "Confirm delivery"
    check("on the way", arrive, None, arrive, waits="On the way: 1 parcel.")
    give(c.ConfirmDelivery, order, shipment_id=shipment())
    check("unpaid", "Record payment", None, None, waits="39.80 EUR are due.")
    paid = {"payment_id": "p", "kind": "captured", "amount": "39.80"}
    give(c.RecordPayment, order, **paid)
    check(
        "paid",
        *("Complete order", "Complete order", None),
        waits="Everything has arrived and is paid.",
    )
    give(c.RecordPayment, order, payment_id="p", kind="chargeback", amount="10")
    look = "Resolve attention"
    check("disputed", look, look, None, waits="A person must look at the money: chargeback.")
    give(c.ResolveAttention, order, note="Answered")
    give(c.RecordPayment, order, payment_id="p", kind="chargeback_reversed", amount="10")
    give(c.RequestReturn, order, items=units(order, 1, reason="unwanted"))
    back = "Receive return"
    check("returning", back, None, back, waits="To come back: 1 unit.")


def test_credit_is_refunded_next_unless_it_is_requested(admin_user: User) -> None:
    order = kit.placed_order(kit.registered_customer(), (kit.registered_product(10), 2))
    give(c.RecordPayment, order, payment_id="p", kind="captured", amount="39.80")
    give(c.CancelOrder, order, reason="Not needed")
    client = logged_in(admin_user)

    assert page_of(client, order).context["step"].waits == ["39.80 EUR are owed to the customer."]
    give(c.RequestRefund, order, amount="39.80", reason="Cancelled")

    text = page_text(client, row_url(ORDERS, order.pk))
    assert "Nothing is to be done." in text


def test_what_waits_for_stock_says_so_in_place_of_the_button(warehouse: User) -> None:
    product = kit.registered_product(0, backorderable=True)
    order = kit.placed_order(kit.registered_customer(), (product, 2))
    give(c.ConfirmOrder, order)

    page = page_of(logged_in(warehouse), order)

    assert page.context["primary"] is None
    assert "Not now: " in page.text
    assert page.context["step"].waits == ["To pack: 2 units."]


# --- Money -------------------------------------------------------------------------------------
def test_a_refund_is_previewed_in_place_and_confirmed(
    clerk: User, warehouse: User, settings: Any
) -> None:
    settings.READ_SIDE_WAIT = "tests.integration.test_admin_commands.visible_at_once"
    order = kit.placed_order(kit.registered_customer(), (kit.registered_product(10), 2))
    run_projections()
    client = logged_in(clerk)
    assert page_of(client, order).context["refund"] is None
    give(c.RecordPayment, order, payment_id="p", kind="captured", amount="39.80")
    give(c.RequestRefund, order, amount="9.80", reason="Late")
    page = page_of(client, order)
    form = page.context["refund"]
    assert (form.amount, form.most) == (None, Decimal("30.00"))
    assert "Refund, up to 30.00 EUR" in page.text
    assert page_of(logged_in(warehouse), order).context["refund"] is None

    sent = {
        "command_id": form.command_id,
        "expected_version": page.context["order"].version,
        "typed_by": form.signature,
        "amount": "10",
        "reason": "Scratched",
    }
    answer = client.post(form.url, {**sent, "preview": "1", "in_place": "1"})
    refused = client.post(form.url, {**sent, "amount": "31", "preview": "1", "in_place": "1"})
    elsewhere = client.post(form.url, {**sent, "preview": "1"}, follow=True)
    done = client.post(form.url, {**hidden_fields(answer), "confirm": "1"})

    assert answer.status_code == refused.status_code == 200
    for preview in (answer, elsewhere):
        assert preview.context["events"] == ["Refund requested", "Order adjustment added"]
        assert 'id="command-answer"' in preview.text
    assert "31 EUR were to be refunded, 30.00 can be." in refused.text
    assert done.headers["Location"] == row_url(ORDERS, order.pk)
    amounts = [refund["amount"] for refund in kit.stored(order.stream).refunds.values()]
    assert [Decimal(amount) for amount in amounts] == [Decimal("9.80"), Decimal(10)]


@pytest.mark.parametrize(
    ("currency", "price"), [("EUR", "1019.90"), ("JPY", "1200"), ("KWD", "1.255")]
)
def test_the_amounts_on_the_page_add_up(currency: str, price: str, clerk: User) -> None:
    product = kit.registered_product(100)
    customer = kit.registered_customer()
    items = [{"product_id": product.pk, "quantity": n, "unit_price": price} for n in (1, 3)]
    adjustments = [
        {"kind": "discount", "label": "Welcome", "amount": "1"},
        {"kind": "shipping", "label": "Parcel", "amount": "5"},
        {"kind": "tax", "label": "Duty", "amount": "2"},
    ]
    order = kit.placed_order(customer, currency=currency, items=items, adjustments=adjustments)
    paid = {"payment_id": "p", "kind": "captured", "amount": order.total, "currency": currency}
    give(c.RecordPayment, order, **paid)
    give(c.CancelOrderItems, order, items=units(order, 1)[:1], reason="Sold out")
    client = logged_in(clerk)

    def check() -> str:
        page = page_of(client, order)
        context, shown = page.context, page.context["order"]
        cells = re.findall(r'([\d,.]+) × ([\d,.]+)</td><td class="number">([\d,.]+)<', page.text)
        rows = [[Decimal(text.replace(",", "")) for text in row] for row in cells]
        assert len(rows) == 2
        lines = sum(value for _units, _price, value in rows)
        assert lines + sum(row.amount for row in context["sums"]) == shown.total_amount
        paid = sum(row.amount for row in context["payment_sums"])
        assert shown.total_amount + paid == shown.balance
        assert all(units * price == value for units, price, value in rows)
        return f"{shown.total_amount:,} {currency}"

    check()
    give(c.CancelOrder, order, reason="Not needed")
    total = check()
    text = page_text(client, row_url(ORDERS, order.pk))
    assert f"Total {total}" in text
    # Also in the sentences of the timeline.
    assert not re.search(rf"\d{{4}}[\d.]* {currency}", text)
    assert f"{currency} owed to the customer" in text


# --- Size, names, rights -----------------------------------------------------------------------
def test_a_long_order_costs_few_statements_and_its_timeline_has_pages(
    admin_user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order_timeline, "_ENTRIES", 5)
    product = kit.registered_product(100)
    order = kit.placed_order(kit.registered_customer(), *[(product, 1)] * 9)
    client = logged_in(admin_user)
    run_projections()
    # The first page fills the caches of a few seconds, of the banner and of the navigation.
    page_of(client, order)

    with (
        CaptureQueriesContext(connections["default"]) as write,
        CaptureQueriesContext(connections["read"]) as read,
    ):
        page = page_of(client, order)

    assert len(write) + len(read) <= 10
    assert [entry.version for entry, *_ in page.context["entries"]] == [10, 9, 8, 7, 6]
    assert "?before=6#timeline" in page.text
    assert "Newest events" not in page.text
    older = page_of(client, order, "?before=6")
    assert [entry.version for entry, *_ in older.context["entries"]] == [5, 4, 3, 2, 1]
    assert "Newest events" in older.text
    assert "Older events" not in older.text
    assert client.get(row_url(ORDERS, order.pk) + "?before=x").status_code == 400


def test_names_of_any_kind_stay_apart_from_the_page(auditor: User, clerk: User) -> None:
    name = "<b>روبن</b> " + "x" * 180
    product = kit.registered_product(100, name="<i>" + "y" * 190)
    order = kit.placed_order(kit.registered_customer(name=name), (product, 1), note="Ring <twice>")
    run_projections()

    page = page_of(logged_in(clerk), order).text

    escaped = name.replace("<", "&lt;").replace(">", "&gt;")
    assert f'<bdi class="clipped" title="{escaped}">{escaped}</bdi>' in page
    assert "<b>" not in page
    assert "<i>" not in page
    assert "Ring &lt;twice&gt;" in page
    masked = page_of(logged_in(auditor), order)
    assert "Ring" not in masked.text
    assert masked.context["command_groups"] == []
    assert "Colleagues with the permission for it take the next step." in masked.text


def test_the_list_and_the_page_are_refused_without_the_permission(make_user: Any) -> None:
    order = kit.placed_order(kit.registered_customer(), (kit.registered_product(), 1))
    run_projections()
    client = logged_in(make_user(Role.MONITOR, is_staff=True))

    for url in (list_url(ORDERS), row_url(ORDERS, order.pk)):
        assert client.get(url).status_code == 403
