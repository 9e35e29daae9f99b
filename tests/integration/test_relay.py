"""The relay publishes the log to NATS JetStream: position N is message N, each once."""

import json
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from config.streams import Stream
from ordering_write import log, relay
from ordering_write.log import feed
from ordering_write.relay import publishing
from ordering_write.relay.errors import (
    StreamBehindError,
    StreamMovedError,
    StreamUnavailableError,
)
from ordering_write.relay.jetstream import JetStream
from ordering_write.relay.models import RelayParkedEvent
from ordering_write.relay.port import Message, close, relay_port
from ordering_write.subscriptions.checkpoint import CrashSuspicion
from tests import kit
from tests.kit_relay import checkpoint, logged, messages, new_order, new_stream, run_relay, streamed
from tests.nats_servers import NatsServers

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture
def stream(servers: NatsServers, settings: Any) -> Iterator[Stream]:
    yield new_stream(servers, settings)
    close()


def forget_connection() -> None:
    """Let the relay behave as a new process."""
    close()


# --- Publication -------------------------------------------------------------------------------
def test_the_stream_has_each_event_once_as_the_feed_shows_it(
    servers: NatsServers, stream: Stream
) -> None:
    new_order()
    run_relay()
    new_order()
    run_relay()

    assert streamed(servers, stream) == logged()
    assert checkpoint().position == log.head()
    published = servers.messages(stream.name)
    in_feed = feed.read_log(after=0, types=(), limit=100).events
    for message, event in zip(published, in_feed, strict=True):
        shown = json.loads(event.model_dump_json(exclude={"personal"}))
        assert {name: message[name] for name in shown} == shown
        assert message["log_id"] == str(log.identity())
        assert message["subject"].endswith(f".{event.type}")
    by_stream: dict[str, str] = {}
    for message in published:
        assert message["previous_hash"] == by_stream.get(message["stream"], "")
        by_stream[message["stream"]] = message["hash"]


def test_a_commit_is_published_in_one_transaction(servers: NatsServers, stream: Stream) -> None:
    new_order()
    run_relay()

    published = servers.messages(stream.name)
    ends = {message["commit_id"]: message["position"] for message in published}
    for message in published:
        assert message["commit_end"] == ends[message["commit_id"]]
    assert len({message["headers"]["Nats-Batch-Id"] for message in published}) == 1


def test_batches_end_with_a_commit_unless_it_is_larger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "BATCH", 3)
    ends = [1, 3, 3, 5, 5, 10, 10, 10, 10, 10]
    cut = [
        Message(number, end, "order-1", "OrderCreated", b"")
        for number, end in enumerate(ends, start=1)
    ]

    sizes = [[message.position for message in batch] for batch in publishing._batches(cut)]

    assert sizes == [[1, 2, 3], [4, 5], [6, 7, 8], [9, 10]]


def test_servers_without_batches_get_single_messages(servers: NatsServers, stream: Stream) -> None:
    """A stream of an older server has no atomic batches."""
    port = JetStream(stream)
    servers.ask(
        f"STREAM.CREATE.{stream.name}",
        {**port._configuration(), "allow_atomic": False},
    )
    port.close()
    new_order()

    run_relay()

    assert streamed(servers, stream) == logged()
    assert not any("Nats-Batch-Id" in m["headers"] for m in servers.messages(stream.name))


def test_messages_have_ids_and_digests_of_personal_fields_only(
    servers: NatsServers, stream: Stream
) -> None:
    customer = kit.registered_customer("Robin Sample", email="robin@example.com")
    kit.placed_order(customer, (kit.registered_product(), 1), note="Ring twice")

    run_relay()

    published = servers.messages(stream.name)
    texts = "".join(message["text"] for message in published)
    for personal in ("Robin Sample", "robin@example.com", "Ring twice", kit.ADDRESS["line1"]):
        assert personal not in texts
    registered = next(m for m in published if m["type"] == "CustomerRegistered")
    assert registered["personal_id"]
    assert len(registered["personal_digest"]) == 64


# --- Repeats, gaps and two relays --------------------------------------------------------------
def test_a_relay_that_has_lost_its_position_goes_on_at_the_end_of_the_stream(
    servers: NatsServers, stream: Stream
) -> None:
    new_order()
    run_relay()
    relay.RelayCheckpoint.objects.update(position=0, event_id=None, log_id=None)
    forget_connection()
    new_order()

    run_relay()

    assert streamed(servers, stream) == logged()
    assert checkpoint().position == log.head()


def test_events_whose_publication_was_not_confirmed_are_published_once(
    servers: NatsServers, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = JetStream.append
    lost: list[int] = []

    def append_without_answer(port: JetStream, batch: Sequence[Message]) -> None:
        append(port, batch)
        if not lost:
            lost.append(batch[-1].position)
            raise StreamUnavailableError("no answer came in time")

    monkeypatch.setattr(JetStream, "append", append_without_answer)
    new_order()

    run_relay()

    assert lost
    assert streamed(servers, stream) == logged()
    assert not checkpoint().error


def test_two_relays_at_once_publish_each_event_once(servers: NatsServers, stream: Stream) -> None:
    new_order()
    log.sequence()
    end = log.last_position()
    first, second = JetStream(stream), JetStream(stream)
    assert first.end() == second.end() == (0, None, None)

    first.append(messages(after=0, until=2))
    with pytest.raises(StreamMovedError, match="wrong last sequence: 2"):
        second.append(messages(after=0, until=2))
    publishing.publish(second, stream.name, after=0, until=end)
    publishing.publish(first, stream.name, after=2, until=end)

    assert streamed(servers, stream) == logged()
    first.close()
    second.close()


def test_a_gap_is_refused_by_the_servers_and_filled_by_the_next_run(
    servers: NatsServers, stream: Stream
) -> None:
    new_order()
    run_relay()
    servers.ask(f"STREAM.DELETE.{stream.name}")
    new_order()

    run_relay()
    assert (
        "StreamUnavailableError" in checkpoint().error or "StreamBehindError" in checkpoint().error
    )
    relay.RelayCheckpoint.objects.update(leased_until=None)
    run_relay()

    assert streamed(servers, stream) == logged()
    assert not checkpoint().error
    with pytest.raises(StreamBehindError, match=f"The stream ends at {log.head()}, before"):
        publishing._missing(
            [replace_position(message, 50) for message in messages(after=0, until=1)],
            relay_port(),
            stream.name,
        )


def replace_position(message: Message, by: int) -> Message:
    return message._replace(position=message.position + by)


def test_a_relay_that_is_killed_again_and_again_parks_nothing(
    servers: NatsServers, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        """Stands for the end of the process: no code of the runner runs after it."""

    append = JetStream.append

    def append_and_die(port: JetStream, batch: Sequence[Message]) -> None:
        append(port, batch)
        raise Killed

    new_order()
    with monkeypatch.context() as patch:
        patch.setattr(JetStream, "append", append_and_die)
        for _ in range(2):
            relay.SUBSCRIPTION.lease()
            with pytest.raises(Killed):
                run_relay()
            forget_connection()
            relay.RelayCheckpoint.objects.update(
                leased_until=Now() - timedelta(milliseconds=1), position=0, event_id=None
            )
            new_order()
    relay.SUBSCRIPTION.lease()
    assert checkpoint().crash_suspicion == CrashSuspicion.CONFIRMED

    run_relay()

    assert streamed(servers, stream) == logged()
    assert not checkpoint().parked_streams
    assert not RelayParkedEvent.objects.exists()
