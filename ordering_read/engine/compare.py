"""Comparing the rows of two generations at one position."""

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db import connections, models, transaction

from ordering_read.models import Projection

# One statement, so that one snapshot shows both generations and where they stand.
_COMPARE = """
WITH one AS (SELECT {columns} FROM {table} WHERE projection_id = %(one)s),
other AS (SELECT {columns} FROM {table} WHERE projection_id = %(other)s),
pair AS (
    SELECT {key}, one, other FROM one FULL JOIN other USING ({key})
    WHERE one IS DISTINCT FROM other
), listed AS (
    SELECT to_jsonb(one) AS one_row, to_jsonb(other) AS other_row
    FROM pair ORDER BY {key} LIMIT %(limit)s
)
SELECT (SELECT count(DISTINCT position) FROM projection WHERE id IN (%(one)s, %(other)s)),
       (SELECT count(*) FROM one), (SELECT count(*) FROM other), (SELECT count(*) FROM pair),
       (SELECT coalesce(jsonb_agg(jsonb_build_array(one_row, other_row)), '[]') FROM listed)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A row that two generations don't have alike.

    ``key`` names it. ``one`` and ``other`` are its columns as JSON has them, of a generation that
    hasn't the row, None.
    """

    table: str
    key: dict[str, Any]
    one: dict[str, Any] | None
    other: dict[str, Any] | None

    @property
    def columns(self) -> list[str]:
        """The columns that differ; none when only one generation has the row."""
        if self.one is None or self.other is None:
            return []
        return [name for name, value in self.one.items() if value != self.other[name]]

    def __str__(self) -> str:
        key = ", ".join(f"{name} {value}" for name, value in self.key.items())
        return f"{self.table}, {key}: {self._difference()}"

    def _difference(self) -> str:
        if self.one is None:
            return "was not there"
        if self.other is None:
            return "is no longer there"
        return ", ".join(
            f"{name} {_told(self.one[name])} → {_told(self.other[name])}" for name in self.columns
        )


def _told(value: Any) -> str:
    return str(value) if isinstance(value, Decimal) else repr(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What a table has of two generations: their numbers of rows, how many rows differ, and the
    first of these by their keys."""

    table: str
    rows: tuple[int, int]
    differing: int
    differences: list[Difference]


def compare(
    model: type[models.Model], one: Projection, other: Projection, *, limit: int
) -> Comparison | None:
    """Compare all columns of the rows of ``model``, but for the surrogate key.

    At most ``limit`` differences are listed. None when the generations don't stand at the same
    position, so that their rows may well differ.
    """
    table, key = model._meta.db_table, natural_key(model)
    quote = connections["read"].ops.quote_name
    statement = _COMPARE.format(
        table=quote(table),
        key=", ".join(map(quote, key)),
        columns=", ".join(map(quote, _compared(model))),
    )
    with transaction.atomic(using="read"), connections["read"].cursor() as cursor:
        # It takes as long as the tables are large.
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute(statement, {"one": one.pk, "other": other.pk, "limit": limit})
        positions, rows, other_rows, differing, listed = cursor.fetchone()
    if positions != 1:
        return None
    return Comparison(
        table=table,
        rows=(rows, other_rows),
        differing=differing,
        differences=[
            Difference(
                table=table,
                key={name: (before or after)[name] for name in key},
                one=before,
                other=after,
            )
            for before, after in json.loads(listed, parse_float=Decimal)
        ],
    )


def natural_key(model: type[models.Model]) -> list[str]:
    """The columns that name a row within its generation: those of its first unique constraint."""
    for constraint in model._meta.constraints:
        if isinstance(constraint, models.UniqueConstraint) and constraint.fields[0] == "projection":
            columns = {field.name: field.column for field in model._meta.concrete_fields}
            return [str(columns[name]) for name in constraint.fields[1:]]
    raise TypeError(f"{model.__name__} has no unique constraint that begins with its projection.")


def _compared(model: type[models.Model]) -> list[str]:
    return [
        str(field.column)
        for field in model._meta.concrete_fields
        if field.name not in ("key", "projection")
    ]
