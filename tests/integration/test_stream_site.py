"""A read site follows the log from the stream: the same events, checked, without the primary."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.db import OperationalError, connections
from django_q.signing import SignedPackage
from pydantic_core import from_json
from rest_framework.test import APIClient
from uuid_utils.compat import uuid4

from config.accounts.models import User
from config.streams import Stream
from config.workers import tasks
from config.workers.broker import ProjectionBroker
from ordering_read.engine.live import PROJECTIONS
from ordering_read.engine.verify import verify
from ordering_read.models import CustomerSummary, OrderSummary, Projection
from ordering_read.projector import registered
from ordering_write import log, relay
from ordering_write.domain.commands import EraseCustomer
from ordering_write.domain.values import ERASED
from ordering_write.log import feed, reading
from ordering_write.log.slicing import ALL_STREAMS, Slice
from ordering_write.models import Customer, Order
from ordering_write.relay import personal, site
from ordering_write.relay.errors import (
    DamagedStreamError,
    NoStreamError,
    OtherLogError,
    PersonalDataBehindError,
)
from ordering_write.relay.jetstream import JetStream
from ordering_write.relay.port import Message, message_of
from ordering_write.relay.site import StreamLog
from ordering_write.subscriptions import parked
from tests import kit

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture
def customer(stream: Stream) -> Customer:
    return kit.registered_customer("Robin Sample")


def new_order(customer: Customer) -> Order:
    return kit.placed_order(customer, (kit.registered_product(), 2), note="Ring twice")


def publish() -> None:
    relay.SUBSCRIPTION.run("nats")


def follow() -> None:
    tasks.run("projections", *registered())


def errors() -> set[str]:
    return {row.error.partition(":")[0] for row in Projection.objects.exclude(error="")}


def check_rows() -> None:
    """Compare the rows with those that the log in the write database makes."""
    for name in ("order_view", "customer_view", "inventory_level"):
        assert not [table.keys for table in verify(name).tables if table.keys], name


# --- The same as from the primary --------------------------------------------------------------
def test_rows_made_of_the_stream_are_those_of_the_log(customer: Customer) -> None:
    new_order(customer)
    kit.dispatch(kit.cancel(new_order(customer)))
    publish()

    follow()

    assert not errors()
    assert {row.position for row in PROJECTIONS.checkpoints()} == {log.head()}
    assert {row.log_id for row in PROJECTIONS.checkpoints()} == {log.identity()}
    check_rows()
    assert CustomerSummary.live.get().name == "Robin Sample"


def test_reading_the_stream_returns_what_reading_the_log_returns(
    customer: Customer, subtests: pytest.Subtests
) -> None:
    order = new_order(customer)
    publish()
    source = StreamLog()

    assert source.head() == log.head()
    assert source.identity() == log.identity()
    assert source.fingerprint(3) == log.fingerprint(3)
    for streams in (ALL_STREAMS, Slice(0, 2), Slice(1, 2)):
        with subtests.test("batch", streams=streams):
            batch = source.read_batch(0, 100, streams)
            expected = reading.read_batch(0, 100, streams)
            assert batch == expected
            assert batch
            assert expected
            envelopes = [event.recorded for event in batch.events]
            assert envelopes == [event.recorded for event in expected.events]
    assert source.read_batch(log.head(), 100, ALL_STREAMS) is None
    assert source.read_at([4, 2]) == log.read_at([4, 2])
    names = [order.stream, customer.stream]
    assert source.read_streams(names) == log.read_streams(names)


def test_a_site_drains_the_stream_while_the_primary_is_away(
    customer: Customer,
    copy_personal_data: Callable[[], None],
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    new_order(customer)
    publish()
    head = log.head()
    copy_personal_data()
    request.getfixturevalue("primary_is_away")
    broker = ProjectionBroker("orders")
    # It would end the sessions of the test.
    monkeypatch.setattr(broker, "_pause_after", lambda _error: None)
    monkeypatch.setattr(broker, "_listening", refuse_to_listen)

    handouts = broker.dequeue() or []

    assert {name for _id, task in handouts for name in args_of(task)} == {
        "projections",
        *registered(),
    }
    follow()
    assert {row.position for row in PROJECTIONS.checkpoints()} == {head}
    assert OrderSummary.live.get().customer_name == "Robin Sample"


def refuse_to_listen() -> None:
    raise OperationalError("the primary is away")


def args_of(task: str) -> Any:
    return SignedPackage.loads(task)["args"]


def test_a_running_projection_hears_of_new_messages(customer: Customer) -> None:
    publish()
    source = StreamLog()
    with source.listening(5.0) as log_grew:
        new_order(customer)
        publish()
        assert log_grew()
    with source.listening(0.0) as log_grew:
        assert not log_grew()


# --- Nothing is skipped ------------------------------------------------------------------------
def test_a_hole_in_the_stream_stops_the_projections(
    customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish()
    read = JetStream.read
    monkeypatch.setattr(JetStream, "read", without_position(read, 2))
    new_order(customer)
    publish()

    follow()

    assert errors() == {"LogGapError"}
    assert {row.position for row in PROJECTIONS.checkpoints()} == {0}


def without_position(read: Callable[..., list[bytes]], position: int) -> Callable[..., list[bytes]]:
    def read_others(port: JetStream, after: int, limit: int) -> list[bytes]:
        return [
            body for body in read(port, after, limit) if from_json(body)["position"] != position
        ]

    return read_others


def test_a_changed_message_stops_the_projections(
    customer: Customer, subtests: pytest.Subtests
) -> None:
    new_order(customer)
    log.sequence()
    rows = feed.read_commits(after=0, until=log.last_position())
    source = StreamLog()
    source._log_id = log.identity()
    for name, change, error in (
        ("content", {"data": {**rows[-1]["data"], "quantity": 99}}, DamagedStreamError),
        ("the event before", {"previous_hash": "0" * 64}, DamagedStreamError),
        ("another log", {"log_id": str(uuid4())}, OtherLogError),
    ):
        with subtests.test(name):
            changed = [decoded(message_of(row)) for row in [*rows[:-1], rows[-1] | change]]
            with pytest.raises(error):
                source._check(0, changed)
    source._check(0, [decoded(message_of(row)) for row in rows])


def decoded(message: Message) -> Any:
    return from_json(message.body)


def test_a_commit_is_applied_when_all_of_it_is_in_the_stream(
    stream: Stream, customer: Customer
) -> None:
    """Servers without batches show the messages of a commit one by one."""
    publish()
    follow()
    before = log.head()
    new_order(customer)
    log.sequence()
    messages = [
        message_of(row) for row in feed.read_commits(after=before, until=log.last_position())
    ]
    ends = [message.position for message in messages if message.position == message.commit_end]
    port = JetStream(stream)
    port.append(messages[:-1])

    assert StreamLog().head() == ends[-2]
    follow()
    assert {row.position for row in PROJECTIONS.checkpoints()} == {ends[-2]}

    port.append(messages[-1:])
    port.close()
    follow()
    assert {row.position for row in PROJECTIONS.checkpoints()} == {ends[-1]}
    check_rows()


def test_projections_wait_for_a_stream_that_ends_before_them(
    customer: Customer, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    """A rebuild reads the primary, and may be ahead of the relay."""
    monkeypatch.setattr(site, "_PATIENCE_SECONDS", 0.0)
    publish()
    new_order(customer)
    settings.LOG_SOURCE = "primary"
    follow()
    settings.LOG_SOURCE = "nats"

    follow()

    assert errors() == {"StreamTooShortError"}
    publish()
    Projection.objects.update(leased_until=None)
    new_order(customer)
    publish()
    follow()
    assert not errors()
    check_rows()


def test_a_missing_stream_is_named(stream: Stream, caplog: pytest.LogCaptureFixture) -> None:
    for read in (lambda: StreamLog().head(), lambda: StreamLog().fingerprint(1)):
        with pytest.raises(NoStreamError, match=f"There is no stream {stream.name} to read"):
            read()
    caplog.set_level("INFO", logger="config.workers.broker")
    broker = ProjectionBroker("orders")
    assert PROJECTIONS not in broker._lease([PROJECTIONS])
    assert "There is no stream" in caplog.text


# --- Personal data -----------------------------------------------------------------------------
def test_an_erasure_reaches_the_site(
    customer: Customer, copy_personal_data: Callable[[], None], request: pytest.FixtureRequest
) -> None:
    order = new_order(customer)
    kit.dispatch(kit.cancel(order))
    publish()
    copy_personal_data()
    follow()
    assert OrderSummary.live.get().customer_name == "Robin Sample"
    kit.dispatch(EraseCustomer(user_id=kit.USER, customer_id=customer.pk, reason="Asked for it"))
    publish()
    copy_personal_data()
    request.getfixturevalue("primary_is_away")

    follow()

    assert not errors()
    assert OrderSummary.live.get().customer_name == ERASED
    assert CustomerSummary.live.get().name == ERASED


def test_personal_fields_that_have_not_arrived_are_waited_for(
    customer: Customer, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that the copy lacks may be one that was erased, or one that comes later."""
    monkeypatch.setattr(personal, "_PATIENCE_SECONDS", 0.0)
    settings.PERSONAL_DATA = "site"
    with connections["read"].cursor() as cursor:
        cursor.execute("CREATE TABLE personal_data (id uuid PRIMARY KEY, fields jsonb)")
    publish()

    with pytest.raises(PersonalDataBehindError, match="is behind the stream"):
        StreamLog().read_batch(0, 100, ALL_STREAMS)


def test_a_parked_event_is_retried_from_the_stream(
    customer: Customer,
    monkeypatch: pytest.MonkeyPatch,
    stream: Stream,
    settings: Any,
    admin_user: User,
) -> None:
    order = new_order(customer)
    publish()
    projection = registered()["order_view"]
    with monkeypatch.context() as patch:
        patch.setattr(type(projection), "apply", fail)
        tasks.run("projections", "order_view")
    monkeypatch.setattr(log.PRIMARY, "read_at", fail)
    [parked_event] = parked.blocking_events(PROJECTIONS, stream=order.stream)

    # While the stream is away, the answer says so.
    settings.STREAM = replace(stream, nats_servers=("nats://127.0.0.1:9",))
    address = f"/api/v1/parked-events/{parked_event.pk}/retry"
    client = APIClient()
    client.force_authenticate(admin_user)
    answer = client.post(address, {}, format="json")
    assert (answer.status_code, answer.json()["code"]) == (503, "log_unavailable")
    assert "can't be reached now" in answer.json()["detail"]
    settings.STREAM = stream

    [retried] = parked.retry(PROJECTIONS, parked.blocking_events(PROJECTIONS, stream=order.stream))

    assert retried.blocked_by is None
    assert OrderSummary.live.get().pk


def fail(*_arguments: Any) -> None:
    raise ValueError("no")
