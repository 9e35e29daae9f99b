"""Checks each stream, event by event, and compares its fold with the rows of its aggregate."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction

from ordering_write.domain.events import UndecodableEvent
from ordering_write.log import decoding, detached, reading, replay
from ordering_write.log.content import content_hash, digest
from ordering_write.log.verification import rows
from ordering_write.log.verification.finding import Finding
from ordering_write.log.verification.money import MoneyLedger
from ordering_write.models import Order, aggregate_types

# Events of one transaction.
_PAGE = 1_000

_EVENTS = f"""{reading.COLUMNS}, event.hash, event.personal_digest, personal_data.salt,
       event_position.position IS NULL
       AND event.commit_id NOT IN (SELECT commit_id FROM event_pending) AS lost
FROM event LEFT JOIN event_position ON event_position.event_id = event.id
LEFT JOIN personal_data ON personal_data.id = event.personal_id
WHERE (event.stream, event.version) > (%s, %s)
"""  # noqa: S608 (a constant)


def check(
    progress: Callable[[int], object],
    *,
    only: str | None = None,
    after: str = "",
    last: str | None = None,
) -> Iterator[Finding]:
    """Yield the faults of all streams, of those after ``after`` up to ``last``, or of ``only``.

    Reads the events by stream and version, in pages, so that the length of a stream doesn't matter.
    """
    stream: _Stream | None = None
    size = _PAGE
    while size == _PAGE:
        findings: list[Finding] = []
        with _snapshot():
            begin = (stream.name, stream.version) if stream else (after, replay.END_OF_STREAM)
            page = _events_after(begin, only, last)
            size = len(page)
            complete = []
            for row in _whole(page, stream.name if stream else ""):
                if stream is None or row["stream"] != stream.name:
                    complete += [stream] if stream else []
                    stream = _Stream(row["stream"])
                    if stream.aggregate is None:
                        findings.append(Finding(stream.name, None, "no aggregate has such a name"))
                findings += stream.add(row)
            if size < _PAGE and stream:
                complete.append(stream)
            findings += _compare_rows(complete)
        progress(size)
        yield from findings


@contextmanager
def _snapshot() -> Iterator[None]:
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def _events_after(
    begin: tuple[str, int], only: str | None, last: str | None
) -> list[dict[str, Any]]:
    parameters: list[Any] = [*begin]
    streams = ""
    if only is not None:
        streams = "AND event.stream = %s"
        parameters.append(only)
    elif last is not None:
        streams = "AND event.stream <= %s"
        parameters.append(last)
    return reading.fetch(
        f"{_EVENTS} {streams} ORDER BY event.stream, event.version LIMIT %s",
        [*parameters, _PAGE],
    )


def _whole(page: Sequence[dict[str, Any]], continued: str) -> Iterator[dict[str, Any]]:
    """Yield ``page`` with the events that have left the database, before those of their streams.

    The page before has had the beginning of the stream ``continued``.
    """
    first_versions = {row["stream"]: row["version"] for row in reversed(page)}
    first_versions.pop(continued, None)
    # One statement reads the short parts of all streams, and one each part of a long one.
    short = {stream: end for stream, end in first_versions.items() if 1 < end <= _PAGE}
    older: dict[str, list[dict[str, Any]]] = {}
    for row in detached.read_streams(short.items()) if short else ():
        older.setdefault(row["stream"], []).append(row)
    for row in page:
        stream = row["stream"]
        end = first_versions.pop(stream, 1)
        for after in range(0, end - 1, _PAGE) if end > _PAGE else ():
            part = detached.read_streams([(stream, end)], after=after, until=after + _PAGE)
            yield from map(_parsed, part)
        yield from map(_parsed, older.pop(stream, ()))
        yield row


def _parsed(row: detached.Stored) -> dict[str, Any]:
    return decoding.parse({**row, "lost": False})


class _Stream:
    """The part of a stream that was read so far, and the aggregate that its events make."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.version = 0
        aggregate_type = aggregate_types().get(name.partition("-")[0])
        # None if no aggregate has such a stream, or if its state is unknown after a fault.
        self.aggregate = aggregate_type() if aggregate_type else None
        self._anonymized_by = aggregate_type and aggregate_type.anonymized_by
        # Columns whose values were erased from the events.
        self.erased: set[str] = set()
        self._money = MoneyLedger()
        self._is_erased = self._has_personal_fields = False
        self._hash = ""
        self._position = 0.0

    def add(self, row: Mapping[str, Any]) -> Iterator[Finding]:
        """Add the next event; returns its faults."""
        faults = [*self._check_chain(row), *self._check_position(row), *self._check_content(row)]
        self.version, self._hash = row["version"], row["hash"]
        return (Finding(self.name, self.version, fault) for fault in faults)

    def _check_chain(self, row: Mapping[str, Any]) -> Iterator[str]:
        if row["version"] != self.version + 1:
            self.aggregate = None
            yield f"the event before it is missing, the last one there has version {self.version}"
        elif row["hash"] != content_hash(row, self._hash):
            yield "it or the event before it was changed: its hash doesn't fit"
        if row["personal"] and row["personal_digest"] != digest(row["personal"], row["salt"]):
            yield "its personal fields were changed: their digest doesn't fit"

    def _check_position(self, row: Mapping[str, Any]) -> Iterator[str]:
        position = math.inf if row["position"] is None else row["position"]
        if position <= self._position and position != math.inf:
            yield f"its position {position} isn't after that of the event before it"
        if row["lost"]:
            yield "it has no position and doesn't wait for one"
        self._position = position

    def _check_content(self, row: Mapping[str, Any]) -> Iterator[str]:
        event = decoding.decode(row)
        if isinstance(event, UndecodableEvent):
            self.aggregate = None
            yield f"it can't be read: {event.reason}"
        if row["personal_id"] and row["personal"] is None:
            self.erased |= event.personal
        if self._anonymized_by and isinstance(event, self._anonymized_by):
            self._is_erased = True
            # The event sets these columns to known values.
            self.erased.clear()
        self._has_personal_fields = self._has_personal_fields or bool(row["personal"])
        if self._is_erased and self._has_personal_fields:
            self._has_personal_fields = False
            yield "the customer was erased, but there are personal fields"
        if self.aggregate is None:
            return
        try:
            self.aggregate.evolve(event)
            self.aggregate.version += 1
            if isinstance(self.aggregate, Order):
                yield from self._money.add(event, self.aggregate)
        except Exception as error:
            self.aggregate = None
            yield f"it can't be applied: {type(error).__name__}: {error}"


def _compare_rows(streams: Sequence[_Stream]) -> Iterator[Finding]:
    """Yield the differences between the rows of complete streams and their folds."""
    for aggregate_type in aggregate_types().values():
        aggregates = {
            stream: stream.aggregate
            for stream in streams
            if isinstance(stream.aggregate, aggregate_type)
        }
        rows_by_key = aggregate_type.load_whole([row.pk for row in aggregates.values()])
        for stream, aggregate in aggregates.items():
            for fault in rows.compare(
                rows_by_key.get(aggregate.pk), aggregate, stream=stream.name, unknown=stream.erased
            ):
                yield Finding(stream.name, stream.version, fault)
