"""The columns of a file, in the order in which they are exported, and the rows as of the log."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# Types of Parquet by column. Digests are binary there, and hexadecimal texts everywhere else.
# previous_hash is the hash of the event before in the stream, where that isn't in the same file.
COLUMNS = {
    "position": "BIGINT",
    "id": "BIGINT",
    "event_id": "UUID",
    "stream": "VARCHAR",
    "version": "INTEGER",
    "type": "VARCHAR",
    "schema_version": "SMALLINT",
    "timestamp": "TIMESTAMPTZ",
    "recorded_at": "TIMESTAMPTZ",
    "actor": "JSON",
    "channel": "VARCHAR",
    "command_id": "UUID",
    "correlation_id": "UUID",
    "causation_id": "UUID",
    "commit_id": "UUID",
    "data": "JSON",
    "personal_id": "UUID",
    "personal_digest": "BLOB",
    "traceparent": "VARCHAR",
    "hash": "BLOB",
    "previous_hash": "BLOB",
}
DIGESTS = tuple(name for name, column_type in COLUMNS.items() if column_type == "BLOB")
# Selects digests as the log has them.
_HEXADECIMAL = ", ".join(f"lower(hex({name})) AS {name}" for name in DIGESTS)
# The table of events that statements of people read.
EVENTS = f"SELECT * EXCLUDE (previous_hash) REPLACE ({_HEXADECIMAL.rpartition(', ')[0]})"
_ROWS = f"""
SELECT {", ".join(f"{name}::text AS {name}" for name in COLUMNS if name not in DIGESTS)},
       {_HEXADECIMAL}
FROM read_parquet(?, file_row_number = true)
WHERE file_row_number >= ? AND file_row_number < ? ORDER BY file_row_number
"""  # noqa: S608 (constants)
NUMBERS = ("position", "id", "version", "schema_version")
_GROUPS = """
SELECT DISTINCT row_group_id, row_group_num_rows FROM parquet_metadata(?) ORDER BY row_group_id
"""


class RowGroup(NamedTuple):
    """Rows of a file that are compressed together, from ``first`` (0) to before ``end``."""

    first: int
    end: int


def groups(duck: "DuckDBPyConnection", address: str) -> Iterator[RowGroup]:
    """Yield the groups of a file. Raises duckdb.Error if its end can't be read."""
    first = 0
    for _, rows in duck.execute(_GROUPS, [address]).fetchall():
        yield RowGroup(first, first + rows)
        first += rows


def read(duck: "DuckDBPyConnection", address: str, group: RowGroup) -> list[dict[str, Any]]:
    """Return the rows of a group, with ids, times and JSON as texts.

    Raises duckdb.Error if they can't be read.
    """
    result = duck.execute(_ROWS, [address, *group])
    names = [column[0] for column in result.description or ()]
    rows = [dict(zip(names, values, strict=True)) for values in result.fetchall()]
    for row in rows:
        row |= {name: int(row[name]) for name in NUMBERS}
    return rows
