"""Brings events back from the archive into the database."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from django.db import IntegrityError, connection, transaction

from ordering_write.archive.detaching import prove
from ordering_write.archive.errors import ArchiveDivergesError
from ordering_write.archive.rows import COLUMNS, DIGESTS
from ordering_write.archive.storage import Storage, duckdb_of_process, quoted
from ordering_write.archive.writing import only_one
from ordering_write.models import ArchivedFile

_STORED = [name for name in COLUMNS if name not in ("position", "previous_hash")]
_CSV = f"""
COPY (
    SELECT position, {
    ", ".join(f"coalesce(lower(hex({name})), '')" if name in DIGESTS else name for name in _STORED)
}
    FROM read_parquet({{parquet}}) ORDER BY position
) TO {{csv}} (FORMAT csv, HEADER false, FORCE_QUOTE *)
"""  # noqa: S608 (constants)
_TABLE = f"""
CREATE TEMPORARY TABLE attached AS
SELECT NULL::bigint AS position, {", ".join(_STORED)} FROM event WITH NO DATA
"""  # noqa: S608 (constants)
_COPY = f"COPY attached (position, {', '.join(_STORED)}) FROM STDIN (FORMAT csv)"
_INSERT = f"""
INSERT INTO event ({", ".join(_STORED)})
SELECT {", ".join(_STORED)} FROM attached
WHERE NOT EXISTS (SELECT FROM event WHERE event.id = attached.id) ORDER BY position
"""  # noqa: S608 (constants)
_INSERT_POSITIONS = """
INSERT INTO event_position (position, event_id)
SELECT position, id FROM attached
WHERE NOT EXISTS (SELECT FROM event_position WHERE event_position.event_id = attached.id)
"""
_FITTING = """
SELECT count(*) FROM attached JOIN event USING (id)
JOIN event_position ON event_position.event_id = event.id
WHERE event.hash = attached.hash AND event_position.position = attached.position
"""
_FORGET_SPANS = "DELETE FROM detached_span WHERE first >= %s"
_CUT_SPANS = "UPDATE detached_span SET last = %s WHERE last > %s"


def attach(storage: Storage, *, first: int = 1) -> Iterator[ArchivedFile]:
    """Insert the events that have left the database, the newest file first, and yield each file.

    The last file is that with the position ``first``. Each file is one transaction, so that a
    killed call loses nothing: the next call goes on. Raises ArchiveError for a file that doesn't
    prove itself, or that has other events than the log.
    """
    with only_one():
        files = ArchivedFile.objects.exclude(detached_at=None).filter(last__gte=first)
        for file in files.order_by("-first"):
            prove(storage, [file])
            try:
                with transaction.atomic():
                    _insert(storage, file)
                    file.detached_at = None
                    file.save(update_fields=["detached_at"])
            except IntegrityError as error:
                raise _diverges(storage, file) from error
            yield file


def _insert(storage: Storage, file: ArchivedFile) -> None:
    with tempfile.TemporaryDirectory() as folder, connection.cursor() as cursor:
        path = Path(folder, "events.csv")
        parquet = Path(folder, "events.parquet")
        parquet.write_bytes(storage.read(file.name))
        with duckdb_of_process() as duck:
            duck.execute(_CSV.format(parquet=quoted(str(parquet)), csv=quoted(str(path))))
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute(_TABLE)
        with connection.wrap_database_errors, cursor.copy(_COPY) as copy, path.open("rb") as lines:
            while block := lines.read(1 << 20):
                copy.write(block)
        cursor.execute(_INSERT)
        cursor.execute(_INSERT_POSITIONS)
        cursor.execute(_FITTING)
        if cursor.fetchone() != (file.events,):
            raise _diverges(storage, file)
        cursor.execute(_FORGET_SPANS, [file.first])
        cursor.execute(_CUT_SPANS, [file.first - 1, file.first - 1])
        cursor.execute("DROP TABLE attached")


def _diverges(storage: Storage, file: ArchivedFile) -> ArchiveDivergesError:
    return ArchiveDivergesError(
        f"{storage.url} holds other events in {file} than this log has: another log wrote the "
        "file, or this one before it was restored."
    )
