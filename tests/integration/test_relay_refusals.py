"""A relay refuses a stream, and says why: by the alarm, the command and the page System."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models.functions import Now
from django.test import Client
from uuid_utils.compat import uuid7

from config.accounts.models import User
from config.streams import Stream
from ordering_write import checks, log, relay
from ordering_write.log import feed
from ordering_write.relay import jetstream, publishing
from ordering_write.relay.errors import (
    IncompleteStreamError,
    MessageTooLargeError,
    MissingPackageError,
    OlderLogError,
)
from ordering_write.relay.jetstream import JetStream
from ordering_write.relay.port import close, message_of, relay_port
from ordering_write.subscriptions import alarm
from tests.kit_relay import checkpoint, logged, messages, new_order, new_stream, run_relay, streamed
from tests.nats_servers import NatsServers

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture
def stream(servers: NatsServers, settings: Any) -> Iterator[Stream]:
    yield new_stream(servers, settings)
    close()


def output_of(*command: str) -> str:
    out = StringIO()
    call_command(*command, stdout=out)
    return out.getvalue()


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
    close()
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
        "PERSONAL_DATA=site has no effect without LOG_SOURCE=nats or kafka.",
    ]


def test_a_missing_package_is_named(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ordering_write.relay.jetstream", None)
    close()

    with pytest.raises(MissingPackageError, match=r"pip install -r requirements-relay\.txt"):
        relay_port()
