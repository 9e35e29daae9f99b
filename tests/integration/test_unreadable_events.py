"""Events of the log that this code can't read, and the fingerprint of the log."""

from uuid import uuid4

import pytest
from django.db import connection, transaction

from ordering_write import log
from ordering_write.domain import events as e
from ordering_write.models import Order
from ordering_write.published import UndecodableEvent, UndecodableEventError
from tests import kit

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture
def order() -> Order:
    return kit.placed_order(kit.registered_customer(), (kit.registered_product(), 2))


def spoil(order, change):
    """Change the stored OrderItemAdded of ``order`` behind the back of the trigger."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(
            f"UPDATE event SET {change} WHERE stream = %s AND version = 2", [order.stream]
        )
        cursor.execute("SET LOCAL session_replication_role = origin")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("type = 'OrderBlessed'", "this type is unknown"),
        ("type = 'OrderEvent'", "this type is unknown"),
        ("schema_version = 2", "schema version 2 is unknown, the newest is 1"),
        ("data = '[]'", "TypeError: 'list' object is not a mapping"),
        (
            """data = data - 'sku' || '{"quantity": "Robin", "colour": "red"}'""",
            "sku: Field required; quantity: Input should be a valid integer, unable to parse"
            " string as an integer; colour: Extra inputs are not permitted",
        ),
    ],
)
def test_the_log_is_read_past_an_unreadable_event(order, change, reason):
    log.sequence()
    before = log.read_log(0, 100)
    spoil(order, change)

    after = log.read_log(0, 100)

    [bad] = [event for event in after if isinstance(event, UndecodableEvent)]
    assert bad.reason == reason
    assert bad.recorded.stream == order.stream
    assert [event for event in after if event is not bad] == [
        event for event in before if event.recorded.event_id != bad.recorded.event_id
    ]
    assert [event.recorded.position for event in after] == list(range(1, len(after) + 1))


def test_an_unreadable_event_keeps_its_type_and_envelope(order):
    log.sequence()
    [before] = [event for event in log.read_log(0, 100) if isinstance(event, e.OrderItemAdded)]
    spoil(order, "type = 'OrderBlessed'")
    [bad] = [event for event in log.read_log(0, 100) if isinstance(event, UndecodableEvent)]
    assert (bad.type, bad.timestamp, bad.recorded) == (
        "OrderBlessed",
        before.timestamp,
        before.recorded,
    )


def test_reading_a_stream_or_command_with_an_unreadable_event_raises_an_error(order):
    command_id = log.read_stream(order.stream)[0].recorded.command_id
    spoil(order, "type = 'OrderBlessed'")
    message = rf"^OrderBlessed \S+ \({order.stream}, version 2\) can't be read: this type is"
    with pytest.raises(UndecodableEventError, match=message):
        log.read_stream(order.stream)
    with pytest.raises(UndecodableEventError, match=message):
        log.read_command(command_id)


# --- Which log it is ---------------------------------------------------------------------------
def test_the_identity_of_a_log_never_changes():
    identity = log.identity()
    assert log.identity() == identity
    for change in (
        "UPDATE log_identity SET id = gen_random_uuid()",
        "DELETE FROM log_identity",
        "INSERT INTO log_identity VALUES (gen_random_uuid())",
    ):
        with (
            pytest.raises(Exception, match=r"append-only|log_identity_one_row"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(change)
    assert log.identity() == identity


def test_the_fingerprint_names_the_event_at_a_position(order):
    log.sequence()
    head = log.head()
    last = log.read_log(head - 1, 1)[0].recorded.event_id
    assert log.fingerprint(head) == (log.identity(), last)
    assert log.position_of(last) == head
    assert log.fingerprint(head + 1) == (log.identity(), None)
    assert log.position_of(uuid4()) is None
