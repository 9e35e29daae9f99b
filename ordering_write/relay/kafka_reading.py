"""Reads the topic of the relay by positions.

Offsets aren't positions, since Kafka counts the marks of transactions among them. But both grow
together, so a position is found by bisection once; after that a reader goes on from its offset.
"""

import logging
from collections.abc import Callable
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from pydantic_core import to_json

from config.streams import Stream
from ordering_write.relay.errors import (
    IncompleteStreamError,
    NoTopicError,
    StreamUnavailableError,
)

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

# Seconds for each step of a call: three of them are shorter than a transaction may be idle.
SECONDS = 3.0
PARTITION = 0
# Offsets before the end in which a message is looked for; marks of transactions are among them.
_OFFSETS = 16
_WAIT_MILLISECONDS = 20
# Messages of one read that are looked through for those of a stream.
_READ_AT_ONCE = 1_000


class KafkaReader:
    """A consumer, which is connected by the first call. It sees committed messages only."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._consumer: Consumer | None = None
        # The last message that was read was at this position, and the next one is sought from this
        # offset on.
        self._position, self._offset = 0, 0
        # True if the consumer goes on from there.
        self._goes_on = False
        # The end of the topic, and its last message.
        self._end = 0
        self._last_message: bytes | None = None

    def read(self, after: int, limit: int) -> list[bytes]:
        """Return up to ``limit`` messages after a position. Raises NoTopicError."""
        return self._call(lambda consumer: self._read(consumer, after, limit))

    def read_bucket(self, stream: str, *, after: int) -> list[bytes]:
        """Return the next messages after a position that are of ``stream``, or look like it.

        An empty list says that there are no more. A topic has no index, so all messages after the
        position are read.
        """
        name = to_json({"stream": stream})[1:-1]
        while bodies := self.read(after, _READ_AT_ONCE):
            if found := [body for body in bodies if name in body]:
                return found
            after = self._position
        return []

    def last(self) -> bytes | None:
        """Return the last message; None if the topic is empty.

        Raises NoTopicError, and IncompleteStreamError if messages were removed.
        """
        return self._call(self._last)

    def close(self) -> None:
        consumer, self._consumer = self._consumer, None
        self._goes_on = False
        if consumer is not None:
            consumer.close()

    # --- Connection ----------------------------------------------------------------------------
    def _call(self, read: Callable[[Consumer], Result]) -> Result:
        try:
            if self._consumer is None:
                self._consumer = self._new_consumer()
            return read(self._consumer)
        except KafkaException as error:
            self.close()
            raise StreamUnavailableError(reason(error)) from error

    def _new_consumer(self) -> Consumer:
        options = {
            "group.id": f"{self._stream.name}-relay",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            # An answer that waits for messages would delay the next place to read.
            "fetch.wait.max.ms": _WAIT_MILLISECONDS,
        }
        consumer = Consumer({**client_options(self._stream), **options}, logger=logger)
        if self._stream.name not in consumer.list_topics(timeout=SECONDS).topics:
            raise NoTopicError(self._stream.name)
        return consumer

    # --- Messages ------------------------------------------------------------------------------
    def _read(self, consumer: Consumer, after: int, limit: int) -> list[bytes]:
        if self._position != after:
            self._offset, self._position = self._offset_after(consumer, after), after
            self._goes_on = False
        if not self._goes_on:
            self._assign(consumer, self._offset)
        bodies: list[bytes] = []
        # At the end of the topic the consumer says so once.
        self._goes_on = True
        while self._goes_on and len(bodies) < limit:
            message = _next(consumer)
            if message is None:
                # Else the consumer would ask the brokers all the time.
                consumer.unassign()
                self._goes_on = False
                break
            bodies.append(message.value() or b"")
            self._position, self._offset = _position(message), _offset(message) + 1
        return bodies

    def _offset_after(self, consumer: Consumer, after: int) -> int:
        """Return the offset from which the first message has a position after ``after``."""
        # Each message before it has an offset of its own.
        low = after
        if after >= self._position:
            low = max(low, self._offset + after - self._position)
        high = max(low, self._watermarks(consumer)[1])
        offset = low
        while low < high:
            self._assign(consumer, offset)
            message = _next(consumer)
            if message is None or _position(message) > after:
                high = offset
            else:
                low = _offset(message) + 1
            offset = (low + high) // 2
        return high

    def _last(self, consumer: Consumer) -> bytes | None:
        first, end = self._watermarks(consumer)
        if first > 0:
            raise IncompleteStreamError(self._stream.name)
        if end != self._end:
            self._last_message, self._end = self._last_before(consumer, end), end
        return self._last_message

    def _last_before(self, consumer: Consumer, end: int) -> bytes | None:
        self._goes_on = False
        offset = end
        while offset > 0:
            offset = max(0, offset - _OFFSETS)
            self._assign(consumer, offset)
            # There may be marks only.
            last = None
            while message := _next(consumer):
                last = message
            if last is not None:
                return last.value()
        return None

    def _watermarks(self, consumer: Consumer) -> tuple[int, int]:
        partition = TopicPartition(self._stream.name, PARTITION)
        first, end = consumer.get_watermark_offsets(partition, timeout=SECONDS)
        return first, end

    def _assign(self, consumer: Consumer, offset: int) -> None:
        consumer.assign([TopicPartition(self._stream.name, PARTITION, offset)])


def client_options(stream: Stream) -> dict[str, Any]:
    """Return the options of each client of the brokers."""
    return {"bootstrap.servers": ",".join(stream.kafka_servers), **stream.kafka_options}


def reason(error: Exception) -> str:
    """Return why a call to the brokers has failed."""
    fault = error.args[0]
    return fault.str() if isinstance(fault, KafkaError) else str(error)


def _next(consumer: Consumer) -> Message | None:
    """Return the next message; None at the end of the topic. Raises KafkaException."""
    message = consumer.poll(SECONDS)
    if message is None:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
    error = message.error()
    if error is None:
        return message
    if error.code() == KafkaError._PARTITION_EOF:
        return None
    raise KafkaException(error)


def _position(message: Message) -> int:
    return int(message.key() or b"0")


def _offset(message: Message) -> int:
    offset = message.offset()
    return 0 if offset is None else offset
