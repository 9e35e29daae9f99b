"""A relay on a new stream, the log, and what the stream has of it."""

from typing import Any

from uuid_utils.compat import uuid4

from config.streams import Stream
from config.workers import tasks
from ordering_write import relay, subscriptions
from ordering_write.log import feed
from ordering_write.models import Order
from ordering_write.relay.port import Message, message_of
from tests import kit
from tests.nats_servers import NatsServers


def new_stream(servers: NatsServers, settings: Any) -> Stream:
    """Let the relay publish to a new stream; the log has a product, with two events."""
    stream = Stream(name=f"orders-{uuid4().hex}", nats_servers=servers.urls)
    settings.RELAY, settings.STREAM = "nats", stream
    kit.registered_product()
    subscriptions.ensure_checkpoints()
    return stream


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


def messages(*, after: int, until: int) -> list[Message]:
    return [message_of(event) for event in feed.read_commits(after=after, until=until)]
