"""The relay publishes the log to NATS JetStream: position N is message N, each once."""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models.functions import Now
from django.test import Client
from uuid_utils.compat import uuid4, uuid7

from config.accounts.models import User
from config.streams import Stream
from config.workers import tasks
from ordering_write import checks, log, relay, subscriptions
from ordering_write.log import feed
from ordering_write.models import Order
from ordering_write.relay import jetstream, publishing
from ordering_write.relay.errors import (
    IncompleteStreamError,
    MessageTooLargeError,
    MissingPackageError,
    OlderLogError,
    StreamBehindError,
    StreamMovedError,
    StreamUnavailableError,
)
from ordering_write.relay.jetstream import JetStream
from ordering_write.relay.models import RelayParkedEvent
from ordering_write.relay.port import Message, close, message_of, relay_port
from ordering_write.subscriptions import alarm
from ordering_write.subscriptions.checkpoint import CrashSuspicion
from tests import kit
from tests.nats_servers import NatsServers, nats_servers

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture(scope="module")
def servers() -> Iterator[NatsServers]:
    with nats_servers() as servers:
        yield servers


@pytest.fixture
def stream(servers: NatsServers, settings: Any) -> Iterator[Stream]:
    """A new stream for the relay, on a log with a product, which has two events."""
    stream = Stream(name=f"orders-{uuid4().hex}", nats_servers=servers.urls)
    settings.RELAY, settings.STREAM = "nats", stream
    kit.registered_product()
    subscriptions.ensure_checkpoints()
    yield stream
    close()


def new_order() -> Order:
    return kit.placed_order(kit.registered_customer(), (kit.registered_product(), 1))


def run_relay() -> None:
    tasks.run("relay", "nats")


def checkpoint() -> relay.RelayCheckpoint:
    return relay.RelayCheckpoint.objects.get()


def logged() -> list[tuple[int, str, str]]:
    """Return position, id and hash of each event of the log."""
    events = feed.read_log(after=0, types=(), limit=10_000).events
    return [(event.position or 0, str(event.event_id), event.hash) for event in events]


def streamed(servers: NatsServers, stream: Stream) -> list[tuple[int, str, str]]:
    """Return the same of each message of the stream, with its sequence as the position."""
    messages = servers.messages(stream.name)
    assert [message["seq"] for message in messages] == [m["position"] for m in messages]
    return [(message["seq"], message["event_id"], message["hash"]) for message in messages]


def output_of(*command: str) -> str:
    out = StringIO()
    call_command(*command, stdout=out)
    return out.getvalue()


def messages(*, after: int, until: int) -> list[Message]:
    return [message_of(event) for event in feed.read_commits(after=after, until=until)]


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


# --- Refusals ----------------------------------------------------------------------------------
def test_a_stream_of_another_log_is_refused_and_alarmed(
    servers: NatsServers, stream: Stream, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    new_order()
    log.sequence()
    other = JetStream(stream)
    other.end()
    event = feed.read_commits(after=0, until=1)[0] | {"log_id": str(uuid7())}
    other.append([message_of(event)])
    other.close()

    run_relay()

    said = (
        f"OtherLogError: The stream {stream.name} carries another log, {event['log_id']}: correct "
        "the addresses of the database and of the stream, or set RELAY_STREAM to the name of a "
        "new stream."
    )
    assert checkpoint().error == said
    assert len(servers.messages(stream.name)) == 1
    settings.PROJECTION_LAG_ALERT_SECONDS = 0
    assert alarm.look()["relay"] == {"nats"}
    assert "Relay nats is late: 8 events, " in caplog.text
    assert f" behind the log (limit 0). {said}" in caplog.text
    with pytest.raises(CommandError, match="carries another log"):
        output_of("relay")


def test_a_log_of_an_older_backup_is_refused(servers: NatsServers, stream: Stream) -> None:
    new_order()
    log.sequence()
    newer = feed.read_commits(after=0, until=log.last_position())
    following = {"position": len(newer) + 1, "commit_end": len(newer) + 1}
    lost = newer[-1] | following | {"event_id": str(uuid7())}
    port = JetStream(stream)
    port.end()
    port.append([message_of(event) for event in [*newer, lost]])
    port.close()
    said = (
        f"The event at position {lost['position']} of the stream {stream.name} isn't in the log, "
        "which was restored from an older backup"
    )

    with pytest.raises(CommandError, match=said):
        output_of("relay")
    new_order()
    run_relay()

    assert checkpoint().error.startswith(f"OlderLogError: {said}")
    assert len(servers.messages(stream.name)) == lost["position"]
    with pytest.raises(OlderLogError):
        publishing.checked_end(relay_port(), stream.name)


def test_a_stream_that_has_lost_messages_is_refused(servers: NatsServers, stream: Stream) -> None:
    port = JetStream(stream)
    servers.ask(
        f"STREAM.CREATE.{stream.name}",
        {**port._configuration(), "deny_delete": False, "deny_purge": False},
    )
    port.close()
    run_relay()
    servers.ask(f"STREAM.MSG.DELETE.{stream.name}", {"seq": 1})
    forget_connection()
    new_order()

    run_relay()

    assert checkpoint().error.startswith(
        f"IncompleteStreamError: Messages were removed from the stream {stream.name}"
    )
    with pytest.raises(IncompleteStreamError):
        relay_port().end()


def test_messages_of_our_streams_can_not_be_removed(servers: NatsServers, stream: Stream) -> None:
    run_relay()

    deleted = servers.ask(f"STREAM.MSG.DELETE.{stream.name}", {"seq": 1})
    purged = servers.ask(f"STREAM.PURGE.{stream.name}")

    assert "error" in deleted
    assert "error" in purged
    assert streamed(servers, stream) == logged()


def test_a_message_that_is_too_large_is_named(stream: Stream) -> None:
    port = relay_port()
    [message] = messages(after=0, until=1)[:1] if log.sequence() else []

    with pytest.raises(
        MessageTooLargeError,
        match=r"position 1 has 2,000,000 bytes, and the servers take 1,048,576",
    ):
        port.append([message._replace(body=b" " * 2_000_000)])


def test_servers_that_can_not_be_reached_make_the_relay_fail_until_they_answer(
    servers: NatsServers, stream: Stream, settings: Any
) -> None:
    settings.STREAM = replace(stream, nats_servers=("nats://127.0.0.1:9",))

    run_relay()

    assert checkpoint().error.startswith(
        "StreamUnavailableError: The stream can't be reached now: "
    )
    [status] = relay.SUBSCRIPTION.statuses()
    assert status.failed
    with pytest.raises(CommandError, match="can't be reached now"):
        output_of("relay")
    settings.STREAM = stream
    relay.RelayCheckpoint.objects.update(leased_until=None)
    run_relay()
    assert streamed(servers, stream) == logged()
    assert not checkpoint().error


def test_a_server_that_is_away_is_passed_by(
    servers: NatsServers, stream: Stream, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jetstream.random, "sample", lambda addresses, _count: list(addresses))
    settings.STREAM = replace(stream, nats_servers=("nats://127.0.0.1:9", *servers.urls))

    run_relay()

    assert streamed(servers, stream) == logged()
    assert not checkpoint().error


# --- The command, the page, and no relay --------------------------------------------------------
def test_the_command_publishes_and_shows_the_ends(
    servers: NatsServers, stream: Stream, settings: Any
) -> None:
    # As after a migration without a relay.
    relay.RelayCheckpoint.objects.all().delete()
    assert output_of("relay").startswith(
        f"The stream {stream.name} on nats ends at 0; the log at 2. The relay is at 0, "
    )

    assert output_of("relay", "--once") == (
        "2 events were published.\n"
        f"The stream {stream.name} on nats ends at 2; the log at 2. The relay is at 2, 0.0 s "
        "behind the log.\n"
    )
    relay.RelayCheckpoint.objects.update(error="OlderLogError: no", failed_at=Now())
    with pytest.raises(CommandError, match="The relay has failed: OlderLogError: no"):
        output_of("relay")
    settings.RELAY = ""
    with pytest.raises(CommandError, match="No relay is chosen: set RELAY"):
        output_of("relay")


def test_the_page_system_shows_the_relay(stream: Stream, client: Client, admin_user: User) -> None:
    run_relay()
    client.force_login(admin_user)

    page = client.get("/admin/system/").content.decode()

    assert "Relay nats" in page


def test_without_a_relay_nothing_follows_the_log(settings: Any) -> None:
    settings.RELAY = ""
    with connection.execute_wrapper(refuse_statements):
        assert relay.SUBSCRIPTION.statuses() == []
        assert relay.SUBSCRIPTION.lease(head=1) == ({}, {}, True)
        assert relay.SUBSCRIPTION.run(*relay.SUBSCRIPTION.names()) == 0


def refuse_statements(_execute: Any, sql: str, *_rest: Any) -> Any:
    raise AssertionError(sql)


def test_settings_that_can_not_work_are_told_at_the_start(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert checks.check_relay() == []
    settings.RELAY, settings.PERSONAL_DATA = "kafka", "site"
    monkeypatch.setattr(checks, "find_spec", lambda _package: None)

    assert [message.msg for message in checks.check_relay()] == [
        "RELAY or LOG_SOURCE names kafka, and its package isn't installed.",
        "PERSONAL_DATA=site has no effect without LOG_SOURCE=nats.",
    ]


def test_a_missing_package_is_named(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ordering_write.relay.jetstream", None)
    close()

    with pytest.raises(MissingPackageError, match=r"pip install -r requirements-relay\.txt"):
        relay_port()
