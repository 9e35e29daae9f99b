"""The page of an order's history, the tree of causes, and the commands of `manage.py` for both."""

import json
import re
from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import localtime, now

from config.accounts.models import User
from config.accounts.roles import Role
from ordering_read.management import orders
from ordering_read.models import OrderSummary
from ordering_read.projections.order_timeline import OrderTimelineProjection
from ordering_read.projector import writing
from ordering_write.domain import commands as c
from ordering_write.log import read_correlation
from ordering_write.models import CommandRecord, Order, OutboxEvent
from tests import kit
from tests.integration.test_parking import Poison
from tests.kit_admin import (
    ORDERS,
    Shop,
    logged_in,
    page_text,
    projected_shop,
    row_url,
    run_projections,
)
from tests.kit_policies import DAY, give, run_policies

pytestmark = pytest.mark.usefixtures("db")


def url_of(order: Order, query: str = "") -> str:
    return f"/admin/orders/{order.pk}/history/{query}"


def causes_url(order: Order, event_type: str) -> str:
    event = OutboxEvent.objects.get(stream=order.stream, type=event_type)
    return f"/admin/causes/{event.correlation_id}/?event={event.event_id}"


def line_of(order: Order) -> Any:
    return next(iter(kit.stored(order.stream).lines))


@pytest.fixture(scope="module")
def shop(module_db: None) -> Shop:
    return projected_shop()


@pytest.fixture(scope="module")
def refunded_order(shop: Shop) -> Order:
    """Return a paid order with a unit less, for which policies have paid money back.

    Its versions: 1 placed, 2 line added, 3 paid, 4 unit cancelled, 5 refund requested.
    """
    order = shop.place()
    give(c.RecordPayment, order, payment_id="p", kind="captured", amount="39.80")
    units = [{"line_id": line_of(order), "quantity": 1}]
    give(c.CancelOrderItems, order, items=units, reason="One will do")
    run_policies(kit.NOW + 2 * DAY)
    run_projections()
    return order


# --- Two versions side by side -----------------------------------------------------------------
def test_a_version_is_shown_beside_another_with_the_differences_marked(
    auditor: User, refunded_order: Order
) -> None:
    order = refunded_order
    client = logged_in(auditor)

    page = client.get(url_of(order, "?version=4"))
    text = page_text(client, url_of(order, "?version=4"))

    assert "Version 4 of 5" in text
    assert re.search(r'type="range"[^>]* min="1" max="5" value="4"', page.text)
    assert "<del><bdi>2 open</bdi></del>" in page.text
    assert "<ins><bdi>1 cancelled</bdi></ins>" in page.text
    assert "Payment paid credit owed changed" in text
    assert "Status pending pending" in text
    assert "2 ordered" in text
    assert "differences: Payment , Desk lamp (LAMP-1) , Goods" in text
    [topic] = [topic for topic in page.context["changes"] if topic.label == "Amount due"]
    assert [fact.text for fact in topic.before] == ["0.00 EUR"]
    assert [fact.text for fact in topic.after] == ["-19.90 EUR"]

    far = client.get(url_of(order, "?version=4&compared=0"))
    assert "the order was not placed yet" in far.text
    assert {topic.change for topic in far.context["changes"]} == {"new"}
    back = client.get(url_of(order, "?version=2&compared=4"))
    assert "<ins><bdi>2 open</bdi></ins>" in back.text
    gone = [topic.label for topic in back.context["changes"] if topic.change == "gone"]
    assert gone == ["Captured", "Payment 1"]
    assert "Both are the same" in page_text(client, url_of(order, "?version=4&compared=4"))


def test_an_order_is_shown_as_of_a_moment_in_the_time_zone_of_the_store(
    auditor: User, refunded_order: Order
) -> None:
    order = refunded_order
    client = logged_in(auditor)
    moment = localtime(now() + timedelta(seconds=1))

    later = client.get(url_of(order, f"?as_of={moment:%Y-%m-%dT%H:%M:%S}"))
    assert "As of that moment, the order had version 5" in later.text
    assert later.context["history"].version == 5
    earlier = client.get(url_of(order, f"?as_of={moment - timedelta(hours=1):%Y-%m-%dT%H:%M}"))
    assert earlier.status_code == 400
    assert "The order was not there then" in earlier.text
    assert earlier.context["history"].version == 5


def test_a_choice_that_can_not_be_shown_is_refused_with_its_reason(
    auditor: User, subtests: pytest.Subtests, shop: Shop
) -> None:
    order = shop.order
    client = logged_in(auditor)
    for query, reason in (
        ("?version=9", "The order has no version 9; its newest is 2."),
        ("?compared=9", "The order has no version 9; its newest is 2."),
        ("?version=0", "Version: Input should be greater than or equal to 1."),
        ("?version=two", "Version: A number is written in digits."),
        ("?as_of=yesterday", "As of: A moment is written such as"),
        ("?as_of=2026-02-30T10:00", "As of: A moment is written such as"),
        ("?version=1&as_of=2026-01-01", "choose a version or a moment, not both."),
    ):
        with subtests.test(query):
            page = client.get(url_of(order, query))
            assert page.status_code == 400
            assert reason in page.text
            assert page.context["history"].version == 2
    assert client.get(f"/admin/orders/{uuid4()}/history/").status_code == 404


def test_the_history_needs_its_permission_and_masks_personal_data(
    clerk: User, auditor: User, admin_user: User, shop: Shop
) -> None:
    order = shop.order
    give(c.AddNote, order, text="Ring twice")
    run_projections()

    assert url_of(order) in logged_in(auditor).get(row_url(ORDERS, order.pk)).text
    assert url_of(order) not in logged_in(clerk).get(row_url(ORDERS, order.pk)).text
    assert logged_in(clerk).get(url_of(order)).status_code == 403
    assert logged_in(clerk).get(causes_url(order, "NoteAdded")).status_code == 403
    for url in (url_of(order), url_of(order, "?version=3&compared=0")):
        masked = page_text(logged_in(auditor), url)
        assert "Ring twice" not in masked
        assert "1 Example Street" not in masked
        assert "Sampleton" in masked
        assert "1 Example Street" in page_text(logged_in(admin_user), url)
    assert "Ring twice" not in page_text(logged_in(auditor), causes_url(order, "NoteAdded"))
    assert "Ring twice" in page_text(logged_in(admin_user), causes_url(order, "NoteAdded"))


def test_the_history_of_an_erased_customer_has_no_personal_data(
    admin_user: User, shop: Shop
) -> None:
    order = kit.placed_order(kit.registered_customer(), (shop.product, 1))
    give(c.CancelOrder, order, reason="Mistake")
    kit.dispatch(
        c.EraseCustomer(user_id=kit.USER, customer_id=order.customer_id, reason="Asked for it")
    )
    run_projections()
    client = logged_in(admin_user)

    for query in ("", "?version=1", "?version=3&compared=1"):
        text = page_text(client, url_of(order, query))
        assert "Robin" not in text, query
        assert "Example Street" not in text, query
        assert "[erased]" in text, query


def test_a_long_history_is_listed_by_pages_and_takes_few_statements(
    auditor: User, refunded_order: Order
) -> None:
    order = refunded_order
    for number in range(30):
        give(c.AddNote, order, text=f"Note {number}")
    run_projections()
    client = logged_in(auditor)

    def read(query: str) -> Any:
        client.get(url_of(order))
        with (
            CaptureQueriesContext(connections["default"]) as write,
            CaptureQueriesContext(connections["read"]) as read,
        ):
            page = client.get(url_of(order, query))
        assert len(write) + len(read) <= 10
        return page

    first, last = read("?version=4"), read("")
    assert [item.version for item, *_ in first.context["versions"]] == list(range(1, 26))
    assert [item.version for item, *_ in last.context["versions"]] == list(range(26, 36))
    assert 'href="?version=26">Later versions' in first.text
    assert 'href="?version=25">Earlier versions' in last.text


# --- What can't be shown -----------------------------------------------------------------------
def test_an_unreadable_event_hides_the_states_after_it_only(
    auditor: User, refunded_order: Order
) -> None:
    order = refunded_order
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(
            "UPDATE event SET type = 'OrderBlessed' WHERE stream = %s AND version = 3",
            [order.stream],
        )
        cursor.execute("SET LOCAL session_replication_role = origin")
    client = logged_in(auditor)

    before = page_text(client, url_of(order, "?version=2"))
    after = page_text(client, url_of(order, "?version=4"))

    assert "Desk lamp (LAMP-1)" in before
    assert "can't be read" not in before
    assert "Event 3 can't be read (this type is unknown): this version can't be shown." in after
    assert "Show the version before that event" in after
    assert "refund of credit gave Request refund" in after
    assert "a payment of 39.80 EUR" in page_text(client, causes_url(order, "OrderBlessed"))
    assert shown(order.order_number, "--version", "2").startswith("Order 20")
    with pytest.raises(CommandError, match=r"OrderBlessed .* can't be read"):
        shown(order.order_number)


def test_a_parked_event_is_listed_and_the_page_says_that_the_timeline_lacks_it(
    auditor: User, monkeypatch: pytest.MonkeyPatch, shop: Shop
) -> None:
    order = shop.order
    event, *_ = give(c.TagOrder, order, tag="gift")
    Poison(OrderTimelineProjection, monkeypatch).events.add(event.recorded.event_id)
    run_projections()
    cache.clear()

    text = page_text(logged_in(auditor), url_of(order))

    assert "Order tagged not in the timeline yet" in text
    assert "an error holds up changes" in logged_in(auditor).get(url_of(order)).text
    assert "Tags gift new" in text
    assert "OrderTagged by" in history_of(order.order_number)


# --- Causes ------------------------------------------------------------------------------------
def test_the_tree_shows_what_a_command_caused_and_what_policies_did(
    auditor: User, refunded_order: Order
) -> None:
    order = refunded_order
    client = logged_in(auditor)

    page = client.get(url_of(order, "?version=4"))
    text = page_text(client, causes_url(order, "OrderItemsCancelled"))

    assert re.search(
        r"Cancel order items .* cancelled 1 × Desk lamp: One will do .* this event .*"
        r"policy refund of credit gave Request refund .* asked for a refund of 19\.90 EUR.*"
        r"Stock released Stock of Desk lamp",
        text,
    )
    number = order.order_number
    record = CommandRecord.objects.get(type="CancelOrderItems")
    event = OutboxEvent.objects.get(stream=order.stream, type="RefundRequested")
    for link in (
        f'<a href="/admin/ordering_write/commandrecord/{record.pk}/change/">Cancel order items',
        f'href="/admin/ordering_write/outboxevent/{event.pk}/change/"',
        f'<a href="/admin/ordering_read/ordersummary/{order.pk}/change/">Order',
    ):
        assert link in page.text
    assert f">{number}</bdi>" in page.text
    assert client.get(f"/admin/causes/{uuid4()}/").status_code == 404

    record.delete()
    assert "command A command by" in page_text(client, url_of(order, "?version=4"))


def test_who_may_not_see_the_log_sees_no_links(make_user: Any, refunded_order: Order) -> None:
    order = refunded_order
    user = make_user(Role.MONITOR, is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_history"))

    page = logged_in(user).get(url_of(order, "?version=4"))

    content = page.text.partition('id="content-start"')[2]
    assert "Request refund" in content
    assert "/admin/ordering_" not in content


def test_a_command_with_many_events_shows_the_first_ones(
    auditor: User, customer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    product = kit.registered_product(100)
    order = kit.placed_order(customer, *[(product, 1)] * 30)
    command_id = OutboxEvent.objects.get(stream=order.stream, version=1).command_id
    run_projections()

    text = page_text(logged_in(auditor), url_of(order, "?version=31"))

    # The first twenty and the marked one are shown.
    others = OutboxEvent.objects.filter(command_id=command_id).count() - 21
    assert f"and {others} more events of this command" in text
    assert "event 31 ◀ this event" in text
    monkeypatch.setattr("ordering_read.queries.causes._MOST_EVENTS", 5)
    text = page_text(logged_in(auditor), url_of(order))
    assert "these are the first ones" in text


# Each of 200 correlations gets twenty events.
FILL = """
INSERT INTO event (event_id, stream, version, type, schema_version, timestamp, recorded_at, actor,
    channel, command_id, correlation_id, causation_id, commit_id, data, personal_digest, hash)
SELECT gen_random_uuid(), 'order-' || gen_random_uuid(), 1, type, schema_version, timestamp,
    recorded_at, actor, channel, gen_random_uuid(), md5((number % 200)::text)::uuid,
    causation_id, gen_random_uuid(), data, personal_digest, hash
FROM (SELECT * FROM event LIMIT 1) original, generate_series(1, 4000) AS number
"""


def test_an_index_serves_the_events_of_a_correlation_in_their_order() -> None:
    kit.registered_product()
    with CaptureQueriesContext(connection) as statements:
        read_correlation(uuid4(), limit=5)

    with connection.cursor() as cursor:
        cursor.execute(FILL)
        # The plan depends on the statistics, which may be of other rows.
        cursor.execute("ANALYZE event")
        cursor.execute(f"EXPLAIN {statements[0]['sql']}")
        plan = "\n".join(line for (line,) in cursor.fetchall())

    assert "using event_by_correlation" in plan
    assert "Sort" not in plan


# --- The command line --------------------------------------------------------------------------
def run(name: str, *arguments: str) -> str:
    output = StringIO()
    call_command(name, *arguments, stdout=output)
    return output.getvalue()


def shown(*arguments: str) -> str:
    return run("order_show", *arguments)


def history_of(*arguments: str) -> str:
    return run("order_history", *arguments)


def test_the_command_line_shows_an_order_its_history_and_its_differences(
    refunded_order: Order,
) -> None:
    order = refunded_order
    number = order.order_number
    year, _, serial = number.partition("-")

    for name in (number, serial.lstrip("0"), f"{year}-{int(serial)}", str(order.pk)):
        assert f"Order {number}, version 5\n" in shown(name), name
    assert "Payment: credit owed" in shown(number)
    assert "Payment: paid" in shown(number, "--version", "3")
    assert "Payment: credit owed" in shown(number, "--as-of", f"{now() + DAY:%Y-%m-%dT%H:%M}")
    body = json.loads(shown(number, "--version", "3", "--json"))
    assert (body["version"], body["balance"], body["items"][0]["sku"]) == (3, "0.00", "LAMP-1")

    lines = history_of(number).splitlines()
    assert lines[0] == f"Order {number}, 5 versions, times in Europe/Madrid"
    assert lines[4].endswith("cancelled 1 × Desk lamp: One will do")
    versions = json.loads(history_of(number, "--json"))
    assert [item["version"] for item in versions] == [1, 2, 3, 4, 5]
    assert versions[3]["type"] == "OrderItemsCancelled"

    diff = run("order_diff", number, "3", "4")
    assert "Desk lamp (LAMP-1)\n  - 2 open\n" in diff
    assert "  + 1 cancelled\n" in diff
    assert run("order_diff", number, "4", "4").endswith("Both versions are the same.\n")
    changes = json.loads(run("order_diff", number, "3", "--json"))
    assert (changes["from_version"], changes["to_version"]) == (3, 5)
    assert "/payment_status" in [change["path"] for change in changes["changes"]]


def test_the_command_line_says_what_it_can_not_show(
    customer: Any, subtests: pytest.Subtests, shop: Shop
) -> None:
    order = shop.order
    number = order.order_number
    serial = number.partition("-")[2]
    other = kit.placed_order(customer, (kit.registered_product(), 1))
    run_projections()
    with writing():
        rows = OrderSummary.objects.filter(order_id=other.pk)
        rows.update(order_number=f"2019-{serial}")
    for name, arguments, reason in (
        ("order_show", ["99999"], "No order has the number 99999."),
        ("order_show", [serial.lstrip("0")], f"Several orders have the number {int(serial)}: 2019"),
        ("order_show", ["lamp"], "No order has the number lamp."),
        ("order_show", [str(uuid4())], "Order not found"),
        ("order_show", [number, "--version", "9"], "The order has no version 9; its newest is 2."),
        ("order_show", [number, "--version", "x"], "version: A number is written in digits"),
        ("order_show", [number, "--as-of", "monday"], "as_of: A moment is written such as "),
        ("order_show", [number, "--as-of", "2020-01-01"], "The order was not there then"),
        ("order_show", [number, "--as-of", "2020-01-01", "--version", "1"], "not allowed with"),
        ("order_history", ["99999"], "No order has the number 99999."),
        ("order_diff", [number, "1", "9"], "The order has no version 9; its newest is 2."),
        ("order_diff", [number, "-1"], "from: A number is written in digits"),
    ):
        with subtests.test(name, arguments=arguments), pytest.raises(CommandError) as caught:
            run(name, *arguments)
        assert reason in str(caught.value)


def test_the_command_line_says_that_the_newest_orders_are_not_shown_yet(
    db: None, customer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orders, "_WAIT_SECONDS", 0.0)
    order = kit.placed_order(customer, (kit.registered_product(), 1))
    with pytest.raises(CommandError) as caught:
        run("order_show", order.order_number)
    assert str(caught.value) == (
        f"No order that is shown has the number {order.order_number}. The newest orders aren't "
        "shown yet, because changes take longer than usual: look again soon."
    )
