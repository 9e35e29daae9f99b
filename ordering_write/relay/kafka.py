"""The stream on Kafka: one partition of a topic, with the position of an event as key and header.

Kafka counts the marks of transactions among its offsets, so offsets aren't positions. The relay
publishes by an idempotent transactional producer. A new producer ends the transactions of the
former one and shuts it out; then the last message says where to go on.
"""

import logging
from collections.abc import Sequence

from confluent_kafka import KafkaError, KafkaException, Producer

from config.streams import Stream
from ordering_write.relay.errors import (
    MessageTooLargeError,
    NoTopicError,
    StreamMovedError,
    StreamUnavailableError,
)
from ordering_write.relay.kafka_reading import (
    PARTITION,
    SECONDS,
    KafkaReader,
    client_options,
    reason,
)
from ordering_write.relay.port import Message, StreamEnd, end_of

logger = logging.getLogger(__name__)

# The largest message that the client sends without an option.
_MOST_BYTES = 1_000_000
# Another producer of the same transactional id has begun.
_SHUT_OUT = {
    KafkaError._FENCED,
    KafkaError.PRODUCER_FENCED,
    KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError.INVALID_PRODUCER_ID_MAPPING,
}


class KafkaStream:
    """A producer, and the position up to which the topic has the log."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._producer: Producer | None = None
        self._last = 0

    def end(self) -> StreamEnd:
        try:
            if self._producer is None:
                self._producer = self._new_producer()
            end = self._read_end()
        except KafkaException as error:
            self.close()
            raise StreamUnavailableError(reason(error)) from error
        self._last = end.position
        return end

    def append(self, messages: Sequence[Message]) -> None:
        if self._producer is None:
            # ``end`` connects, and finds out what the topic has.
            raise StreamUnavailableError("the connection was lost")
        if messages[0].position != self._last + 1:
            raise StreamMovedError(f"The topic {self._stream.name} ends at {self._last}.")
        try:
            self._publish(self._producer, messages)
        except (KafkaException, BufferError) as error:
            # Nobody knows whether the transaction was committed: the next producer ends it.
            self.close()
            raise self._failure(error, messages) from error
        self._last = messages[-1].position

    def close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.purge()

    def _new_producer(self) -> Producer:
        options = {"transactional.id": f"{self._stream.name}-relay", "enable.idempotence": True}
        producer = Producer({**client_options(self._stream), **options}, logger=logger)
        if self._stream.name not in producer.list_topics(timeout=SECONDS).topics:
            raise NoTopicError(self._stream.name)
        producer.init_transactions(SECONDS)
        return producer

    def _publish(self, producer: Producer, messages: Sequence[Message]) -> None:
        producer.begin_transaction()
        for message in messages:
            position = str(message.position)
            producer.produce(
                self._stream.name,
                message.body,
                position,
                partition=PARTITION,
                headers={"position": position, "type": message.type},
            )
        producer.commit_transaction(SECONDS)

    def _read_end(self) -> StreamEnd:
        reader = KafkaReader(self._stream)
        try:
            body = reader.last()
        finally:
            reader.close()
        return StreamEnd(0) if body is None else end_of(body)

    def _failure(self, error: Exception, messages: Sequence[Message]) -> Exception:
        fault = error.args[0] if isinstance(error, KafkaException) else None
        if not isinstance(fault, KafkaError):
            return StreamUnavailableError(error)
        if fault.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            largest = max(messages, key=lambda message: len(message.body))
            most = int(self._stream.kafka_options.get("message.max.bytes", _MOST_BYTES))
            return MessageTooLargeError(largest.position, len(largest.body), most)
        if fault.fatal() or fault.code() in _SHUT_OUT:
            return StreamMovedError(reason(error))
        return StreamUnavailableError(reason(error))
