"""Three NATS servers and two relays, any of which may be killed: the stream is the log."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from functools import partial
from multiprocessing.process import BaseProcess
from typing import Any

import psycopg
import pytest
from django.conf import settings as django_settings
from django.db import connection, connections

from config.processes import die_with_parent
from config.streams import Stream
from ordering_write import log, relay
from ordering_write.relay import StreamError, publishing
from ordering_write.relay.jetstream import JetStream
from tests.acceptance.service import wait_until
from tests.benchmarks.log import make_log
from tests.nats_servers import NatsServers, nats_servers
from tests.proof import size

_ORDERS = size(250, full=25_000)
_LEADERS = size(1, full=2)
# Events of one publication: few, so that many of them are interrupted.
_EVENTS = size(5, full=100)


@pytest.mark.proof
def test_the_stream_is_the_log_though_leaders_and_relays_are_killed(
    committed: None, settings: Any
) -> None:
    with nats_servers(3) as servers:
        settings.STREAM = Stream(name="killed", nats_servers=servers.urls, replicas=3)
        settings.RELAY, settings.PROJECTION_BATCH = "nats", _EVENTS
        events = make_events()
        relays = [start(follow_as_subscriber), start(follow_without_lease)]
        for number in range(_LEADERS):
            share = (number + 1) * events // (_LEADERS + 1)
            wait_until(partial(has_reached, servers, share), missing="nothing is published")
            leader = wait_until(lambda: leader_of(servers))
            servers.kill(leader - 1)
            for index, follow in enumerate((follow_as_subscriber, follow_without_lease)):
                kill(relays[index])
                relays[index] = start(follow)
            servers.start(leader - 1)
            wait_until(lambda: are_level(servers), missing="a server doesn't catch up")
        wait_until(lambda: end_of(servers) == events, missing="the relays don't come to the end")
        for process in relays:
            kill(process)

        messages = servers.messages("killed")

    assert [message["seq"] for message in messages] == list(range(1, events + 1))
    assert [(message["event_id"], message["hash"]) for message in messages] == logged()


def make_events() -> int:
    """Write a log, whose hashes are made up; return its number of events."""
    parameters = connection.get_connection_params()
    names = ("host", "port", "user", "password", "dbname")
    address = {name: parameters[name] for name in names if parameters.get(name)}
    with psycopg.connect(**address, autocommit=True) as session:
        events = make_log(session, _ORDERS)
        session.execute("SET session_replication_role = replica")
        session.execute("UPDATE event SET hash = encode(sha256(event_id::text::bytea), 'hex')")
    relay.SUBSCRIPTION.ensure_checkpoints()
    return events


def logged() -> list[tuple[str, str]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT event.event_id::text, hash FROM event_position"
            " JOIN event ON event.id = event_position.event_id ORDER BY position"
        )
        return list(cursor.fetchall())


def follow_as_subscriber() -> None:
    """Run the relay as a worker does, but take the lease of a killed one at once."""
    while True:
        relay.RelayCheckpoint.objects.update(leased_until=None)
        relay.SUBSCRIPTION.run("nats")


def follow_without_lease() -> None:
    """Publish at the end of the stream, like a relay that has lost its lease and doesn't know."""
    port, name, last = JetStream(django_settings.STREAM), "killed", log.last_position()
    while True:
        try:
            end = publishing.checked_end(port, name).position
            if end < last:
                publishing.publish(port, name, after=end, until=min(end + _EVENTS, last))
        except StreamError:
            continue


def start(follow: Callable[[], None]) -> BaseProcess:
    """Run ``follow`` in a process of its own."""
    parent = os.getpid()
    # A child must not close the sessions of this process.
    connections.close_all()

    def run() -> None:
        die_with_parent(parent)
        follow()

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    return process


def kill(process: BaseProcess) -> None:
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()


def end_of(servers: NatsServers) -> int:
    info = servers.ask("STREAM.INFO.killed")
    end: int = info.get("state", {}).get("last_seq", 0)
    return end


def has_reached(servers: NatsServers, position: int) -> bool:
    return end_of(servers) >= position


def leader_of(servers: NatsServers) -> int:
    """Return the number of the leader, from 1 on; 0 without a leader."""
    leader = servers.leader("killed")
    return 0 if leader is None else leader + 1


def are_level(servers: NatsServers) -> bool:
    cluster = servers.ask("STREAM.INFO.killed").get("cluster", {})
    replicas = cluster.get("replicas", [])
    return len(replicas) == 2 and all(
        replica["current"] and not replica.get("offline") for replica in replicas
    )
