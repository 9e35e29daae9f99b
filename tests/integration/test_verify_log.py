"""Verification of the log: every change behind the back of the trigger is found, and no other."""

import os
import re
import signal
from contextlib import contextmanager
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from uuid_utils.compat import uuid7

from ordering_write import log
from ordering_write.domain.commands import Command, EraseCustomer
from ordering_write.domain.events import OrderStatus
from ordering_write.log import outbox, verification
from ordering_write.log.verification import finding, streams
from ordering_write.models import Order, OutboxEvent, PersonalData, StockItem, save
from tests import kit
from tests.databases import KeptRows, rolled_back
from tests.parallel import at_once

pytestmark = pytest.mark.usefixtures("committed")


def findings(stream=None):
    return [str(finding) for finding in verification.verify(stream=stream, progress=lambda _: None)]


@contextmanager
def without_trigger():
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        yield cursor


def spoil(statement, *parameters):
    with without_trigger() as cursor:
        cursor.execute(statement, parameters)
        assert cursor.rowcount > 0


class Shop:
    """A customer, a product, and an order of each kind."""

    def __init__(self):
        self.customer = kit.registered_customer()
        self.product = kit.registered_product(on_hand=20)
        self.other = kit.registered_product(on_hand=20)
        self.order = self.place()
        self.cancelled = self.place()
        kit.dispatch(kit.cancel(self.cancelled))
        self.delivered = self.place()
        for status in (OrderStatus.CONFIRMED, OrderStatus.SHIPPED, OrderStatus.DELIVERED):
            kit.dispatch(kit.move(self.delivered, status))
        log.sequence()

    def place(self):
        return kit.placed_order(self.customer, (self.product, 2), (self.other, 1))

    def position(self, order, version):
        return OutboxEvent.objects.get(stream=order.stream, version=version).event_position.position


@pytest.fixture(scope="module")
def kept_shop(django_db_setup, django_db_blocker):
    """Return a shop, and its rows, which aren't in the database."""
    with django_db_blocker.unblock(), rolled_back():
        shop = Shop()
        return shop, KeptRows()


@pytest.fixture
def shop(committed, kept_shop) -> Shop:
    """Return the shop, with its rows in the database."""
    shop, rows = kept_shop
    rows.put_back()
    return shop


# --- Sound logs --------------------------------------------------------------------------
def test_an_empty_log_has_no_findings():
    assert findings() == []


@pytest.mark.parametrize("page", [1, 2, 3, 5, 1000])
def test_a_sound_log_has_no_findings(shop, page, monkeypatch):
    monkeypatch.setattr(streams, "_PAGE", page)
    monkeypatch.setattr(finding, "PAGE", page)
    kit.dispatch(kit.move(shop.order, OrderStatus.CONFIRMED))
    assert findings() == []


def test_erased_personal_fields_are_no_finding(shop):
    spoil("DELETE FROM personal_data")
    assert findings() == []


def test_an_erased_customer_is_no_finding(shop):
    customer = kit.registered_customer()
    order = kit.placed_order(customer, (shop.product, 1))
    kit.dispatch(kit.cancel(order))
    erased = list(PersonalData.objects.filter(customer_id=customer.pk))
    kit.dispatch(EraseCustomer(user_id=kit.USER, customer_id=customer.pk, reason="Asked for it"))
    assert findings() == []

    spoil("UPDATE ordering_write_customer SET name = 'Robin' WHERE status = 'erased'")
    assert findings() == [
        f"{customer.stream}, version 2: name of its row isn't what its events say"
    ]
    spoil("UPDATE ordering_write_customer SET name = '[erased]' WHERE status = 'erased'")

    # Stands for the restore of a backup.
    PersonalData.objects.bulk_create(erased)
    fault = "the customer was erased, but there are personal fields"
    assert {text for text in findings() if text.endswith(fault)} == {
        f"{customer.stream}, version 2: {fault}",
        f"{order.stream}, version 4: {fault}",
    }


def test_commands_during_the_verification_are_no_finding(shop, monkeypatch):
    # Pages end in the middle of streams, so that most are finished in a later one.
    monkeypatch.setattr(streams, "_PAGE", 3)

    def place():
        for _ in range(4):
            order = kit.placed_order(shop.customer, (shop.product, 1))
            kit.dispatch(kit.cancel(order))

    def verify_four_times():
        return [finding for _ in range(4) for finding in findings()]

    assert at_once([place, verify_four_times, place]) == [None, [], None]


# --- Spoiled logs -----------------------------------------------------------------------
CHANGED = "it or the event before it was changed: its hash doesn't fit"


@pytest.mark.parametrize(
    "change",
    [
        """data = data || '{"name": "Another"}'""",
        "timestamp = timestamp + interval '1 microsecond'",
        "recorded_at = recorded_at - interval '1 day'",
        """actor = actor || '{"id": "somebody-else"}'""",
        "channel = 'admin'",
        "command_id = gen_random_uuid()",
        "correlation_id = gen_random_uuid()",
        "causation_id = gen_random_uuid()",
        "event_id = gen_random_uuid()",
        "personal_digest = ''",
    ],
)
def test_a_changed_event_is_found(shop, change):
    version = 1 if "personal" in change else 2
    spoil(
        f"UPDATE event SET {change} WHERE stream = %s AND version = %s", shop.order.stream, version
    )
    assert f"{shop.order.stream}, version {version}: {CHANGED}" in findings()


def test_a_wrong_sum_is_found(shop):
    spoil(
        """UPDATE event SET data = jsonb_set(data, '{total,amount}', '"59.71"')"""
        " WHERE stream = %s AND version = 3",
        shop.order.stream,
    )
    assert findings() == [
        f"{shop.order.stream}, version 3: {CHANGED}",
        f"{shop.order.stream}, version 3: its total is 59.71, its prices and payments add up to "
        "59.70",
    ]


def test_a_changed_hash_breaks_the_chain(shop):
    stream = shop.order.stream
    spoil("UPDATE event SET hash = repeat('a', 64) WHERE stream = %s AND version = 2", stream)
    assert findings() == [f"{stream}, version {n}: {CHANGED}" for n in (2, 3)]


def test_changed_personal_fields_are_found(shop):
    spoil(
        """UPDATE personal_data SET fields = fields || '{"name": "Robin Other"}'"""
        " FROM event WHERE personal_id = personal_data.id AND type = 'CustomerRegistered'"
    )
    assert findings() == [
        f"{shop.customer.stream}, version 1: its personal fields were changed: their digest"
        " doesn't fit",
        f"{shop.customer.stream}, version 1: name of its row isn't what its events say",
    ]


def test_a_removed_event_is_found(shop):
    stream, position = shop.order.stream, shop.position(shop.order, 2)
    spoil("DELETE FROM event WHERE stream = %s AND version = 2", stream)
    missing = (
        f"{stream}, version 3: the event before it is missing, the last one there has version 1"
    )
    assert findings() == [f"the log: the event at position {position} is missing", missing]

    spoil("DELETE FROM event_position WHERE position = %s", position)
    assert findings() == [f"the log: positions {position} to {position} are missing", missing]


def test_a_removed_last_event_is_found_by_its_row(shop):
    stream, position = shop.cancelled.stream, shop.position(shop.cancelled, 4)
    spoil("DELETE FROM event WHERE stream = %s AND version = 4", stream)
    texts = findings()
    assert texts[0] == f"the log: the event at position {position} is missing"
    assert f"{stream}, version 3: version of its row is 4, its events say 3" in texts
    assert f"{stream}, version 3: status of its row is cancelled, its events say pending" in texts


def test_reordered_events_are_found(shop):
    stream = shop.order.stream
    with without_trigger() as cursor:
        for old, new in ((2, 99), (3, 2), (99, 3)):
            cursor.execute(
                "UPDATE event SET version = %s WHERE stream = %s AND version = %s",
                [new, stream, old],
            )
    texts = findings()
    assert [f"{stream}, version {n}: {CHANGED}" in texts for n in (2, 3)] == [True, True]


def test_reordered_positions_are_found(shop):
    stream = shop.order.stream
    first, second = (shop.position(shop.order, version) for version in (2, 3))
    with without_trigger() as cursor:
        for old, new in ((first, 0), (second, first), (0, second)):
            cursor.execute(
                "UPDATE event_position SET position = %s WHERE position = %s", [new, old]
            )
    assert findings() == [
        f"{stream}, version 3: its position {first} isn't after that of the event before it"
    ]


def test_an_event_that_will_get_no_position_is_found(shop):
    order = shop.place()
    assert findings() == []
    spoil("DELETE FROM event_pending")
    streams = [shop.product.stream, shop.other.stream, order.stream]
    texts = findings()
    assert all(text.endswith("it has no position and doesn't wait for one") for text in texts)
    assert {text.partition(",")[0] for text in texts} == set(streams)
    # An order with two lines, and a reservation of each product.
    assert len(texts) == 5


@pytest.mark.parametrize("change", ["type = 'OrderBlessed'", "schema_version = 7", "data = '[]'"])
def test_an_unreadable_event_is_found(shop, change):
    stream = shop.order.stream
    spoil(f"UPDATE event SET {change} WHERE stream = %s AND version = 2", stream)
    assert any(text.startswith(f"{stream}, version 2: it can't be read: ") for text in findings())


def test_an_event_that_cannot_be_applied_is_found(shop):
    stream = shop.delivered.stream
    spoil(
        "UPDATE event SET data = data || jsonb_build_object('shipment_id', gen_random_uuid())"
        " WHERE stream = %s AND type = 'ShipmentCreated'",
        stream,
    )
    texts = findings()
    assert texts[0] == f"{stream}, version 5: {CHANGED}"
    assert texts[1].startswith(f"{stream}, version 6: it can't be applied: KeyError: ")
    assert len(texts) == 2


def test_a_stream_of_no_aggregate_is_found(shop):
    name = f"parcel-{uuid7()}"
    spoil("UPDATE event SET stream = %s WHERE stream = %s", name, shop.customer.stream)
    texts = findings()
    assert f"{shop.customer.stream}: it has a row but no events" in texts
    assert f"{name}: no aggregate has such a name" in texts


# --- Spoiled rows ---------------------------------------------------------------------
ROWS = [
    ("UPDATE ordering_write_order SET total = 1 WHERE id = %s", "total of its row is 1.0000, its"),
    ("UPDATE ordering_write_order SET version = 9 WHERE id = %s", "version of its row is 9, its"),
    (
        "UPDATE ordering_write_order SET tags = '{gift}' WHERE id = %s",
        r"tags of its row is \['gift'\], its events say \[\]",
    ),
    ("DELETE FROM ordering_write_order WHERE id = %s", "it has events but no row"),
    (
        "UPDATE ordering_write_orderitem SET packed = 1 WHERE number = 1 AND order_id = %s",
        r"packed of line \S+ is 1, its events say 0",
    ),
    (
        "DELETE FROM ordering_write_orderitem WHERE number = 1 AND order_id = %s",
        r"line \S+ is missing",
    ),
    (
        "INSERT INTO ordering_write_shipment"
        " (id, order_id, status, items, carrier, tracking_number, tracking_url)"
        " VALUES (gen_random_uuid(), %s, 'packed', '[]', '', '', '')",
        r"shipment \S+ is in no event",
    ),
]


@pytest.mark.parametrize(("statement", "wrong"), ROWS)
def test_a_changed_row_of_an_order_is_found(shop, statement, wrong):
    spoil(statement, shop.order.pk)
    texts = [text for text in findings() if "set aside" not in text]
    assert len(texts) == 1
    assert re.match(f"{shop.order.stream}, version 3: {wrong}", texts[0])


def test_a_changed_shipment_is_found(shop):
    spoil("UPDATE ordering_write_shipment SET status = 'packed'")
    [finding] = findings()
    assert finding.startswith(f"{shop.delivered.stream}, version 7: status of shipment ")
    assert finding.endswith(" is packed, its events say delivered")


def test_changed_stock_is_found(shop):
    stream = shop.product.stream
    spoil("UPDATE ordering_write_stockitem SET reserved = 5 WHERE product_id = %s", shop.product.pk)
    version = OutboxEvent.objects.filter(stream=stream).count()
    assert findings() == [
        f"{stream}, version {version}: reserved is 5, its reservations add up to 2",
        f"{stream}, version {version}: reserved of its row is 5, its events say 2",
    ]


def test_a_removed_reservation_is_found(shop):
    spoil("DELETE FROM ordering_write_reservation WHERE product_id = %s", shop.product.pk)
    texts = findings()
    assert re.fullmatch(
        rf"{shop.order.stream}: line \S+ has 2 units to send, and 0 are set aside for it", texts[0]
    )
    assert texts[1].endswith("reserved is 2, its reservations add up to 0")
    assert re.search(
        rf"the reservation for line \S+ of order {shop.order.pk} is missing$", texts[2]
    )
    assert len(texts) == 3
    assert findings(shop.order.stream) == texts[:1]


def test_a_reservation_without_a_line_is_found(shop):
    # Counters, reservations and events agree: only the orders know better.
    order_id, line_id = uuid7(), uuid7()
    with outbox.commit():
        item = StockItem.load_all([shop.product.pk])[shop.product.pk]
        item.reserve((order_id, line_id), 1, now=kit.NOW)
        save([item], caused_by=Command(user_id=kit.USER))
    assert findings() == [
        f"order-{order_id}: line {line_id} has 0 units to send, and 1 are set aside for it"
    ]


def test_a_reservation_of_another_product_is_found(shop):
    spoil(
        "UPDATE ordering_write_reservation SET product_id = %s"
        " WHERE order_id = %s AND product_id = %s",
        shop.other.pk,
        shop.order.pk,
        shop.product.pk,
    )
    [finding] = findings(shop.order.stream)
    assert re.fullmatch(rf"{shop.order.stream}: another product is set aside for line \S+", finding)


def test_a_row_without_events_is_found(shop):
    # A copy under another id, which no command has placed.
    order = Order.objects.get(pk=shop.order.pk)
    order.pk, order.order_number = uuid7(), "2026-999999"
    order.save_base(force_insert=True)
    assert findings() == [f"{order.stream}: it has a row but no events"]


# --- The command -------------------------------------------------------------------------------
def test_the_command_reports_the_number_of_events(shop):
    out = StringIO()
    call_command("verify_log", stdout=out)
    assert re.fullmatch(r"\d+ events in [\d.]+ s \([\d,]+ a second\)\.\n", out.getvalue())


def test_the_command_lists_findings_and_fails(shop):
    spoil("UPDATE ordering_write_order SET total = 1 WHERE id = %s", shop.order.pk)
    out = StringIO()
    with pytest.raises(CommandError, match=r"^1 finding\.$"):
        call_command("verify_log", stdout=out)
    assert out.getvalue().startswith(f"{shop.order.stream}, version 3: total of its row is 1.0000,")


def test_the_command_checks_one_stream(shop):
    spoil("UPDATE ordering_write_order SET total = 1 WHERE id = %s", shop.order.pk)
    out = StringIO()
    call_command("verify_log", "--stream", shop.cancelled.stream, stdout=out)
    assert out.getvalue().startswith("4 events in ")
    with pytest.raises(CommandError, match=r"^1 finding\.$"):
        call_command("verify_log", "--stream", shop.order.stream, stdout=out)


def test_several_processes_find_what_one_finds(shop):
    spoil("UPDATE ordering_write_order SET total = 1 WHERE id <> %s", shop.order.pk)
    spoil("DELETE FROM event_position WHERE position = 3")
    out = StringIO()
    with pytest.raises(CommandError, match=r"^\d findings\.$"):
        call_command("verify_log", "--processes", "2", stdout=out)
    *lines, summary = out.getvalue().splitlines()
    assert sorted(lines) == sorted(findings())
    assert summary.startswith(f"{OutboxEvent.objects.count()} events in ")


def test_a_killed_process_ends_the_command_with_a_sentence(shop, monkeypatch):
    monkeypatch.setattr(streams, "_events_after", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(CommandError, match=r"^A child process was killed: try again\.$"):
        call_command("verify_log", "--processes", "2", stdout=StringIO())


def test_the_command_refuses_an_unknown_stream():
    with pytest.raises(CommandError, match=r"^The log has no stream order-7\.$"):
        call_command("verify_log", "--stream", "order-7", stdout=StringIO())
