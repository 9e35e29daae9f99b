"""The rows that two generations have of one table: those that are served, and those that the log
has made anew."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db import connections, models, transaction

from ordering_read.engine.compare import natural_key
from ordering_read.models import Projection

# Values of some columns by which rows are named.
Names = Sequence[dict[str, Any]]
_Columns = dict[str, Any] | None

_PAIRS = """
WITH stored AS (SELECT {columns} FROM {table} WHERE projection_id = %(stored)s {chosen}),
folded AS (SELECT {columns} FROM {table} WHERE projection_id = %(folded)s {chosen}),
pair AS (
    SELECT {key}, to_jsonb(stored) AS stored, to_jsonb(folded) AS folded
    FROM stored FULL JOIN folded USING ({key}) WHERE stored IS DISTINCT FROM folded
)
"""
# One statement, so that one snapshot shows both generations and where they stand.
_COMPARE = """
SELECT
    (SELECT count(DISTINCT position) FROM projection WHERE id IN (%(stored)s, %(folded)s)) = 1,
    (SELECT count(*) FROM {table} WHERE projection_id = %(folded)s {chosen}),
    (SELECT coalesce(jsonb_agg(name), '[]') FROM (SELECT {key} FROM pair ORDER BY {key}) name)
"""
_FIND = "SELECT stored::text, folded::text FROM pair ORDER BY {key}"
_SOME = """
SELECT to_jsonb(name) FROM (
    SELECT {key} FROM {table} WHERE projection_id IN (%(stored)s, %(folded)s)
    GROUP BY {key} ORDER BY random() LIMIT %(limit)s
) name
"""
_OWNERS = "SELECT DISTINCT to_jsonb({owner}) FROM {table} WHERE projection_id = %(folded)s"
_DELETE = "DELETE FROM {table} WHERE projection_id = %(stored)s {chosen}"
_COPY = """
INSERT INTO {table} (projection_id, {columns})
SELECT %(stored)s, {columns} FROM {table} WHERE projection_id = %(folded)s {chosen}
"""
_CHOSEN = """
AND ({named}) IN (SELECT {named} FROM jsonb_populate_recordset(NULL::{table}, %(chosen)s))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A row that isn't what the log says.

    ``key`` names it. ``stored`` and ``right`` are its columns as JSON has them, numbers exact: what
    readers are served, None for a row that is missing, and what they should be, None for one that
    is surplus.
    """

    table: str
    key: dict[str, Any]
    stored: dict[str, Any] | None
    right: dict[str, Any] | None

    @property
    def columns(self) -> list[str]:
        """The columns that differ; none when the row is missing or surplus."""
        if self.stored is None or self.right is None:
            return []
        return [name for name, value in self.right.items() if value != self.stored[name]]

    def __str__(self) -> str:
        return f"{named(self.table, self.key)}: {self._difference()}"

    def _difference(self) -> str:
        if self.stored is None or self.right is None:
            return "missing" if self.stored is None else "surplus"
        return ", ".join(
            f"{name} {_shown(self.stored[name])} → {_shown(self.right[name])}"
            for name in self.columns
        )


def named(table: str, key: Mapping[str, Any]) -> str:
    """A row, for people."""
    return ", ".join([table, *(f"{name} {value}" for name, value in key.items())])


def _shown(value: Any) -> str:
    return str(value) if isinstance(value, Decimal) else repr(value)


class Rows:
    """The rows of ``model`` in the generations ``stored``, which is served, and ``folded``, which
    was made from the log to be compared with it."""

    def __init__(self, model: type[models.Model], stored: Projection, folded: Projection) -> None:
        quote = connections["read"].ops.quote_name
        self.table = model._meta.db_table
        self.key = natural_key(model)
        self._parts = {
            "table": quote(self.table),
            "key": ", ".join(map(quote, self.key)),
            # Where each row belongs to one stream, all rows of a stream have this in common.
            "owner": quote(self.key[0]),
            "columns": ", ".join(
                quote(str(field.column))
                for field in model._meta.concrete_fields
                if field.name not in ("key", "projection")
            ),
        }
        self._generations = {"stored": stored.pk, "folded": folded.pk}

    def compare(self, chosen: Names | None = None) -> tuple[int, Names] | None:
        """How many rows there should be, and the names of those that aren't as they should be.

        None when the generations don't stand at the same position, so that their rows may well
        differ. Wherever ``chosen`` is given, it names the rows that matter, by all or some columns
        of their keys.
        """
        with transaction.atomic(using="read"), connections["read"].cursor() as cursor:
            # It takes as long as the tables are large.
            cursor.execute("SET LOCAL statement_timeout = 0")
            cursor.execute(*self._statement(_PAIRS + _COMPARE, chosen))
            at_one_position, rows, names = cursor.fetchone()
        return (rows, json.loads(names)) if at_one_position else None

    def find(self, chosen: Names) -> list[Finding]:
        """The rows that aren't as they should be, if both generations stand at one position."""
        with connections["read"].cursor() as cursor:
            cursor.execute(*self._statement(_PAIRS + _FIND, chosen))
            pairs = [[_columns(text) for text in pair] for pair in cursor.fetchall()]
        return [self._finding(stored, right) for stored, right in pairs]

    def _finding(self, stored: _Columns, right: _Columns) -> Finding:
        either = stored or right or {}
        key = {name: either[name] for name in self.key}
        return Finding(table=self.table, key=key, stored=stored, right=right)

    def mend(self, chosen: Names) -> None:
        """Serve what the log has made instead of what was stored, if both generations stand at one
        position, and these can't be moved on meanwhile.

        Raises IntegrityError when another row has what must be unique.
        """
        with connections["read"].cursor() as cursor:
            cursor.execute(*self._statement(_DELETE, chosen))
            cursor.execute(*self._statement(_COPY, chosen))

    def some(self, limit: int) -> Names:
        """The names of at most ``limit`` rows of either generation, by chance."""
        return self._values(_SOME, limit=limit)

    def owners(self) -> list[Any]:
        """The values that the first column of the key has in the rows which the log has made."""
        return self._values(_OWNERS)

    def owned_by(self, owners: Iterable[Any]) -> Names:
        """The names that all rows of these owners share."""
        return [{self.key[0]: owner} for owner in owners]

    def _values(self, statement: str, **parameters: Any) -> list[Any]:
        with connections["read"].cursor() as cursor:
            cursor.execute(statement.format(**self._parts), {**self._generations, **parameters})
            return [json.loads(value) for (value,) in cursor.fetchall()]

    def _statement(self, text: str, chosen: Names | None) -> tuple[str, dict[str, Any]]:
        named = self.key if not chosen else list(chosen[0])
        quoted = ", ".join(map(connections["read"].ops.quote_name, named))
        choice = "" if chosen is None else _CHOSEN.format(named=quoted, table=self._parts["table"])
        statement = text.format(**self._parts, chosen=choice)
        return statement, {**self._generations, "chosen": json.dumps(chosen, default=str)}


def _columns(text: str | None) -> _Columns:
    # As they are: a float has fewer digits than an amount may have.
    return None if text is None else json.loads(text, parse_float=Decimal)
