"""The port to the system with the stream, and the choice of its adapter."""

import os
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from uuid import UUID
from zlib import crc32

from django.conf import settings
from django.core.signals import setting_changed
from pydantic_core import from_json, to_json

from config.streams import Stream
from ordering_write.log import feed
from ordering_write.relay.errors import MissingPackageError

if TYPE_CHECKING:
    from ordering_write.relay.jetstream import JetStream

# Aggregates are spread over so many subjects, so that the events of one can be found.
_BUCKETS = 4096
# The form of a published event, which the feed and webhooks have too, and what proves its place.
_FIELDS = (*feed.PublishedEvent.model_fields, *feed.RELAYED_FIELDS)


class StreamEnd(NamedTuple):
    """The last message of a stream: its position, the id of its log, and the id of its event.

    The position of an empty stream is 0.
    """

    position: int
    log_id: UUID | None = None
    event_id: UUID | None = None


class Message(NamedTuple):
    """An event as the stream carries it; ``commit_end`` is the last position of its commit."""

    position: int
    commit_end: int
    stream: str
    type: str
    body: bytes


class StreamPort(Protocol):
    """A system that keeps messages in order, for ever.

    The methods raise StreamUnavailableError when the system doesn't answer within seconds.
    """

    def end(self) -> StreamEnd:
        """Return the end of the stream, which is made if it doesn't exist.

        Raises IncompleteStreamError.
        """
        ...

    def append(self, messages: Sequence[Message]) -> None:
        """Append ``messages``, which have positions side by side: all of them, or the first ones.

        The messages of one call are at most BATCH. Raises StreamMovedError if the stream doesn't
        end before the first one, and MessageTooLargeError.
        """
        ...

    def close(self) -> None:
        """End the connection; the next call begins a new one."""
        ...


class ReadableStream(Protocol):
    """The same system as a site reads it.

    The methods raise StreamUnavailableError when the system doesn't answer within seconds, and
    NoStreamError or NoTopicError.
    """

    def read(self, after: int, limit: int) -> list[bytes]:
        """Return up to ``limit`` messages after a position, in order."""
        ...

    def read_bucket(self, stream: str, *, after: int) -> list[bytes]:
        """Return the first messages after a position among which those of ``stream`` are.

        An empty list says that there are no more.
        """
        ...

    def last(self) -> bytes | None:
        """Return the last message; None if the stream is empty."""
        ...

    def close(self) -> None:
        """End the connection; the next call begins a new one."""
        ...


def message_of(row: Mapping[str, Any]) -> Message:
    """Return the message about an event, which ``feed.read_commits`` has read."""
    return Message(
        position=row["position"],
        commit_end=row["commit_end"],
        stream=row["stream"],
        type=row["type"],
        body=to_json({name: row[name] for name in _FIELDS}),
    )


def end_of(body: bytes) -> StreamEnd:
    """Return the end of a stream whose last message is ``body``."""
    event = from_json(body)
    return StreamEnd(event["position"], UUID(event["log_id"]), UUID(event["event_id"]))


def bucket(stream: str) -> str:
    """Return the part of the subject that all events of one aggregate share."""
    return f"{crc32(stream.encode()) % _BUCKETS:04}"


_adapters = threading.local()
_inherited: list[dict[str, Any]] = []


def relay_port() -> StreamPort:
    """Return the adapter that settings.RELAY names; each thread has its own."""
    if not hasattr(_adapters, "relay"):
        make = _kafka if settings.RELAY == "kafka" else jetstream
        _adapters.relay = make(settings.STREAM)
    port: StreamPort = _adapters.relay
    return port


def readable_stream() -> ReadableStream:
    """Return the adapter that settings.LOG_SOURCE names; each thread has its own.

    Raises MissingPackageError.
    """
    if not hasattr(_adapters, "site"):
        make = _kafka_reader if settings.LOG_SOURCE == "kafka" else jetstream
        _adapters.site = make(settings.STREAM)
    stream: ReadableStream = _adapters.site
    return stream


def jetstream(stream: Stream) -> "JetStream":
    """Return a new connection to the servers of ``stream``. Raises MissingPackageError."""
    # Imported here: the packages are installed only where the log is published or read.
    try:
        from ordering_write.relay.jetstream import JetStream
    except ImportError as error:
        raise MissingPackageError(error.name) from error
    return JetStream(stream)


def _kafka(stream: Stream) -> StreamPort:
    try:
        from ordering_write.relay.kafka import KafkaStream
    except ImportError as error:
        raise MissingPackageError(error.name) from error
    return KafkaStream(stream)


def _kafka_reader(stream: Stream) -> ReadableStream:
    try:
        from ordering_write.relay.kafka_reading import KafkaReader
    except ImportError as error:
        raise MissingPackageError(error.name) from error
    return KafkaReader(stream)


def close() -> None:
    """End the connections of this thread."""
    for port in _adapters.__dict__.values():
        port.close()
    _adapters.__dict__.clear()


def _forget(*, setting: str, **_kwargs: object) -> None:
    if setting in ("RELAY", "LOG_SOURCE", "STREAM"):
        close()


setting_changed.connect(_forget, dispatch_uid="relay.forget")


def _leave_to_parent() -> None:
    # Kept, since the end of a connection would wait for threads that a child doesn't have.
    _inherited.append(dict(_adapters.__dict__))
    _adapters.__dict__.clear()


# A forked child must not use the connections of its parent.
os.register_at_fork(after_in_child=_leave_to_parent)
