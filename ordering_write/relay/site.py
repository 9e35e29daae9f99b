"""The log as a read site reads it: from the stream, without the write database.

Positions, commits and events are those of the primary, and each message is checked: it has the next
position, the identity of the log, and the hash of its content and of the event before.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from pydantic_core import from_json, to_json

from ordering_write.domain.events import DomainEvent
from ordering_write.log import LogBatch, LogGapError
from ordering_write.log.content import content_hash
from ordering_write.log.decoding import Row, event_of
from ordering_write.log.slicing import Slice
from ordering_write.relay import personal
from ordering_write.relay.errors import DamagedStreamError, OtherLogError, StreamTooShortError
from ordering_write.relay.port import readable_stream

# Messages of one read at most.
_MOST = 1_000
# For how long the relay may be behind a subscriber that has read the primary, in a rebuild.
_PATIENCE_SECONDS = 3.0
_SECONDS_BETWEEN_LOOKS = 0.02

Message = Mapping[str, Any]


class StreamLog:
    """The log in the stream, for the projections of a site."""

    def __init__(self) -> None:
        self._log_id: UUID | None = None
        # The position in the write-ahead log that the last batch has named.
        self._wal = "0/0"

    @property
    def databases(self) -> Collection[str]:
        return {personal.database()} - {"read"}

    def sequence(self) -> bool:
        """Return True: all messages have positions."""
        return True

    def head(self) -> int:
        """Return the end of the last whole commit of the stream; 0 if it has none."""
        body = readable_stream().last()
        if body is None:
            return 0
        last = from_json(body)
        if last["commit_end"] == last["position"]:
            return int(last["position"])
        # Servers without batches store a commit message by message.
        return self._end_before(last)

    def last_position(self) -> int:
        return self.head()

    def identity(self) -> UUID:
        if self._log_id is None:
            self._log_id = UUID(self.message(1)["log_id"])
        return self._log_id

    def fingerprint(self, position: int) -> tuple[UUID, UUID | None]:
        """Return the identity of the log and the id of the event at ``position``.

        Position 0 has no event. Raises StreamTooShortError if the stream doesn't have the position
        within some seconds.
        """
        if not position:
            return self.identity(), None
        message = self.message(position)
        return UUID(message["log_id"]), UUID(message["event_id"])

    def read_batch(self, after: int, limit: int, streams: Slice) -> LogBatch | None:
        """Return what ``reading.read_batch`` returns, with at most _MOST events or one commit."""
        messages = self._whole_commits(after, min(limit, _MOST))
        if not messages:
            return None
        self._check(after, messages)
        last = messages[-1]
        self._wal = last["wal"]
        events = events_of([message for message in messages if streams.has(message["stream"])])
        return LogBatch(events, last["position"], UUID(last["event_id"]), len(messages))

    def read_at(self, positions: Sequence[int]) -> list[DomainEvent]:
        return events_of([self.message(position) for position in sorted(positions)])

    def messages(self, after: int, until: int) -> Iterator[list[Message]]:
        """Yield the messages after one position and up to another in parts, each of them checked.

        Raises LogGapError and errors of the stream.
        """
        while after < until:
            bodies = readable_stream().read(after, min(until - after, _MOST))
            if not bodies:
                raise StreamTooShortError(settings.STREAM.name, until)
            messages = [from_json(body) for body in bodies]
            self._check(after, messages)
            after = messages[-1]["position"]
            yield messages

    def read_streams(self, streams: Collection[str]) -> list[DomainEvent]:
        """Return all events of ``streams``, as they read after the last erasure that was read."""
        personal.wait_until_copied([self._wal])
        found: list[Message] = []
        for stream in sorted(streams):
            after = 0
            while bodies := readable_stream().read_bucket(stream, after=after):
                messages = [from_json(body) for body in bodies]
                found += [message for message in messages if message["stream"] == stream]
                after = messages[-1]["position"]
        _check_content(found)
        return events_of(found)

    def traceparents(self, events: Sequence[DomainEvent]) -> list[str]:
        """Return no trace context: messages have none."""
        return []

    @contextmanager
    def listening(self, seconds: float) -> Iterator[Callable[[], bool]]:
        head = self.head()

        def log_grew() -> bool:
            nonlocal head
            ends_at = time.monotonic() + seconds
            former = head
            while (head := self.head()) == former and time.monotonic() < ends_at:
                time.sleep(_SECONDS_BETWEEN_LOOKS)
            return head != former

        yield log_grew

    def announce_release(self) -> None:
        """Do nothing: the broker looks for work often."""

    # --- Messages ------------------------------------------------------------------------------
    def message(self, position: int) -> Message:
        """Return the message at ``position``. Raises errors as ``fingerprint``."""
        ends_at = time.monotonic() + _PATIENCE_SECONDS
        while not (bodies := readable_stream().read(position - 1, 1)):
            if time.monotonic() > ends_at:
                raise StreamTooShortError(settings.STREAM.name, position)
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        message: Message = from_json(bodies[0])
        if message["position"] != position:
            raise LogGapError(f"Position {position} of the stream is missing.")
        return message

    def _whole_commits(self, after: int, limit: int) -> list[Message]:
        """Return about ``limit`` messages after a position, which end with a commit."""
        bodies = readable_stream().read(after, limit)
        messages = [from_json(body) for body in bodies]
        while messages and (missing := messages[-1]["commit_end"] - messages[-1]["position"]):
            rest = readable_stream().read(messages[-1]["position"], min(missing, _MOST))
            if not rest:
                # The relay is publishing the commit: it is read when it is complete.
                commit = messages[-1]["commit_id"]
                return [message for message in messages if message["commit_id"] != commit]
            messages += [from_json(body) for body in rest]
        return messages

    def _end_before(self, message: Message) -> int:
        """Return the position before the commit of ``message``, the last of an unfinished one."""
        position = message["position"] - 1
        while position and self.message(position)["commit_id"] == message["commit_id"]:
            position -= 1
        return position

    def _check(self, after: int, messages: Sequence[Message]) -> None:
        """Check positions, identity and hashes. Raises LogGapError and errors of the stream."""
        identity = str(self.identity())
        for expected, message in enumerate(messages, start=after + 1):
            if message["position"] != expected:
                raise LogGapError(f"Position {expected} of the stream is missing.")
            if message["log_id"] != identity:
                raise OtherLogError(settings.STREAM.name, UUID(message["log_id"]))
        _check_content(messages)


def _check_content(messages: Sequence[Message]) -> None:
    """Check the hashes of messages, each of which is its stream's next one in ``messages``.

    Raises DamagedStreamError.
    """
    hashes: dict[str, str] = {}
    for message in messages:
        previous = message["previous_hash"]
        times = {
            time: datetime.fromisoformat(message[time]) for time in ("timestamp", "recorded_at")
        }
        content = content_hash({**message, **times}, previous)
        is_next = hashes.get(message["stream"], previous) == previous
        if not is_next or content != message["hash"]:
            raise DamagedStreamError(settings.STREAM.name, message["position"])
        hashes[message["stream"]] = message["hash"]


def events_of(messages: Sequence[Message]) -> list[DomainEvent]:
    """Return the events of ``messages``, with the personal fields that aren't erased."""
    fields = personal.fields_of(messages)
    return [event_of(_row(message, fields)) for message in messages]


def _row(message: Message, fields: Mapping[str, str]) -> Row:
    """Return the row of the log that has the event of ``message``."""
    personal_id = message["personal_id"]
    texts = {name: to_json(message[name]).decode() for name in ("actor", "data")}
    # As PostgreSQL writes times.
    times = {name: f"{message[name].removesuffix('Z')}+00" for name in ("timestamp", "recorded_at")}
    values = {**message, **texts, **times, "personal": personal_id and fields.get(personal_id)}
    return Row(**{name: values[name] for name in Row._fields})
