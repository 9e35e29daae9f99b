"""The page Today: its numbers are right under concurrent work, and each opens exactly its rows."""

import re
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random
from typing import Any

import pytest
from django.db import connections
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from config.accounts.models import User
from config.accounts.roles import Role
from ordering_read.admin.labels import WORK
from ordering_read.models import ParkedEvent
from ordering_read.projections.search import SearchProjection
from ordering_read.queries.base import get_query_bus
from ordering_read.queries.today import GetRecentSales
from ordering_read.queries.work import CountWork, Work
from ordering_read.screens import navigation
from ordering_write import policies
from ordering_write.domain import commands as c
from ordering_write.domain.errors import DomainError
from ordering_write.models import Order, StockItem, Timer
from tests import kit
from tests.integration.test_parking import Poison
from tests.kit_admin import logged_in, page_text, run_projections
from tests.parallel import at_once


# --- A random day ------------------------------------------------------------------------------
def work_at_random(order_id, dice: Random) -> None:
    """Give the order some commands in the order of its life; some of them are refused."""
    commands: list[tuple[Any, dict[str, Any]]] = [
        (c.RecordPayment, {"payment_id": "p", "kind": "captured", "amount": dice.choice([30, 60])}),
        (c.ConfirmOrder, {}),
        (c.PlaceHold, {"reason": "fraud_review"}),
        (c.CreateShipment, {"quantity": 1}),
        (c.CreateShipment, {"quantity": 2}),
        (c.DispatchShipment, {"shipment": True}),
        (c.ConfirmDelivery, {"shipment": True}),
        (c.RequestReturn, {"quantity": 1, "reason": "unwanted"}),
        (c.RecordPayment, {"payment_id": "p", "kind": "chargeback", "amount": 10}),
        (c.CancelOrder, {"reason": "Not needed"}),
    ]
    likely = [0.7, 0.9, 0.2, 0.8, 0.5, 0.7, 0.7, 0.5, 0.2, 0.1]
    for (command, fields), chance in zip(commands, likely, strict=True):
        if dice.random() < chance:
            with suppress(DomainError, StopIteration):
                kit.dispatch(_command(order_id, command, dict(fields)))


def _command(order_id, command, fields):
    order = kit.stored(f"order-{order_id}")
    if "quantity" in fields:
        line = {"line_id": next(iter(order.lines)), "quantity": fields.pop("quantity")}
        if "reason" in fields:
            line["reason"] = fields.pop("reason")
        fields["items"] = [line]
    if fields.pop("shipment", False):
        fields["shipment_id"] = next(iter(order.shipments))
    return command.model_validate({"user_id": kit.USER, "order_id": order_id, **fields})


def recount() -> Counter[Work]:
    """Count the work again, from the state of the write side."""
    counts: Counter[Work] = Counter()
    for order_id in Order.objects.values_list("pk", flat=True):
        order = kit.stored(f"order-{order_id}")
        is_held = bool(order.hold_reason)
        may_move = not is_held and order.status not in ("pending", "cancelled")
        counts[Work.TO_CONFIRM] += order.status == "pending" and not is_held
        counts[Work.ON_HOLD] += is_held
        counts[Work.ATTENTION] += bool(order.attention)
        counts[Work.CREDIT_OWED] += order.payment_status() == "credit_owed"
        counts[Work.RETURNS] += order.return_status() == "requested"
        counts[Work.TO_PACK] += may_move and any(line.open for line in order.lines.values())
        counts[Work.TO_DISPATCH] += may_move and any(line.packed for line in order.lines.values())
    for product_id in StockItem.objects.values_list("pk", flat=True):
        product = kit.stored(f"stock-{product_id}")
        counts[Work.LOW_STOCK] += product.available <= product.reorder_point
    counts[Work.GOODS_LATE] = 1
    parked = ParkedEvent.objects.exclude(category="waiting").filter(skipped_at=None)
    counts[Work.PARKED] = parked.filter(checkpoint__status="live").count()
    counts[Work.GIVEN_UP] = Timer.objects.exclude(parked_at=None).count()
    return counts


@pytest.mark.usefixtures("committed")
def test_every_number_equals_a_recount_after_a_day_of_concurrent_work(
    admin_user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison = Poison(SearchProjection, monkeypatch)
    customer = kit.registered_customer()
    scarce, plenty = kit.registered_product(30, reorder_point=10), kit.registered_product(500)
    expect = {"user_id": kit.USER, "quantity": 5, "timestamp": datetime.now(UTC) - timedelta(2)}
    past, future = (datetime.now(UTC) + timedelta(days) for days in (-1, 1))
    kit.dispatch(c.ExpectStock(product_id=scarce.pk, at=past, **expect))
    kit.dispatch(c.ExpectStock(product_id=plenty.pk, at=future, **expect))
    orders = [kit.placed_order(customer, (scarce, 1), (plenty, 3)) for _ in range(24)]

    outcomes = at_once(
        [partial(work_at_random, order.pk, Random(seed)) for seed, order in enumerate(orders)]
    )
    for order in orders[:3]:
        # The later events of the order wait behind it.
        poison.add(order, version=1)
    run_projections()
    policies.SUBSCRIPTION.set_timers()
    Timer.objects.filter(stream=orders[0].stream).update(parked_at=Now(), error="OSError: away")
    assert set(outcomes) == {None}

    counted = get_query_bus().dispatch(CountWork()).kinds
    recounted = recount()
    assert {kind: item.count for kind, item in counted.items()} == dict(recounted)
    assert all(recounted.values()), "each kind comes up"

    today = logged_in(admin_user).get("/admin/")
    for task in today.context["tasks"]:
        kind, page = task["kind"], logged_in(admin_user).get(task["url"])
        listed = (
            len(page.context["rows"]) if kind == Work.GIVEN_UP else page.context["cl"].result_count
        )
        assert listed == task["count"] == recounted[kind], kind


# --- The page ----------------------------------------------------------------------------------
@pytest.mark.usefixtures("db")
def test_the_page_takes_few_statements_and_shows_sales_and_events(admin_user):
    customer, product = kit.registered_customer(), kit.registered_product(50)
    order = kit.placed_order(customer, (product, 2), timestamp=datetime.now(UTC))
    run_projections()
    client = logged_in(admin_user)
    client.get("/admin/")

    with (
        CaptureQueriesContext(connections["default"]) as write,
        CaptureQueriesContext(connections["read"]) as read,
    ):
        text = page_text(client, "/admin/")

    assert len(write) + len(read) <= 10
    assert "1 to confirm" in text
    assert re.search(r"EUR 39\.80 1 order 0\.00 0 orders", text), "today and yesterday"
    assert order.order_number in text


@pytest.mark.usefixtures("db")
def test_each_person_sees_the_work_that_they_may_see_and_their_own_first(make_user):
    run_projections()

    def shown(role: Role) -> list[str]:
        page = logged_in(make_user(role, is_staff=True)).get("/admin/")
        return [task["label"] for task in page.context["tasks"]]

    clerk, warehouse = shown(Role.CLERK), shown(Role.WAREHOUSE)
    assert set(clerk) == set(warehouse) == set(WORK.values())
    assert clerk[0] == "to confirm"
    assert warehouse[:2] == ["to pack", "to dispatch"], "a person's own work is first"
    text = page_text(logged_in(make_user(Role.MONITOR, is_staff=True)), "/admin/")
    assert "to confirm" not in text
    assert "Sales" not in text


@pytest.mark.usefixtures("db")
def test_the_navigation_counts_the_work_that_the_user_may_do(make_user, customer):
    kit.placed_order(customer, (kit.registered_product(), 1))
    run_projections()
    for role, count in ((Role.CLERK, 1), (Role.AUDITOR, 0)):
        request = logged_in(make_user(role, is_staff=True)).get("/admin/").wsgi_request
        orders = [{"object_name": "OrderSummary", "admin_url": "/orders/", "name": "Orders"}]
        links = {
            link.label: link.waiting
            for section in navigation.sections(request, [{"models": orders}])
            for link in section.links
        }
        assert links["Orders"] == count, role


@pytest.mark.usefixtures("db")
def test_sales_are_summed_up_by_day_and_currency(customer):
    product = kit.registered_product(500)
    now = datetime.now(UTC)
    for days_ago, currency in ((0, "EUR"), (1, "EUR"), (6, "EUR"), (27, "JPY"), (40, "EUR")):
        price = "20" if currency == "JPY" else "20.00"
        items = [{"product_id": product.pk, "quantity": 1, "unit_price": price}]
        kit.placed_order(
            customer, currency=currency, items=items, timestamp=now - timedelta(days_ago)
        )
    run_projections()

    euros, yen = get_query_bus().dispatch(GetRecentSales())

    assert [str(period.net) for period in euros.periods] == [
        "20.00",
        "20.00",
        "60.00",
        "60.00",
        "20.00",
    ]
    assert [str(period.net) for period in yen.periods] == ["0", "0", "0", "20", "0"]
    assert [str(amount) for _, amount in euros.days][-7:] == [
        "20.00",
        "0.00",
        "0.00",
        "0.00",
        "0.00",
        "20.00",
        "20.00",
    ]


# --- Navigation --------------------------------------------------------------------------------
@pytest.mark.usefixtures("db")
def test_every_list_is_in_the_navigation_once(admin_user):
    run_projections()
    page = logged_in(admin_user).get("/admin/")

    links = re.findall(r'<li><a href="(/admin/[^"]+)"', page.text.partition('id="keys"')[0])

    lists = [
        model["admin_url"] for app in page.context["available_apps"] for model in app["models"]
    ]
    assert sorted(set(links) & set(lists)) == sorted(lists)
    assert len(links) == len(set(links))


@pytest.mark.usefixtures("db")
def test_an_exact_match_of_the_search_opens_and_other_texts_list(admin_user, customer):
    product = kit.registered_product(50, sku="LAMP-1", name="Desk lamp")
    order = kit.placed_order(customer, (product, 2))
    run_projections()
    client = logged_in(admin_user)

    serial = order.order_number.rpartition("-")[2].lstrip("0")
    for text in (order.order_number, serial, "lamp-1", customer.email.upper()):
        assert client.get("/admin/search/", {"q": text}).status_code == 302, text
    listed = page_text(client, "/admin/search/?q=desk")
    assert "Desk lamp" in listed
    assert order.order_number in listed
    assert "Nothing matches" in page_text(client, "/admin/search/?q=sofa")
    assert client.get("/admin/search/", {"q": "x" * 300}).status_code == 200
