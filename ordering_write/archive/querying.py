"""Answers SELECT statements of people from the files of the archive, by DuckDB."""

import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

from ordering_write.archive.errors import NothingArchivedError, QueryError
from ordering_write.archive.rows import EVENTS
from ordering_write.archive.storage import Storage
from ordering_write.models import ArchivedFile


class Answer(NamedTuple):
    """The columns and rows of a statement; ``is_cut`` is True if there are more rows."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    is_cut: bool


def query(
    storage: Storage, sql: str, *, limit: int, seconds: float = 60, megabytes: int = 1_000
) -> Answer:
    """Return the first ``limit`` rows of a SELECT, which reads the table ``event``.

    The statement can read nothing but the archive, and changes nothing. Raises QueryError, also
    after ``seconds`` and beyond ``megabytes`` of memory, and other ArchiveErrors.
    """
    names = list(ArchivedFile.objects.values_list("name", flat=True))
    if not names:
        raise NothingArchivedError(NothingArchivedError.__doc__)
    with storage.connect(names) as duck:
        # Imported here, where the storage has found the package.
        import duckdb

        addresses = ", ".join(map(storage.literal, names))
        clock = threading.Timer(seconds, duck.interrupt)
        try:
            duck.execute(f"SET memory_limit = '{megabytes}MB'")
            duck.execute(f"CREATE VIEW event AS {EVENTS} FROM read_parquet([{addresses}])")
            duck.execute("SET lock_configuration = true")
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
