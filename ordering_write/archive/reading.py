"""Reads events from the files of the archive for ``log.detached``: by position, and by a column."""

import contextlib
import logging
from collections.abc import Collection, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ordering_write.archive.errors import ArchiveError, NothingArchivedError
from ordering_write.archive.rows import COLUMNS, DIGESTS, NUMBERS
from ordering_write.archive.storage import Storage, quoted
from ordering_write.log import decoding
from ordering_write.log.content import content_hash
from ordering_write.log.detached import DetachedEventsError, Span, Stored
from ordering_write.models import ArchivedFile

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

logger = logging.getLogger(__name__)

_MEGABYTES = 500
_TEXTS = ", ".join(f"found.{name}::text AS {name}" for name in COLUMNS if name not in DIGESTS)
_EVENTS = f"""
SELECT {_TEXTS}, lower(hex(hash)) AS hash, lower(hex(personal_digest)) AS personal_digest,
       lower(hex(previous_hash)) AS previous_hash
FROM read_parquet([{{files}}]) AS found
WHERE found.position BETWEEN $first AND $last {{conditions}} ORDER BY found.position
"""  # noqa: S608 (constants)
# A join would read the files whole.
_HASHES = """
SELECT stream, version, lower(hex(hash)) FROM read_parquet([{files}])
WHERE position < $last AND stream IN ({streams})
"""


def read(
    span: Span,
    column: str = "",
    values: Collection[str] = (),
    *,
    versions: tuple[int, int] | None = None,
    near: tuple[datetime, datetime] | None = None,
) -> list[Stored]:
    """Return events, each compared with its hash, as ``log.detached.Files`` says.

    Raises DetachedEventsError.
    """
    parameters: dict[str, Any] = {"first": span.first, "last": span.last}
    conditions = ""
    if column:
        conditions = f"AND {column} IN ({', '.join(map(quoted, values))})"
    if versions:
        conditions += " AND version BETWEEN $lowest AND $highest"
        parameters |= {"lowest": versions[0], "highest": versions[1]}
    if near:
        conditions += " AND recorded_at BETWEEN $since AND $to"
        parameters |= {"since": near[0], "to": near[1]}
    with _errors_of_log(span):
        rows = _rows(span, conditions, parameters)
        for row in rows:
            _check(row)
        return rows


def _rows(span: Span, conditions: str, parameters: dict[str, Any]) -> list[Stored]:
    storage = Storage()
    files = ArchivedFile.objects.filter(first__lte=span.last, last__gte=span.first)
    names = list(files.values_list("name", flat=True))
    if not names:
        raise NothingArchivedError(NothingArchivedError.__doc__)
    with storage.connect(names) as duck:
        # A thread each would cost more than it saves, and a process with threads can't be forked.
        duck.execute("SET threads = 1")
        duck.execute(f"SET memory_limit = '{_MEGABYTES}MB'")
        addresses = ", ".join(map(storage.literal, names))
        result = duck.execute(_EVENTS.format(files=addresses, conditions=conditions), parameters)
        columns = [column[0] for column in result.description or ()]
        rows = [dict(zip(columns, row, strict=True)) for row in result.fetchall()]
        for row in rows:
            row |= {name: int(row[name]) for name in NUMBERS}
        _add_previous_hashes(duck, addresses, rows)
    return rows


def _add_previous_hashes(duck: "DuckDBPyConnection", addresses: str, rows: list[Stored]) -> None:
    """Set the hash before on rows without it: that of an event in the same file, "" for none."""
    hashes = {(row["stream"], row["version"]): row["hash"] for row in rows}
    waiting = [row for row in rows if row["previous_hash"] is None]
    streams = {
        row["stream"]
        for row in waiting
        if row["version"] > 1 and (row["stream"], row["version"] - 1) not in hashes
    }
    if streams:
        statement = _HASHES.format(files=addresses, streams=", ".join(map(quoted, streams)))
        found = duck.execute(statement, {"last": rows[-1]["position"]}).fetchall()
        hashes |= {(stream, version): digest for stream, version, digest in found}
    for row in waiting:
        row["previous_hash"] = hashes.get((row["stream"], row["version"] - 1), "")


def _check(row: Stored) -> None:
    """Raise ArchiveError if the event was changed."""
    parsed = dict(row)
    try:
        decoding.parse_content(parsed)
        is_intact = content_hash(parsed, row["previous_hash"]) == row["hash"]
    except ValueError:
        is_intact = False
    if not is_intact:
        raise ArchiveError(f"position {row['position']} was changed: manage.py verify_archive")


@contextlib.contextmanager
def _errors_of_log(span: Span) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if not isinstance(error, (ArchiveError, OSError)) and not _is_of_duckdb(error):
            raise
        reason = str(error).partition("\n")[0].rstrip(".")
        logger.error("The archive can't be read: %r", error)
        raise DetachedEventsError(
            f"Events from position {span.first:,} to {span.last:,} have left the database, and the "
            f"archive can't be read: {reason}."
        ) from error


def _is_of_duckdb(error: Exception) -> bool:
    # The package may be missing.
    return type(error).__module__.partition(".")[0] in ("duckdb", "_duckdb")
