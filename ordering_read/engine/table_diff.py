"""Compares one table of two generations of a projection, and repairs the rows that differ.

The stored generation is the live one. The folded generation was just made from the log, so its rows
are the right ones.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db import connections, models, transaction

from ordering_read.models import Projection

# Values by column: a natural key names one row, a partial key all rows with these values.
Key = dict[str, Any]
Keys = Sequence[Key]
_Columns = dict[str, Any] | None

_PAIRS = """
WITH stored AS (SELECT {columns} FROM {table} WHERE projection_id = %(stored)s {condition}),
folded AS (SELECT {columns} FROM {table} WHERE projection_id = %(folded)s {condition}),
pair AS (
    SELECT {key}, stored, folded
    FROM stored FULL JOIN folded USING ({key}) WHERE stored IS DISTINCT FROM folded
), progress AS (
    SELECT count(DISTINCT position) = 1 AS is_aligned
    FROM projection
    WHERE id IN (%(stored)s, %(folded)s) OR owner_id IN (%(stored)s, %(folded)s)
)
"""
# One statement, so that one snapshot shows both generations and their positions. The rows are
# counted apart: PostgreSQL would first write rows that two parts of a statement read into a file.
_COMPARE = """
SELECT
    (SELECT is_aligned FROM progress),
    (SELECT count(*) FROM {table} WHERE projection_id = %(stored)s {condition}),
    (SELECT count(*) FROM {table} WHERE projection_id = %(folded)s {condition}),
    (SELECT count(*) FROM pair),
    (SELECT coalesce(jsonb_agg(row_key), '[]') FROM (
        SELECT {key} FROM pair ORDER BY {key} LIMIT %(limit)s
    ) row_key)
"""
_DIFFERENCES = """
SELECT is_aligned, to_jsonb(stored)::text, to_jsonb(folded)::text
FROM progress LEFT JOIN pair ON is_aligned ORDER BY {key}
"""
_SAMPLE = """
SELECT to_jsonb(row_key) FROM (
    SELECT {key} FROM {table} WHERE projection_id IN (%(stored)s, %(folded)s)
    GROUP BY {key} ORDER BY random() LIMIT %(limit)s
) row_key
"""
_OWNERS = "SELECT DISTINCT to_jsonb({owner}) FROM {table} WHERE projection_id = %(folded)s"
_DELETE = "DELETE FROM {table} WHERE projection_id = %(stored)s {condition}"
_COPY = """
INSERT INTO {table} (projection_id, {columns})
SELECT %(stored)s, {columns} FROM {table} WHERE projection_id = %(folded)s {condition}
"""
_CONDITION = """
AND ({names}) IN (SELECT {names} FROM jsonb_populate_recordset(NULL::{table}, %(keys)s))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowDifference:
    """A difference between a stored row and the row that the log makes.

    ``key`` names the row. ``stored`` and ``expected`` are its columns as JSON values, decimals as
    Decimal. ``stored`` is None if the row is missing, ``expected`` is None if the row is surplus.
    """

    table: str
    key: Key
    stored: _Columns
    expected: _Columns

    @property
    def columns(self) -> list[str]:
        """The columns that differ; empty when the row is missing or surplus."""
        if self.stored is None or self.expected is None:
            return []
        return [name for name, value in self.expected.items() if value != self.stored[name]]

    def __str__(self) -> str:
        return f"{row_label(self.table, self.key)}: {self._description()}"

    def _description(self) -> str:
        if self.stored is None or self.expected is None:
            return "missing" if self.stored is None else "surplus"
        return ", ".join(
            f"{name} {_text(self.stored[name])} → {_text(self.expected[name])}"
            for name in self.columns
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedTable:
    """The result of comparing one table of two generations.

    Rows are counted in the stored and in the folded generation. ``differing`` counts the rows that
    differ, ``keys`` names the first of them, and ``differences`` shows some or none of these.
    """

    table: str
    stored_rows: int
    folded_rows: int
    differing: int
    keys: Keys
    differences: Sequence[RowDifference] = ()


def row_label(table: str, key: Mapping[str, Any]) -> str:
    """Return the name of a row as people read it: the table, then the columns of the key."""
    return ", ".join([table, *(f"{name} {value}" for name, value in key.items())])


def natural_key(model: type[models.Model]) -> list[str]:
    """Return the columns that name a row within its generation.

    These are the columns after ``projection`` in the first unique constraint that begins with it.
    Raises TypeError without such a constraint.
    """
    for constraint in model._meta.constraints:
        if isinstance(constraint, models.UniqueConstraint) and constraint.fields[0] == "projection":
            columns = {field.name: field.column for field in model._meta.concrete_fields}
            return [str(columns[name]) for name in constraint.fields[1:]]
    raise TypeError(f"{model.__name__} has no unique constraint that begins with its projection.")


class TableDiff:
    """Compares the rows that ``model`` has in two generations.

    All columns are compared except the surrogate key. Rows are comparable only while all slices of
    both generations have the same position.
    """

    def __init__(
        self, model: type[models.Model], *, stored: Projection, folded: Projection
    ) -> None:
        quote = connections["read"].ops.quote_name
        self.table = model._meta.db_table
        self.key = natural_key(model)
        self._sql = {
            "table": quote(self.table),
            "key": ", ".join(map(quote, self.key)),
            # Where each row belongs to one stream, all rows of a stream share the first column.
            "owner": quote(self.key[0]),
            "columns": ", ".join(
                quote(str(field.column))
                for field in model._meta.concrete_fields
                if field.name not in ("key", "projection")
            ),
        }
        self._generations = {"stored": stored.pk, "folded": folded.pk}

    def compare(
        self, keys: Keys | None = None, *, limit: int | None = None
    ) -> ComparedTable | None:
        """Count the rows, and find the rows that differ.

        ``keys`` restricts the comparison to these rows; None compares all. ``limit`` is the largest
        number of keys to return. Returns None when the positions differ.
        """
        with transaction.atomic(using="read"), connections["read"].cursor() as cursor:
            # The time that the statement takes grows with the tables.
            cursor.execute("SET LOCAL statement_timeout = 0")
            cursor.execute(*self._statement(_PAIRS + _COMPARE, keys, limit=limit))
            is_aligned, stored_rows, folded_rows, differing, differing_keys = cursor.fetchone()
        if not is_aligned:
            return None
        return ComparedTable(
            table=self.table,
            stored_rows=stored_rows,
            folded_rows=folded_rows,
            differing=differing,
            keys=json.loads(differing_keys),
        )

    def differences(self, keys: Keys) -> list[RowDifference] | None:
        """Return the differences among the rows ``keys``; None when the positions differ."""
        with connections["read"].cursor() as cursor:
            cursor.execute(*self._statement(_PAIRS + _DIFFERENCES, keys))
            rows = cursor.fetchall()
        if not rows[0][0]:
            return None
        pairs = [(_columns(stored), _columns(expected)) for _, stored, expected in rows]
        return [
            self._difference(stored, expected) for stored, expected in pairs if stored or expected
        ]

    def _difference(self, stored: _Columns, expected: _Columns) -> RowDifference:
        columns = stored or expected or {}
        key = {name: columns[name] for name in self.key}
        return RowDifference(table=self.table, key=key, stored=stored, expected=expected)

    def repair(self, keys: Keys) -> None:
        """Replace these stored rows by the folded ones.

        Call this method in a transaction that keeps both generations at one position. Raises
        IntegrityError when another row has a value that must be unique.
        """
        with connections["read"].cursor() as cursor:
            cursor.execute(*self._statement(_DELETE, keys))
            cursor.execute(*self._statement(_COPY, keys))

    def sample(self, limit: int) -> Keys:
        """Return the keys of at most ``limit`` rows of either generation, chosen at random."""
        return self._values(_SAMPLE, limit=limit)

    def owners(self) -> list[Any]:
        """Return the values of the first column of the key in the folded rows."""
        return self._values(_OWNERS)

    def keys_of_owners(self, owners: Iterable[Any]) -> Keys:
        """Return a partial key for each owner, which names all rows of the owner."""
        return [{self.key[0]: owner} for owner in owners]

    def _values(self, statement: str, **parameters: Any) -> list[Any]:
        with connections["read"].cursor() as cursor:
            cursor.execute(statement.format(**self._sql), {**self._generations, **parameters})
            return [json.loads(value) for (value,) in cursor.fetchall()]

    def _statement(
        self, text: str, keys: Keys | None, **parameters: Any
    ) -> tuple[str, dict[str, Any]]:
        columns = self.key if not keys else list(keys[0])
        names = ", ".join(map(connections["read"].ops.quote_name, columns))
        condition = "" if keys is None else _CONDITION.format(names=names, table=self._sql["table"])
        statement = text.format(**self._sql, condition=condition)
        return statement, {**self._generations, "keys": json.dumps(keys, default=str), **parameters}


def _columns(text: str | None) -> _Columns:
    # Not float: an amount may have more digits than a float keeps.
    return None if text is None else json.loads(text, parse_float=Decimal)


def _text(value: Any) -> str:
    return str(value) if isinstance(value, Decimal) else repr(value)
