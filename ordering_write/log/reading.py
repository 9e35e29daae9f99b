"""Reads the log: events by position, by stream and by command.

Positions have no gap (see ``sequencer``), so that a reader can prove that it skipped nothing.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, cast
from uuid import UUID

from django.db import connection

from config.databases import prepared
from ordering_write.domain.events import DomainEvent
from ordering_write.log import decoding, detached
from ordering_write.log.decoding import Row, readable
from ordering_write.log.slicing import ALL_STREAMS, IS_IN_SLICE, Slice

# Selects times and ids as text: most of them are never used, and converting all of them takes
# longer than decoding the events.
EVENT_COLUMNS = """
       event.event_id::text, event.stream, event.version, event.type,
       event.schema_version, event.timestamp::text, event.recorded_at::text, event.actor,
       event.channel, event.command_id::text, event.correlation_id::text, event.causation_id::text,
       event.commit_id::text, event.data, event.personal_id::text"""
COLUMNS = f"""
SELECT event_position.position, {EVENT_COLUMNS}, personal_data.fields AS personal
"""
BY_POSITION = f"""{COLUMNS}
FROM event_position JOIN event ON event.id = event_position.event_id
LEFT JOIN personal_data ON personal_data.id = event.personal_id
"""
# Looks up personal data by the index: for a stream of 2,000 events, of which few have any,
# PostgreSQL would join the whole table without the LIMIT.
_PERSONAL = """
LEFT JOIN LATERAL (
    SELECT fields FROM personal_data WHERE id = event.personal_id LIMIT 1
) AS personal_data ON true
"""
_BY_EVENT = f"""{COLUMNS}
FROM event LEFT JOIN event_position ON event_position.event_id = event.id
{_PERSONAL}
"""
# The rest of a commit after a position, with the position up to which events may have left; a row
# of nulls for no rest.
_REST_OF_COMMIT = f"""{COLUMNS}, detached_until()
FROM (SELECT) AS one LEFT JOIN (
    event JOIN event_position ON event_position.event_id = event.id
) ON event.commit_id = %s AND event_position.position > %s
LEFT JOIN personal_data ON personal_data.id = event.personal_id
ORDER BY event_position.position
"""
# The expressions call functions of the migrations.
# The head as an expression. It counts at most so many pending commits: more than
# ``sequencer.relieve`` lets pile up.
HEAD = "((SELECT coalesce(max(position), 0) FROM event_position) + pending_events(1000))"
# The position of the last event if each committed event has a position, else null.
LOG_END = """
CASE WHEN oldest_pending_at() IS NULL
THEN (SELECT coalesce(max(position), 0) FROM event_position) END
"""
_FINGERPRINT = """
SELECT id, (
    SELECT event.event_id FROM event_position JOIN event ON event.id = event_position.event_id
    WHERE event_position.position = %s
) FROM log_identity
"""

# The end of the commit that ends a batch, its event, and the number of events up to there.
_END_OF_BATCH = """
WITH reached AS (
    SELECT max(position) AS position FROM (
        SELECT position FROM event_position WHERE position > %(after)s
        ORDER BY position LIMIT %(limit)s
    ) AS next
), ended AS (
    SELECT max(event_position.position) AS position
    FROM event_position JOIN event ON event.id = event_position.event_id
    WHERE event.commit_id = (
        SELECT event.commit_id FROM event_position JOIN event ON event.id = event_position.event_id
        WHERE event_position.position = (SELECT position FROM reached)
    )
)
SELECT coalesce(ended.position, (SELECT position FROM reached)), (
    SELECT event.event_id FROM event_position JOIN event ON event.id = event_position.event_id
    WHERE event_position.position = ended.position
), (
    SELECT count(*) FROM event_position JOIN event ON event.id = event_position.event_id
    WHERE event_position.position > %(after)s AND event_position.position <= ended.position
), detached_until()
FROM ended
"""
_MISSING = """
SELECT min(expected) FROM generate_series(%s::bigint, %s::bigint) AS expected WHERE NOT EXISTS (
    SELECT FROM event_position JOIN event ON event.id = event_position.event_id
    WHERE event_position.position = expected
)
"""
_OF_SLICE = f"""{BY_POSITION}
WHERE event_position.position > %s AND event_position.position <= %s AND {IS_IN_SLICE}
ORDER BY event_position.position
"""

_POSITION_OF = """
SELECT event_position.position, CASE WHEN event.id IS NULL THEN detached_until() END
FROM (SELECT %s::uuid AS event_id) AS wanted
LEFT JOIN event ON event.event_id = wanted.event_id
LEFT JOIN event_position ON event_position.event_id = event.id
"""
_TRACEPARENTS = """
SELECT traceparent FROM event WHERE event_id = ANY(%s) AND traceparent <> '' ORDER BY id
"""

_PERSONAL_IDS = """
SELECT min(version),
       array_agg(personal_id) FILTER (WHERE personal_id IS NOT NULL AND type = %s AND data @> %s)
FROM event WHERE stream = %s
"""
_EVENTS_AFTER = """
SELECT point.number, newest.type, newest.recorded_at, newest.version, detached_until()
FROM unnest(%s::text[], %s::bigint[]) WITH ORDINALITY AS point (stream, position, number), LATERAL (
    SELECT event.type, event.recorded_at, event.version, event_position.position
    FROM event LEFT JOIN event_position ON event_position.event_id = event.id
    WHERE event.stream = point.stream ORDER BY event.version DESC LIMIT %s
) newest
WHERE newest.position IS NULL OR newest.position > point.position
"""


class LogGapError(Exception):
    """A position of the log is missing: an event was removed, or the log was restored."""


class LogBatch(NamedTuple):
    """The events of a range of positions that are in one slice.

    The range has ``size`` positions and ends at ``position`` with the event ``event_id``, which may
    be in another slice.
    """

    events: list[DomainEvent]
    position: int
    event_id: UUID
    size: int

    def first(self) -> "LogBatch":
        """Return the batch up to its first event; the whole batch if it has one event at most."""
        if len(self.events) < 2:
            return self
        envelope = self.events[0].recorded
        position = cast(int, envelope.position)
        size = self.size - (self.position - position)
        return LogBatch(self.events[:1], position, envelope.event_id, size)


# --- Positions ---------------------------------------------------------------------------------
def head() -> int:
    """Return the position that the newest committed event has or will get; 0 for an empty log.

    Events without a position count too. Otherwise readers would look caught up while nothing
    sequences the log. Of more than 1,000 pending commits only the oldest count, so that the cost
    doesn't grow with their number: the newest event then has at least the returned position.
    """
    return int(_value(f"SELECT {HEAD}"))


def last_position() -> int:
    """Return the highest position assigned so far, which is the end of a commit; 0 without one."""
    return int(_value("SELECT coalesce(max(position), 0) FROM event_position"))


def position_of(event_id: UUID) -> int | None:
    """Return the position of an event; None while it has none, or if there is no such event."""
    [(position, end)] = prepared.fetch(connection.alias, _POSITION_OF, [event_id])
    if end and (stored := detached.read_event(event_id, end)):
        position = stored["position"]
    return None if position is None else int(position)


def commit_of(event_id: UUID) -> list[UUID]:
    """Return the ids of the events that were committed together with an event, itself included.

    Leaves out those that have left the database: no subscriber has parked one.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT event_id FROM event WHERE commit_id ="
            " (SELECT commit_id FROM event WHERE event_id = %s)",
            [event_id],
        )
        return [committed_id for (committed_id,) in cursor.fetchall()]


def streams_of_commit(event_id: UUID) -> list[str]:
    """Return the streams of the events that were committed together with an event.

    Leaves out events that have left the database: all subscribers have applied them.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT stream FROM event WHERE commit_id ="
            " (SELECT commit_id FROM event WHERE event_id = %s)",
            [event_id],
        )
        return [stream for (stream,) in cursor.fetchall()]


def recorded_at(position: int) -> datetime | None:
    """Return the time (UTC) at which the event at ``position`` was recorded; None without one."""
    time: datetime | None = _value(
        "SELECT recorded_at FROM event_position"
        " JOIN event ON event.id = event_position.event_id WHERE position = %s",
        position,
    )
    if time is None and (stored := detached.read_position(position)):
        time = datetime.fromisoformat(stored["recorded_at"])
    return time


def identity() -> UUID:
    """Return the id that this log got when its table was made, and keeps in backups and copies."""
    log_id: UUID = _value("SELECT id FROM log_identity")
    return log_id


def fingerprint(position: int) -> tuple[UUID, UUID | None]:
    """Return the identity of the log and the id of the event at ``position``, None without one.

    Together they tell this log from any other log, and from one restored from an older backup.
    """
    [(log_id, event_id)] = prepared.fetch(connection.alias, _FINGERPRINT, [position])
    if event_id is None and (stored := detached.read_position(position)):
        event_id = UUID(stored["event_id"])
    return log_id, event_id


def _value(sql: str, *parameters: Any) -> Any:
    """Return the value that a statement selects, None without a row."""
    rows = prepared.fetch(connection.alias, sql, parameters)
    return rows[0][0] if rows else None


def traceparents(events: Sequence[DomainEvent]) -> list[str]:
    """Return the trace contexts in which ``events`` were appended, in the order of the events.

    Events that were appended without telemetry have none.
    """
    with connection.cursor() as cursor:
        cursor.execute(_TRACEPARENTS, [[event.recorded.event_id for event in events]])
        return [text for (text,) in cursor.fetchall()]


# --- Events ------------------------------------------------------------------------------------
def read_log(after: int, limit: int) -> list[DomainEvent]:
    """Return the next ``limit`` events after the position ``after``, and the rest of their commit.

    A batch never ends inside a commit, so that no reader sees an order without its lines. An event
    that this code can't read comes as an UndecodableEvent, so that it doesn't hide the others.
    Raises LogGapError when a position is missing.
    """
    rows = _rows(f"{BY_POSITION} WHERE position > %s ORDER BY position LIMIT %s", [after, limit])
    if len(rows) == limit:
        last = rows[-1]
        parameters = [last.commit_id, last.position]
        rest = prepared.fetch(connection.alias, _REST_OF_COMMIT, parameters)
        if rest[0][-1] > after:
            # A part of the commit may have left.
            return _events(detached.read_commits(after, limit))
        rows += [Row._make(row[:-1]) for row in rest if row[0] is not None]
    for expected, row in enumerate(rows, start=after + 1):
        if row.position != expected:
            if stored := detached.read_commits(after, limit):
                return _events(stored)
            raise LogGapError(f"Position {expected} of the log is missing.")
    return [decoding.event_of(row) for row in rows]


def read_batch(after: int, limit: int, streams: Slice = ALL_STREAMS) -> LogBatch | None:
    """Return the events of ``streams`` among the next ``limit`` events after a position, and the
    rest of their commit; None after the last event.

    The events of other slices are counted only, so that a slice costs its share. See ``read_log``.
    Raises LogGapError when a position is missing, in whatever slice its event was.
    """
    if streams == ALL_STREAMS:
        if not (events := read_log(after, limit)):
            return None
        last = events[-1].recorded
        return LogBatch(events, cast(int, last.position), last.event_id, len(events))
    with connection.cursor() as cursor:
        cursor.execute(_END_OF_BATCH, {"after": after, "limit": limit})
        position, event_id, size, detached_end = cursor.fetchone()
    if position is None:
        return None
    if detached_end > after:
        stored = detached.read_commits(after, limit)
        last_row = stored[-1]
        events = _events([row for row in stored if streams.has(row["stream"])])
        return LogBatch(events, last_row["position"], UUID(last_row["event_id"]), len(stored))
    if size != position - after:
        missing = _value(_MISSING, after + 1, position)
        raise LogGapError(f"Position {missing} of the log is missing.")
    events = read(_OF_SLICE, [after, position, streams.of, streams.number])
    return LogBatch(events, position, event_id, size)


def read_at(positions: Sequence[int]) -> list[DomainEvent]:
    """Return the events at these positions, in order; an UndecodableEvent for an unreadable one."""
    rows = _rows(f"{BY_POSITION} WHERE position = ANY(%s) ORDER BY position", [list(positions)])
    if missing := {*positions} - {row.position for row in rows}:
        rows += detached.typed(detached.read_at(missing))
        rows.sort(key=lambda row: row.position or 0)
    return [decoding.event_of(row) for row in rows]


def read_stream(stream: str, *, after: int = 0) -> list[DomainEvent]:
    """Return the events of one stream after the version ``after``, with or without a position.

    Raises UndecodableEventError when one of them can't be read.
    """
    rows = _rows(
        f"{_BY_EVENT} WHERE event.stream = %s AND event.version > %s ORDER BY version",
        [stream, after],
    )
    if rows and rows[0].version != after + 1:
        stored = detached.read_streams([(stream, rows[0].version)], after=after)
        rows = [*detached.typed(stored), *rows]
    return [readable(decoding.event_of(row)) for row in rows]


def read_streams(streams: Collection[str], *, until: int | None = None) -> list[DomainEvent]:
    """Return all events of ``streams``, one stream after the other, by one statement.

    Events after the version ``until`` are left out. An event that this code can't read comes as an
    UndecodableEvent.
    """
    condition, parameters = "event.stream = ANY(%s)", [cast(Any, list(streams))]
    if until is not None:
        condition += " AND event.version <= %s"
        parameters.append(until)
    order = "ORDER BY event.stream, event.version"
    rows = _rows(f"{_BY_EVENT} WHERE {condition} {order}", parameters)
    first_versions = {row.stream: row.version for row in reversed(rows)}
    # The newest event of a stream stays in the database: it may be one after ``until``.
    absent = 0 if until is None else until + 1
    incomplete = {
        stream: version for stream in streams if (version := first_versions.get(stream, absent)) > 1
    }
    if incomplete and (stored := detached.read_streams(incomplete.items(), until=until)):
        rows = sorted([*rows, *detached.typed(stored)], key=lambda row: (row.stream, row.version))
    return [decoding.event_of(row) for row in rows]


def events_after(
    points: Sequence[tuple[str, int]], *, limit: int
) -> list[list[tuple[str, datetime]]]:
    """Return, for each stream and position, type and time (UTC) of the stream's later events.

    Looks at the newest ``limit`` events of each stream, by one statement.
    """
    events: list[list[tuple[str, datetime]]] = [[] for _ in points]
    streams, positions = [stream for stream, _ in points], [position for _, position in points]
    with connection.cursor() as cursor:
        cursor.execute(_EVENTS_AFTER, [streams, positions, limit])
        rows = cursor.fetchall()
    first_versions: dict[int, int] = {}
    for number, event_type, time, version, end in rows:
        events[number - 1].append((event_type, time))
        if positions[number - 1] < end:
            first_versions[number - 1] = min(version, first_versions.get(number - 1, version))
    for index, version in first_versions.items():
        if version == 1 or len(events[index]) == limit:
            continue
        stored = detached.read_streams([(streams[index], version)])
        newer = [row for row in stored if row["position"] > positions[index]]
        events[index] += [
            (row["type"], datetime.fromisoformat(row["recorded_at"])) for row in reversed(newer)
        ]
        del events[index][limit:]
    return events


def read_command(command_id: UUID) -> list[DomainEvent]:
    """Return the events that a command caused, in the order in which it caused them.

    A command that has a record has no event outside of the database. Raises UndecodableEventError
    when one of them can't be read.
    """
    events = read(f"{_BY_EVENT} WHERE event.command_id = %s ORDER BY event.id", [command_id])
    return [readable(event) for event in events]


def personal_ids(stream: str, *, event_type: str, data: Mapping[str, str]) -> list[UUID]:
    """Return the ids of the personal fields of the events of ``stream`` that have a type and
    ``data``."""
    parameters = [event_type, json.dumps(dict(data)), stream]
    [(first_version, ids)] = prepared.fetch(connection.alias, _PERSONAL_IDS, parameters)
    older = detached.read_streams([(stream, first_version)]) if (first_version or 1) > 1 else ()
    return [
        *(ids or ()),
        *(
            UUID(row["personal_id"])
            for row in older
            if row["personal_id"] and row["type"] == event_type
            if data.items() <= json.loads(row["data"]).items()
        ),
    ]


def read(sql: str, parameters: Sequence[Any]) -> list[DomainEvent]:
    """Return the events of a statement that selects ``COLUMNS``; see ``read_at``."""
    return [decoding.event_of(row) for row in _rows(sql, parameters)]


def fetch(sql: str, parameters: Sequence[Any]) -> list[dict[str, Any]]:
    """Return the parsed rows, by column, of a statement that selects ``COLUMNS`` and others."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        names = [column.name for column in cursor.description]
        return [decoding.parse(dict(zip(names, row, strict=True))) for row in cursor.fetchall()]


def fetch_texts(sql: str, parameters: Sequence[Any]) -> list[dict[str, Any]]:
    """Return rows like ``fetch``, with ids as text and without personal fields."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        names = [column.name for column in cursor.description]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    for row in rows:
        decoding.parse_content(row)
    return rows


def _events(stored: Sequence[detached.Stored]) -> list[DomainEvent]:
    return [decoding.event_of(row) for row in detached.typed(stored)]


def _rows(sql: str, parameters: Sequence[Any]) -> list[Row]:
    return list(map(Row._make, prepared.fetch(connection.alias, sql, parameters)))
