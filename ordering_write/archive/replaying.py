"""Reads the archive again as ``log.replay`` reads the log, to spare the write database.

Only personal fields are read from the database: the archive has none.
"""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from django.db import connection

from ordering_write.archive.errors import NothingArchivedError, StorageError
from ordering_write.archive.querying import opened
from ordering_write.archive.storage import Storage
from ordering_write.domain.events import DomainEvent
from ordering_write.log import LogGapError, decoding
from ordering_write.log.decoding import Row
from ordering_write.log.replay import END_OF_STREAM, ReplayBatch, unwanted
from ordering_write.models import ArchivedFile

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_SAMPLE_SIZE = 10_000
# Above it, DuckDB sorts in temporary files.
_MEGABYTES = 500

_IS_WANTED = "NOT list_contains($unwanted, type)"
_COLUMNS = ", ".join(f"{name}::text" for name in Row._fields if name != "personal")
_COUNT = f"""
SELECT count(*), count(*) FILTER (WHERE {_IS_WANTED}) FROM event WHERE position <= $until
"""  # noqa: S608 (constants)
_BOUNDS = f"""
SELECT stream FROM (SELECT stream FROM event WHERE {_IS_WANTED})
USING SAMPLE reservoir({_SAMPLE_SIZE} ROWS)
"""  # noqa: S608 (constants)
_IN_ORDER = f"""
SELECT {_COLUMNS} FROM event
WHERE position > $after AND position <= $until AND {_IS_WANTED} ORDER BY position
"""  # noqa: S608 (constants)
_BY_STREAM = f"""
SELECT {_COLUMNS} FROM event
WHERE (stream > $stream OR (stream = $stream AND version > $version)) AND stream <= $last
  AND position <= $until AND {_IS_WANTED}
ORDER BY stream, version
"""  # noqa: S608 (constants)
_SAMPLE_OF_STREAMS = f"""
SELECT stream FROM (SELECT DISTINCT stream FROM event WHERE position <= $until AND {_IS_WANTED})
USING SAMPLE reservoir({{limit}} ROWS)
"""  # noqa: S608 (constants)
_PERSONAL = "SELECT id::text, fields FROM personal_data WHERE id = ANY(%s::uuid[])"


def last_position() -> int:
    """Return the last archived position, which is the end of a commit.

    Compares all files with their digests. Raises ArchiveError if one differs, or if there is none.
    """
    storage, last = Storage(), 0
    for file in ArchivedFile.objects.all():
        try:
            is_intact = storage.digest(file.name) == (file.bytes, file.sha256)
        except FileNotFoundError:
            is_intact = False
        if not is_intact:
            raise StorageError(f"{file} is missing or was changed: manage.py verify_archive")
        last = file.last
    if not last:
        raise NothingArchivedError(NothingArchivedError.__doc__)
    return last


def count(wanted: Sequence[type[DomainEvent]], *, until: int) -> int:
    """Return the number of events of the types ``wanted`` up to the position ``until``.

    Raises LogGapError when a position up to there is missing, and ArchiveError.
    """
    with _archive() as duck:
        parameters = {"unwanted": unwanted(wanted), "until": until}
        [(positions, events)] = duck.execute(_COUNT, parameters).fetchall()
    if positions != until:
        raise LogGapError(f"{until - positions} of {until} events are missing in the archive.")
    return int(events)


def slices(wanted: Sequence[type[DomainEvent]], *, of: int) -> list[str]:
    """Cut the streams, by name, into at most ``of`` slices of about as many wanted events.

    Returns the last stream of each slice. Names are sorted by their bytes, as in ``read_streams``
    and maybe not as in the database.
    """
    with _archive() as duck:
        [(last,)] = duck.execute("SELECT max(stream) FROM event").fetchall()
        sample = sorted(duck.execute(_BOUNDS, {"unwanted": unwanted(wanted)}).fetchall())
    bounds = {sample[len(sample) * number // of][0] for number in range(1, of) if sample}
    return [*sorted(bounds - {last}), last]


def read(wanted: Sequence[type[DomainEvent]], *, after: int, until: int) -> list[DomainEvent]:
    """Return the wanted events after one position and up to another, in order.

    An event that this code can't read, or of an unknown type, comes as an UndecodableEvent.
    """
    with _archive() as duck:
        parameters = {"unwanted": unwanted(wanted), "after": after, "until": until}
        return _events(duck.execute(_IN_ORDER, parameters).fetchall())


def read_streams(
    wanted: Sequence[type[DomainEvent]],
    *,
    after: tuple[str, int],
    last: str,
    until: int,
    limit: int,
) -> ReplayBatch:
    """Return the next ``limit`` wanted events, stream by stream up to ``last``.

    ``after`` is the stream and version where the batch before ended, ("", 0) for the first batch.
    Events past the position ``until`` are left out. UndecodableEvent as in ``read``.
    """
    global _reader
    parameters = {"unwanted": unwanted(wanted), "last": last, "until": until}
    if _reader and _reader.pid != os.getpid():
        _inherited.append(_reader)
        _reader = None
    # A batch that failed is read again.
    if _reader is None or not _reader.continues(after, parameters):
        _reader = _Reader(after, parameters)
    batch = _reader.next_batch(limit)
    if batch.is_last:
        _reader = None
    return batch


def sample_streams(wanted: Sequence[type[DomainEvent]], *, until: int, limit: int) -> list[str]:
    """Return at most ``limit`` random streams with wanted events up to the position ``until``."""
    with _archive() as duck:
        parameters = {"unwanted": unwanted(wanted), "until": until}
        sample = _SAMPLE_OF_STREAMS.format(limit=int(limit))
        return [stream for (stream,) in duck.execute(sample, parameters).fetchall()]


class _Reader:
    """A part of the archive, which DuckDB sorts by stream once, read batch by batch."""

    def __init__(self, after: tuple[str, int], parameters: dict[str, Any]) -> None:
        self.pid = os.getpid()
        self._end = after
        self._parameters = parameters
        self._duck = _archive()
        self._result = self._duck.execute(
            _BY_STREAM, {**parameters, "stream": after[0], "version": after[1]}
        )

    def continues(self, after: tuple[str, int], parameters: dict[str, Any]) -> bool:
        """Return True if the next batch is that after ``after`` of these parameters."""
        return (self._end, self._parameters) == (after, parameters)

    def next_batch(self, limit: int) -> ReplayBatch:
        """Return the next ``limit`` events."""
        rows = self._result.fetchmany(limit)
        is_last = len(rows) < limit
        self._end = (self._parameters["last"], END_OF_STREAM)
        if not is_last:
            row = Row._make((*rows[-1], None))
            self._end = (row.stream, int(row.version))
        return ReplayBatch(_events(rows), self._end, is_last)


# The reader of this process, whose next batch is asked for most likely.
_reader: _Reader | None = None
# The reader of the parent process, which a forked child may neither use nor close: closing waits
# for threads that only the parent has.
_inherited: list[_Reader] = []


def _archive() -> "DuckDBPyConnection":
    # A process that has threads can't be forked.
    return opened(Storage(), _MEGABYTES, threads=1)


def _events(rows: Sequence[tuple[Any, ...]]) -> list[DomainEvent]:
    """Return the events in rows of ``_COLUMNS``, with their personal fields."""
    events = [Row._make((*row, None)) for row in rows]
    personal_ids = [row.personal_id for row in events if row.personal_id]
    fields: dict[str, str] = {}
    if personal_ids:
        with connection.cursor() as cursor:
            cursor.execute(_PERSONAL, [personal_ids])
            fields = dict(cursor.fetchall())
    return [decoding.event_of(_typed(row, fields)) for row in events]


def _typed(row: Row, personal: Mapping[str, str]) -> Row:
    return row._replace(
        position=int(row.position or 0),
        version=int(row.version),
        schema_version=int(row.schema_version),
        personal=personal.get(row.personal_id or ""),
    )
