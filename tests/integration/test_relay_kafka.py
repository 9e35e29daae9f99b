"""The relay publishes the log to Kafka: each event once, in order, whole commits in transactions.

The brokers are librdkafka's mock cluster, or real ones at KAFKA_URL. The mock shuts no former
producer out, which the tests of a real cluster show.
"""

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from pydantic_core import from_json
from uuid_utils.compat import uuid4, uuid7

from config.streams import Stream
from config.workers import tasks
from ordering_read.engine.rebuild import rebuild
from ordering_read.engine.verify import verify
from ordering_write import log, relay, subscriptions
from ordering_write.log import ALL_STREAMS, feed
from ordering_write.relay import kafka_reading, publishing
from ordering_write.relay.errors import (
    MessageTooLargeError,
    NoTopicError,
    OtherLogError,
    StreamMovedError,
    StreamUnavailableError,
)
from ordering_write.relay.kafka import KafkaStream
from ordering_write.relay.kafka_reading import KafkaReader
from ordering_write.relay.port import Message, close, message_of, relay_port
from ordering_write.relay.site import StreamLog
from tests import kit
from tests.kit_relay import checkpoint, logged, messages, new_order

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture(scope="module")
def brokers() -> Producer:
    """A producer, whose cluster has topics."""
    address = os.environ.get("KAFKA_URL")
    options = {"bootstrap.servers": address} if address else {"test.mock.num.brokers": "3"}
    return Producer({**options, "log_level": "0"})


@pytest.fixture
def topic(brokers: Producer, settings: Any) -> Iterator[Stream]:
    """A new topic for the relay, on a log with a product, which has two events."""
    name = f"orders-{uuid4().hex}"
    members = brokers.list_topics(timeout=10).brokers.values()
    servers = tuple(f"{broker.host}:{broker.port}" for broker in members)
    if os.environ.get("KAFKA_URL"):
        creations = AdminClient({"bootstrap.servers": ",".join(servers)}).create_topics(
            [NewTopic(name, 1, 1, config={"retention.ms": "-1"})]
        )
        creations[name].result()
    else:
        # The mock makes a topic when somebody asks for it.
        brokers.list_topics(name, timeout=10)
    topic = Stream(name=name, kafka_servers=servers, kafka_options={"log_level": "0"})
    settings.RELAY, settings.STREAM = "kafka", topic
    kit.registered_product()
    subscriptions.ensure_checkpoints()
    yield topic
    close()


def run_relay() -> None:
    tasks.run("relay", "kafka")


def published(topic: Stream) -> list[tuple[int, str, str]]:
    """Return position, id and hash of each message, whose key and header are the position."""
    consumer = Consumer(
        {
            "bootstrap.servers": ",".join(topic.kafka_servers),
            "group.id": "test",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "log_level": "0",
        }
    )
    consumer.assign([TopicPartition(topic.name, 0, 0)])
    found = []
    while (message := consumer.poll(30.0)) and message.error() is None:
        event = from_json(message.value() or b"")
        assert (message.key() or b"").decode() == str(event["position"])
        assert dict(message.headers() or [])["position"] == str(event["position"]).encode()
        found.append((event["position"], event["event_id"], event["hash"]))
    consumer.close()
    return found


def test_the_topic_has_each_event_once(topic: Stream) -> None:
    new_order()
    run_relay()
    new_order()
    run_relay()

    assert not checkpoint().error
    assert published(topic) == logged()
    assert checkpoint().position == log.head()


def test_a_relay_that_has_lost_its_position_goes_on_at_the_end_of_the_topic(topic: Stream) -> None:
    new_order()
    run_relay()
    relay.RelayCheckpoint.objects.update(position=0, event_id=None, log_id=None)
    close()
    new_order()

    run_relay()

    assert published(topic) == logged()


def test_events_whose_commit_was_not_confirmed_are_published_once(
    topic: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish = KafkaStream._publish
    lost: list[int] = []

    def publish_without_answer(port: KafkaStream, producer: Producer, batch: list[Message]) -> None:
        publish(port, producer, batch)
        if not lost:
            lost.append(batch[-1].position)
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))

    monkeypatch.setattr(KafkaStream, "_publish", publish_without_answer)
    new_order()

    run_relay()

    assert lost
    assert published(topic) == logged()


def test_messages_that_do_not_follow_the_end_are_refused(topic: Stream) -> None:
    new_order()
    log.sequence()
    port = relay_port()
    with pytest.raises(StreamUnavailableError, match="the connection was lost"):
        port.append(messages(after=0, until=1))
    assert port.end().position == 0

    with pytest.raises(StreamMovedError, match="ends at 0"):
        port.append(messages(after=1, until=2))
    port.append(messages(after=0, until=2))
    with pytest.raises(StreamMovedError, match="ends at 2"):
        port.append(messages(after=0, until=2))

    assert port.end().position == 2


def test_a_producer_that_was_shut_out_reads_the_end_and_goes_on(
    topic: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish = KafkaStream._publish
    refused: list[int] = []

    def publish_when_let_in(port: KafkaStream, producer: Producer, batch: list[Message]) -> None:
        if not refused:
            refused.append(batch[0].position)
            raise KafkaException(KafkaError(KafkaError._FENCED, "Shut out", True))
        publish(port, producer, batch)

    monkeypatch.setattr(KafkaStream, "_publish", publish_when_let_in)
    new_order()

    run_relay()

    assert refused
    assert published(topic) == logged()
    assert not checkpoint().error


def test_a_topic_of_another_log_is_refused(topic: Stream) -> None:
    log.sequence()
    other = KafkaStream(topic)
    other.end()
    event = feed.read_commits(after=0, until=1)[0] | {"log_id": str(uuid7())}
    other.append([message_of(event)])
    other.close()

    run_relay()

    assert checkpoint().error.startswith("OtherLogError: ")
    assert len(published(topic)) == 1
    with pytest.raises(OtherLogError):
        publishing.checked_end(relay_port(), topic.name)


def test_faults_of_brokers_and_topics_are_named(topic: Stream, subtests: pytest.Subtests) -> None:
    log.sequence()
    [message] = messages(after=0, until=1)[:1]
    with subtests.test("no topic"):
        port = KafkaStream(replace(topic, name="nowhere"))
        with pytest.raises(NoTopicError, match="There is no topic nowhere: create it with one"):
            port.end()
    with subtests.test("no broker"):
        port = KafkaStream(replace(topic, kafka_servers=("127.0.0.1:9",)))
        with pytest.raises(StreamUnavailableError, match="can't be reached now"):
            port.end()
    with subtests.test("too large"):
        port = KafkaStream(topic)
        port.end()
        with pytest.raises(MessageTooLargeError, match=r"has 2,000,000 bytes, .* take 1,000,000"):
            port.append([message._replace(body=b" " * 2_000_000)])


# --- Sites that read the topic -----------------------------------------------------------------
def test_a_site_reads_from_the_topic_what_the_log_has(
    topic: Stream, settings: Any, subtests: pytest.Subtests
) -> None:
    orders = []
    # The mark of each transaction takes an offset.
    for _ in range(3):
        orders.append(new_order())
        run_relay()
    settings.LOG_SOURCE = "kafka"
    source, head = StreamLog(), log.head()

    assert (source.head(), source.identity()) == (head, log.identity())
    assert source.read_batch(head, 100, ALL_STREAMS) is None
    # Backwards, each position is looked for; forwards, the reader goes on.
    for positions in (range(head - 1, -1, -1), range(head)):
        for after in positions:
            with subtests.test("batch", after=after):
                batch = source.read_batch(after, 2, ALL_STREAMS)
                assert batch == log.read_batch(after, 2)
    assert source.fingerprint(head) == log.fingerprint(head)
    assert source.read_at([4, 2]) == log.read_at([4, 2])
    names = [order.stream for order in orders[1:]]
    assert source.read_streams(names) == log.read_streams(names)
    with source.listening(5.0) as log_grew:
        new_order()
        run_relay()
        assert log_grew()
        assert source.read_batch(head, 100, ALL_STREAMS) == log.read_batch(head, 100)


def test_a_site_follows_the_topic_and_is_rebuilt_from_it(topic: Stream, settings: Any) -> None:
    new_order()
    run_relay()
    settings.LOG_SOURCE = "kafka"

    tasks.run("projections", "order_view", "sales_by_day")

    for name in ("order_view", "sales_by_day"):
        rebuilt = rebuild(name, batch=7)
        assert rebuilt.generation.position == log.head()
        assert not [table.keys for table in rebuilt.compared if table.differing]
        assert not rebuilt.not_compared
        assert not [table.keys for table in verify(name).tables if table.keys]


def test_a_site_refuses_a_topic_that_is_not_the_log(
    topic: Stream, settings: Any, subtests: pytest.Subtests
) -> None:
    new_order()
    log.sequence()
    settings.LOG_SOURCE = "kafka"
    first, second, third = feed.read_commits(after=0, until=log.head())[:3]
    for name, events, error, text in (
        ("a hole", [first, third], log.LogGapError, "Position 2 of the stream is missing"),
        ("a repeat", [first, second, second], log.LogGapError, "Position 3 of the stream is miss"),
        ("another log", [first, second, third | {"log_id": str(uuid7())}], OtherLogError, "log"),
        ("removed", [second, third], log.LogGapError, "Position 1 of the stream is missing"),
    ):
        with subtests.test(name):
            copy = replace(topic, name=f"orders-{uuid4().hex}")
            store(copy, [message_of(event) for event in events])
            settings.STREAM = copy
            with pytest.raises(error, match=text):
                StreamLog().read_batch(0, 3, ALL_STREAMS)


def store(topic: Stream, batch: list[Message]) -> None:
    """Store messages as nobody but a faulty program does."""
    options = {"bootstrap.servers": ",".join(topic.kafka_servers), "log_level": "0"}
    producer = Producer(options)
    for message in batch:
        producer.produce(topic.name, message.body, str(message.position), partition=0)
    assert producer.flush(10) == 0


def test_a_site_names_a_missing_topic_and_brokers_that_are_away(
    topic: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NoTopicError, match="There is no topic nowhere"):
        KafkaReader(replace(topic, name="nowhere")).last()
    monkeypatch.setattr(kafka_reading, "SECONDS", 0.1)
    with pytest.raises(StreamUnavailableError, match="can't be reached now"):
        KafkaReader(replace(topic, kafka_servers=("127.0.0.1:9",))).read(0, 1)
