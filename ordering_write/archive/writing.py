"""Writes the events of the log to files, each with a manifest."""

import contextlib
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path

from django.db import Error, connection, transaction

from ordering_write import log
from ordering_write.archive.errors import ArchiveBusyError, ArchiveDivergesError, DetachedError
from ordering_write.archive.manifest import Manifest, file_name, manifest_name
from ordering_write.archive.rows import COLUMNS, DIGESTS
from ordering_write.archive.storage import Storage, duckdb_of_process, quoted
from ordering_write.models import ArchivedFile

# Events of a file: some 40 MB.
EVENTS_OF_FILE = 250_000
# Rows that are compressed together: small enough that a damaged group costs little.
_EVENTS_OF_GROUP = 16_384
# Any number that nothing else in this database locks.
_LOCK = 7_301_002

_SOURCES = {
    "position": "event_position.position",
    "previous_hash": """(
    SELECT previous.hash FROM event AS previous
    WHERE previous.stream = event.stream AND previous.version = event.version - 1
)""",
}
_COLUMNS = ", ".join(_SOURCES.get(name, f"event.{name}") for name in COLUMNS)
_END_OF_COMMIT = """
SELECT max(event_position.position)
FROM event_position JOIN event ON event.id = event_position.event_id
WHERE event.commit_id = (
    SELECT event.commit_id FROM event_position JOIN event ON event.id = event_position.event_id
    WHERE event_position.position = %s
)
"""
_EXPORT = f"""
COPY (
    SELECT {_COLUMNS} FROM event_position JOIN event ON event.id = event_position.event_id
    WHERE event_position.position BETWEEN %s AND %s ORDER BY event_position.position
) TO STDOUT (FORMAT csv)
"""  # noqa: S608 (constants)
# PostgreSQL writes an empty text with quotes, and null without.
_CSV = """read_csv({csv}, header = false, auto_detect = false, delim = ',', quote = '"',
    escape = '"', nullstr = '', allow_quoted_nulls = false, max_line_size = 100000000,
    columns = {columns})"""
_CONVERT = f"""
COPY (
    SELECT * REPLACE ({{digests}}, CASE WHEN lag(position) OVER stream IS NULL
                      THEN unhex(previous_hash) END AS previous_hash)
    FROM {_CSV} WINDOW stream AS (PARTITION BY stream ORDER BY version) ORDER BY position
) TO {{parquet}} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_EVENTS_OF_GROUP})
"""  # noqa: S608 (constants)


def archive(
    storage: Storage, *, events_of_file: int = EVENTS_OF_FILE, rest: bool = False
) -> Iterator[ArchivedFile]:
    """Write the events that aren't archived to files of ``events_of_file`` events, and yield each.

    No file ends inside a commit: it has the rest of its last commit too. With ``rest``, a shorter
    file has the newest events. A killed call loses nothing: the next call writes its last file
    again. Raises ArchiveError and LogGapError.
    """
    with only_one():
        last = _last_file(storage)
        log.sequence(batches=math.inf)
        end = log.last_position()
        while True:
            first = last.last + 1 if last else 1
            if first > end or (end - first + 1 < events_of_file and not rest):
                return
            last = _write(storage, first, _end_of_file(first + events_of_file - 1, end), last)
            yield last


def begin_anew(storage: Storage) -> None:
    """Forget the files that were archived, to archive all events again at another place.

    Raises ArchiveDivergesError if there are files at ``storage``, and DetachedError.
    """
    if ArchivedFile.objects.exclude(detached_at=None).exists():
        raise DetachedError(DetachedError.__doc__)
    if Manifest.read(storage, 1):
        raise ArchiveDivergesError(
            f"{storage.url} holds an archive: name an empty folder in ARCHIVE_URL."
        )
    ArchivedFile.objects.all().delete()


@contextlib.contextmanager
def only_one() -> Iterator[None]:
    """Keep other processes from writing the archive, and from detaching events.

    The lock is lost with the connection.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK])
        if not cursor.fetchone()[0]:
            raise ArchiveBusyError(ArchiveBusyError.__doc__)
    try:
        yield
    finally:
        with contextlib.suppress(Error), connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])


def _last_file(storage: Storage) -> ArchivedFile | None:
    """Return the last archived file, None for an empty archive.

    Raises ArchiveDivergesError if the files at ``storage`` aren't those of this log.
    """
    last = ArchivedFile.objects.last()
    if last:
        manifest = Manifest.read(storage, last.first)
        if not manifest or manifest.digest != last.manifest_sha256:
            raise ArchiveDivergesError(
                f"{storage.url} doesn't hold {last} as this log has written it: manage.py "
                "verify_archive finds the fault; manage.py archive --anew writes all files again, "
                "to an empty ARCHIVE_URL."
            )
    while manifest := Manifest.read(storage, last.last + 1 if last else 1):
        # A call was killed before its row was inserted; or the log was restored from a backup that
        # is older than its archive.
        _, event_id = log.fingerprint(manifest.last)
        is_own = (manifest.log_id, manifest.last_event_id) == (log.identity(), event_id)
        previous = last.manifest_sha256 if last else ""
        if not is_own or manifest.previous != previous:
            raise ArchiveDivergesError(
                f"{storage.url} holds other events than this log from position {manifest.first} "
                "on: another log wrote them, or this one before it was restored. Name another "
                "folder in ARCHIVE_URL, and write all files there: manage.py archive --anew."
            )
        last = _insert(manifest)
    return last


def _end_of_file(position: int, end: int) -> int:
    """Return the end of the commit at ``position``, at most ``end``, where a commit ends too."""
    if position >= end:
        return end
    with connection.cursor() as cursor:
        cursor.execute(_END_OF_COMMIT, [position])
        [last] = cursor.fetchone()
    if last is None:
        raise log.LogGapError(f"Position {position} of the log is missing.")
    return int(last)


def _write(storage: Storage, first: int, end: int, before: ArchivedFile | None) -> ArchivedFile:
    with tempfile.TemporaryDirectory() as folder:
        exported, converted = Path(folder, "events.csv"), Path(folder, "events.parquet")
        _export(exported, first, end)
        _convert(exported, converted, events=end - first + 1, first=first)
        storage.put(converted, file_name(first))
    size, sha256 = storage.digest(file_name(first))
    log_id, last_event_id = log.fingerprint(end)
    if last_event_id is None:
        raise log.LogGapError(f"Position {end} of the log is missing.")
    manifest = Manifest(
        log_id=log_id,
        file=file_name(first),
        first=first,
        last=end,
        last_event_id=last_event_id,
        size=size,
        sha256=sha256,
        previous=before.manifest_sha256 if before else "",
    )
    storage.write(manifest_name(first), manifest.content)
    return _insert(manifest)


def _insert(manifest: Manifest) -> ArchivedFile:
    return ArchivedFile.objects.create(
        first=manifest.first,
        last=manifest.last,
        name=manifest.file,
        bytes=manifest.size,
        sha256=manifest.sha256,
        manifest_sha256=manifest.digest,
    )


def _export(path: Path, first: int, end: int) -> None:
    """Write the events to a CSV file, whose rows PostgreSQL makes."""
    with transaction.atomic(), connection.cursor() as cursor, path.open("wb") as file:
        cursor.execute("SET LOCAL statement_timeout = 0")
        # Django doesn't know ``copy``, and would leave its errors those of psycopg.
        with connection.wrap_database_errors, cursor.copy(_EXPORT, [first, end]) as copy:
            for block in copy:
                file.write(block)


def _convert(exported: Path, converted: Path, *, first: int, events: int) -> None:
    """Write the rows of a CSV file to a Parquet file. Raises LogGapError if one is missing."""
    texts = {name: "VARCHAR" if name in DIGESTS else COLUMNS[name] for name in COLUMNS}
    digests = [f"unhex({name}) AS {name}" for name in DIGESTS if name != "previous_hash"]
    with duckdb_of_process() as duck:
        duck.execute(
            _CONVERT.format(
                digests=", ".join(digests),
                csv=quoted(str(exported)),
                columns=texts,
                parquet=quoted(str(converted)),
            )
        )
        # Positions are unique: their number shows a gap.
        [rows] = duck.execute("SELECT count(*) FROM read_parquet(?)", [str(converted)]).fetchall()
    if rows != (events,):
        raise log.LogGapError(
            f"Of the positions {first} to {first + events - 1}, {events - rows[0]} are missing."
        )
