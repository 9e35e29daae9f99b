"""Answers SELECT statements of people from the files of the archive, by DuckDB."""

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ordering_write.archive.errors import NothingArchivedError, QueryError
from ordering_write.archive.rows import EVENTS
from ordering_write.archive.storage import Storage
from ordering_write.models import ArchivedFile

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_MEGABYTES = 1_000
# Columns with texts of people, if any column of the archive has.
_TEXTS = ("stream", "type", "actor", "channel", "data", "traceparent")


class Answer(NamedTuple):
    """The columns and rows of a statement; ``is_cut`` is True if there are more rows."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    is_cut: bool


def query(
    storage: Storage, sql: str, *, limit: int, seconds: float = 60, megabytes: int = _MEGABYTES
) -> Answer:
    """Return the first ``limit`` rows of a SELECT, which reads the table ``event``.

    The statement can read nothing but the archive, and changes nothing. Raises QueryError, also
    after ``seconds`` and beyond ``megabytes`` of memory, and other ArchiveErrors.
    """
    with opened(storage, megabytes) as duck:
        # Imported here, where the storage has found the package.
        import duckdb

        clock = threading.Timer(seconds, duck.interrupt)
        try:
            statements = duck.extract_statements(sql)
            if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
                raise QueryError("Give one SELECT: the archive is only read.")
            clock.start()
            result = duck.execute(statements[0])
            rows = result.fetchmany(limit + 1)
        except duckdb.InterruptException as error:
            raise QueryError(f"The statement takes longer than {seconds:g} seconds.") from error
        except duckdb.Error as error:
            raise QueryError(str(error)) from error
        finally:
            clock.cancel()
        columns = [column[0] for column in result.description or ()]
    return Answer(columns, rows[:limit], len(rows) > limit)


def count_matches(storage: Storage, patterns: Sequence[str]) -> dict[str, int]:
    """Return, for each column of text, the number of events that match one of the ILIKE patterns.

    Raises ArchiveErrors.
    """
    matches = [
        f"count(*) FILTER (WHERE list_bool_or([{column}::text ILIKE pattern ESCAPE '\\'"
        f" FOR pattern IN $patterns]))"
        for column in _TEXTS
    ]
    with opened(storage, _MEGABYTES) as duck:
        counts = duck.execute(
            f"SELECT {', '.join(matches)} FROM event",  # noqa: S608 (names of columns)
            {"patterns": list(patterns)},
        ).fetchone()
    return dict(zip(_TEXTS, counts or (), strict=True))


def opened(storage: Storage, megabytes: int, *, threads: int | None = None) -> "DuckDBPyConnection":
    """Return a DuckDB whose table ``event`` is the archive, and which can read nothing else.

    It has a thread for each core, or so many ``threads``. Raises NothingArchivedError.
    """
    names = list(ArchivedFile.objects.values_list("name", flat=True))
    if not names:
        raise NothingArchivedError(NothingArchivedError.__doc__)
    addresses = ", ".join(map(storage.literal, names))
    duck = storage.connect(names)
    if threads:
        duck.execute(f"SET threads = {threads}")
    duck.execute(f"SET memory_limit = '{megabytes}MB'")
    duck.execute(f"CREATE VIEW event AS {EVENTS} FROM read_parquet([{addresses}])")
    duck.execute("SET lock_configuration = true")
    return duck
