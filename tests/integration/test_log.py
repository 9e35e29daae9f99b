"""The log: append-only, chained by hashes, with dense positions, and no event lost."""

import io
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import InternalError, ProgrammingError, connection, connections, transaction
from uuid_utils.compat import uuid7

from ordering_write import log
from ordering_write.domain.commands import RegisterCustomer
from ordering_write.domain.errors import DomainError
from ordering_write.domain.events import CustomerRegistered, UndecodableEvent
from ordering_write.log import LogGapError, UndecodableEventError, outbox
from ordering_write.log.content import content_hash, digest
from ordering_write.log.outbox import CHANNEL, OutsideCommitError
from ordering_write.models import (
    CommandRecord,
    Customer,
    EventPending,
    EventPosition,
    OutboxEvent,
    PersonalData,
    save,
)
from ordering_write.signals import domain_events, events_committed
from tests.kit import (
    USER,
    cancel,
    check_rows_equal_log,
    create_order,
    dispatch,
    placed_order,
    registered_customer,
    registered_product,
)
from tests.parallel import at_once
from tests.patience import PATIENCE_SECONDS
from tests.proof import size

# The longest time that a test holds a transaction open.
HELD_SECONDS = 300


def register(name: str = "Robin Sample") -> RegisterCustomer:
    return RegisterCustomer(user_id=USER, name=name, email=f"{uuid7().hex}@example.com")


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.005)


# --- Append-only -------------------------------------------------------------------------------
@pytest.mark.parametrize("table", ["event", "event_position"])
@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE event SET type = 'Other'",
        "UPDATE event_position SET position = position + 1",
        "DELETE FROM {table}",
        "TRUNCATE {table} CASCADE",
    ],
)
def test_the_log_refuses_changes(committed, customer, table, sql):
    log.sequence()
    with (
        pytest.raises((InternalError, ProgrammingError), match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(sql.format(table=table))
    assert OutboxEvent.objects.count() == EventPosition.objects.count() == 1


def test_the_hash_chain_can_be_recomputed(db, customer):
    product = registered_product(10)
    dispatch(cancel(placed_order(customer, (product, 1), (product, 2), note="Ring twice")))
    previous: dict[str, str] = {}
    for row in OutboxEvent.objects.order_by("stream", "version").values():
        assert row["hash"] == content_hash(row, previous.get(row["stream"], "")), row
        previous[row["stream"]] = row["hash"]
    reserved = OutboxEvent.objects.filter(type="StockReserved").values()[0]
    predecessor = OutboxEvent.objects.get(
        stream=reserved["stream"], version=reserved["version"] - 1
    )
    assert reserved["hash"] == content_hash(reserved, predecessor.hash)
    reserved["data"]["quantity"] = 1000
    assert reserved["hash"] != content_hash(reserved, predecessor.hash)


# --- Personal fields ---------------------------------------------------------------------------
def test_personal_fields_are_stored_beside_the_log_and_joined_on_reading(db):
    customer = registered_customer("Robin Sample", email="robin@example.com", phone="555 0100")
    order = placed_order(customer, (registered_product(), 1), note="Ring at Sampleton 7")
    for row in OutboxEvent.objects.all():
        text = str(row.data)
        for personal in ("Robin", "robin@", "555 0100", "Example Street", "Sampleton"):
            assert personal not in text
    stored = PersonalData.objects.filter(customer_id=customer.pk)
    assert stored.count() == PersonalData.objects.count() == 3
    for row in OutboxEvent.objects.filter(personal_id__isnull=False):
        assert row.personal_id
        personal_data = stored.get(pk=row.personal_id)
        assert row.personal_digest == digest(personal_data.fields, personal_data.salt)
    created: Any = log.read_stream(order.stream)[0]
    assert (created.customer.name, created.shipping_address.city) == ("Robin Sample", "Sampleton")


def test_erased_personal_fields_read_as_erased(db, customer):
    order = placed_order(customer, (registered_product(), 1), note="Ring twice")
    PersonalData.objects.filter(customer_id=customer.pk).delete()
    events: list[Any] = log.read_stream(order.stream) + log.read_stream(customer.stream)
    created, _item, note, registered = events
    assert created.customer.model_dump() == {"name": "[erased]", "email": "[erased]"}
    assert created.shipping_address.line1 == created.shipping_address.country == "[erased]"
    assert note.text == registered.name == registered.email == "[erased]"


# --- One order without holes -------------------------------------------------------------------
def positions() -> list[int]:
    return list(EventPosition.objects.order_by("position").values_list("position", flat=True))


def test_each_event_gets_one_position(committed):
    dispatch(register())
    assert (log.head(), positions()) == (1, [])
    [event] = log.read_stream(Customer.objects.get().stream)
    assert event.recorded.position is None
    assert log.position_of(event.recorded.event_id) is None
    log.sequence()
    log.sequence()
    assert (log.head(), positions(), EventPending.objects.count()) == (1, [1], 0)
    assert log.position_of(event.recorded.event_id) == 1
    assert log.recorded_at(1) == event.recorded.recorded_at
    assert log.recorded_at(2) is None


@contextmanager
def in_open_transaction(command: RegisterCustomer) -> Iterator[None]:
    """Dispatch ``command`` in another session, which commits after the block."""
    written, may_commit = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            with transaction.atomic():
                dispatch(command)
                written.set()
                deadline = time.monotonic() + HELD_SECONDS
                while not may_commit.wait(1):
                    assert time.monotonic() < deadline
                    # The database ends a transaction that is idle for ten seconds.
                    with connection.cursor() as cursor:
                        cursor.execute("SELECT 1")
        finally:
            connections.close_all()

    thread = threading.Thread(target=hold)
    thread.start()
    assert written.wait(PATIENCE_SECONDS)
    try:
        yield
    finally:
        may_commit.set()
        thread.join()


def names_after(position: int) -> list[str]:
    events: list[Any] = log.read_log(position, 100)
    return [event.name for event in events]


def test_a_transaction_that_commits_late_is_read_and_delays_no_other(committed):
    with in_open_transaction(register("Slow")):
        for number in range(3):
            dispatch(register(f"Fast {number}"))
        assert log.head() == 3
        log.sequence()
        assert names_after(0) == ["Fast 0", "Fast 1", "Fast 2"]
    log.sequence()
    assert names_after(3) == ["Slow"]
    ids = EventPosition.objects.order_by("position").values_list("event_id", flat=True)
    assert list(ids) != sorted(ids), "the slow one had drawn the lowest id"


@pytest.mark.proof
def test_readers_pass_an_open_transaction_and_skip_no_event(committed):
    events = size(1_000, full=10_000)
    customer, product = registered_customer(), registered_product(on_hand=10_000)
    log.sequence()
    read = log.read_log(0, 100)

    def read_until_the_end() -> None:
        log.sequence()
        while batch := log.read_log(len(read), 500):
            read.extend(batch)

    with in_open_transaction(register("Slow")):
        while len(read) < events:
            placed_order(customer, *[(product, 1)] * 100)
            read_until_the_end()
            # The open transaction delays no reader: every committed event is read.
            assert len(read) == OutboxEvent.objects.count()
        assert not any(isinstance(event, CustomerRegistered) for event in read[3:])
    read_until_the_end()

    slow: Any = read[-1]
    assert slow.name == "Slow"
    assert {event.recorded.event_id for event in read} == set(
        OutboxEvent.objects.values_list("event_id", flat=True)
    )
    assert [event.recorded.position for event in read] == [*range(1, len(read) + 1)]


def test_a_rolled_back_transaction_leaves_no_gap(committed):
    with transaction.atomic():
        dispatch(register())
        transaction.set_rollback(True)
    dispatch(register("Kim Example"))
    log.sequence()
    assert positions() == [1]


@pytest.mark.proof
def test_many_writers_and_sequencers_make_dense_positions_and_lose_no_event(committed):
    customer, product = registered_customer(), registered_product(10_000)
    written = threading.Event()

    def write(seed: int) -> None:
        dice = random.Random(seed)
        for _ in range(size(4, full=12)):
            with transaction.atomic():
                order = placed_order(customer, (product, 1), (product, 1))
                if dice.random() < 0.3:
                    transaction.set_rollback(True)
                    continue
            if dice.random() < 0.5:
                dispatch(cancel(order))

    def follow() -> list[str]:
        read: list[Any] = []
        last: Any = 0
        while not written.is_set() or log.head() > last:
            log.sequence()
            page = log.read_log(last, 7)
            for event in page:
                last = event.recorded.position
                read.append(event)
            if not page:
                written.wait(0.02)
        check_commits_are_whole(read)
        return [event.recorded.event_id for event in read]

    def write_all() -> None:
        try:
            failures = [
                error
                for error in at_once([partial(write, n) for n in range(6)])
                if error is not None
            ]
            assert failures == []
        finally:
            written.set()

    outcomes = at_once([write_all, follow, follow])
    assert outcomes[0] is None
    assert outcomes[1] == outcomes[2]
    events = OutboxEvent.objects.order_by("event_position__position")
    assert outcomes[1] == list(events.values_list("event_id", flat=True))
    assert positions() == list(range(1, len(events) + 1))
    versions: dict[str, int] = {}
    for row in events:
        assert row.version == versions.get(row.stream, 0) + 1, "inverted in its stream"
        versions[row.stream] = row.version
    check_rows_equal_log()
    # A writer that waited for the product didn't read the hash of its last event with the lock.
    call_command("verify_log", stdout=io.StringIO())


def check_commits_are_whole(events) -> None:
    """Assert that the events of each command are adjacent."""
    changes = sum(
        event.recorded.command_id != following.recorded.command_id
        for event, following in pairwise(events)
    )
    assert changes + 1 == len({event.recorded.command_id for event in events})


def test_a_batch_never_ends_inside_a_commit(db, subtests: pytest.Subtests) -> None:
    customer, product = registered_customer(), registered_product(10)
    for _ in range(3):
        placed_order(customer, (product, 1), (product, 1))
    log.sequence()
    for limit in range(1, 9):
        with subtests.test(limit=limit):
            last: Any = 0
            while batch := log.read_log(last, limit):
                inside = {event.recorded.command_id for event in batch}
                last = batch[-1].recorded.position
                later = {event.recorded.command_id for event in log.read_log(last, 100)}
                assert not inside & later
            assert last == log.head()


def test_a_missing_position_raises_an_error(db):
    for _ in range(3):
        registered_customer()
    log.sequence()
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("DELETE FROM event_position WHERE position = 2")
        cursor.execute("SET LOCAL session_replication_role = origin")
    for after in (0, 1):
        with pytest.raises(LogGapError, match="Position 2 of the log is missing"):
            log.read_log(after, 10)
    assert len(log.read_log(2, 10)) == 1


def test_an_event_of_an_unknown_type_is_reported_and_hides_no_other(db, customer):
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("UPDATE event SET type = 'FromTheFuture'")
        cursor.execute("SET LOCAL session_replication_role = origin")
    registered_customer("Kim Example")
    log.sequence()
    unknown, registered = log.read_log(0, 10)
    assert isinstance(unknown, UndecodableEvent)
    assert isinstance(registered, CustomerRegistered)
    assert (unknown.type, registered.name) == ("FromTheFuture", "Kim Example")
    with pytest.raises(UndecodableEventError, match="FromTheFuture"):
        log.read_stream(customer.stream)


# --- Emitting and announcing -------------------------------------------------------------------
def test_listeners_are_notified_after_the_commit_and_not_before(committed):
    parameters = connection.get_connection_params()
    parameters.pop("cursor_factory", None)
    parameters.pop("context", None)
    with psycopg.connect(**parameters, autocommit=True) as listener:
        listener.execute(f"LISTEN {CHANNEL}")
        with in_open_transaction(register()):
            assert list(listener.notifies(timeout=0.1)) == []
        [note] = listener.notifies(timeout=PATIENCE_SECONDS, stop_after=1)
        assert (note.channel, note.payload) == (CHANNEL, "")
        assert Customer.objects.count() == 1


def test_a_refused_or_repeated_command_sends_no_signal(db, django_capture_on_commit_callbacks):
    command = register()
    with django_capture_on_commit_callbacks() as callbacks:
        dispatch(command)
    assert len(callbacks) == 1
    with django_capture_on_commit_callbacks() as callbacks:
        dispatch(command)
        with pytest.raises(DomainError):
            dispatch(command.model_copy(update={"command_id": uuid7()}))
    assert callbacks == []


def test_a_receiver_that_fails_does_not_fail_the_command(committed, caplog):
    def broken(**_kwargs):
        raise RuntimeError("no listener today")

    events_committed.connect(broken)
    try:
        dispatch(register())
    finally:
        events_committed.disconnect(broken)
    assert Customer.objects.count() == 1
    assert "no listener today" in caplog.text


def test_events_outside_a_commit_are_refused(db):
    customer = Customer.register(
        CustomerRegistered(
            timestamp="2026-03-01T12:00:00Z",
            customer_id=uuid7(),
            name="Robin Sample",
            email="robin@example.com",
        )
    )
    with pytest.raises(OutsideCommitError), transaction.atomic():
        save([customer], caused_by=register())
    assert not OutboxEvent.objects.exists()
    assert not CommandRecord.objects.exists()


def test_the_system_check_reports_a_missing_outbox(db):
    call_command("check")
    domain_events.disconnect(dispatch_uid="outbox.append")
    try:
        with pytest.raises(SystemCheckError, match="outbox is not connected"):
            call_command("check")
    finally:
        domain_events.connect(outbox.append, dispatch_uid="outbox.append")


def test_the_envelope_has_actor_command_and_cause(db, customer):
    cause, correlation = uuid7(), uuid7()
    command = create_order(
        customer, (registered_product(), 1), causation_id=cause, correlation_id=correlation
    )
    for event in dispatch(command):
        envelope = event.recorded
        assert (envelope.command_id, envelope.causation_id) == (command.command_id, cause)
        assert (envelope.correlation_id, envelope.actor.id) == (correlation, str(USER))
    [registered] = dispatch(register())
    assert registered.recorded.causation_id == registered.recorded.command_id


def test_a_stored_envelope_equals_the_saved_one(db: None) -> None:
    [saved] = dispatch(RegisterCustomer(user_id=USER, name="Robin", email="robin@example.com"))

    [stored] = log.read_command(saved.recorded.command_id)

    assert stored == saved
    assert stored.recorded == saved.recorded
    assert repr(stored.recorded).partition("(")[2] == repr(saved.recorded).partition("(")[2]
