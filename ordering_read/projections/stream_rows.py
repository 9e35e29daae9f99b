"""Folding events into rows of which each shows one stream."""

from collections.abc import Callable, Sequence
from functools import cache
from operator import attrgetter
from typing import Any, NamedTuple, Self, TypeVar, cast
from uuid import UUID

from django.db import connections
from django.db.models import JSONField, QuerySet
from pydantic_core import to_json

from ordering_read.engine.base import is_filling
from ordering_read.models import ReadModel, StreamRow
from ordering_write.published import DomainEvent

Row = TypeVar("Row", bound=StreamRow)


def fold(
    model: type[Row],
    batch: Sequence[DomainEvent],
    projection_id: int,
    *,
    key: str,
    begins: type[DomainEvent],
    change: Callable[[Row, Any], None],
) -> list[DomainEvent]:
    """Bring the rows of ``model`` that ``batch`` is about up to date, in two statements.

    ``key`` names the row: it is a field of the model and of every event. An event of the type
    ``begins`` makes a row, and ``change`` does to a row what an event says. Returns the events
    that were new; those that a row shows already are left alone.

    Raises KeyError for an event whose row was never begun.
    """
    keys: set[UUID] = {getattr(event, key) for event in batch}
    if is_filling():
        keys -= {getattr(event, key) for event in batch if isinstance(event, begins)}
    known: QuerySet[Any] = model.objects.filter(projection_id=projection_id, **{f"{key}__in": keys})
    rows: dict[UUID, Row] = {getattr(row, key): row for row in known} if keys else {}
    new, changed = fold_into(
        rows, batch, model, projection_id, key=key, begins=begins, change=change
    )
    upsert(model, changed, key=[key])
    return new


def fold_into(
    rows: dict[UUID, Row],
    batch: Sequence[DomainEvent],
    model: type[Row],
    projection_id: int,
    *,
    key: str,
    begins: type[DomainEvent],
    change: Callable[[Row, Any], None],
) -> tuple[list[DomainEvent], list[Row]]:
    """Bring ``rows``, which are named by ``key``, up to date in memory, and add those that begin.

    As ``fold`` does it, and nothing is written. Returns the events that were new, and the rows that
    they have changed.
    """
    new: list[DomainEvent] = []
    changed: dict[int, Row] = {}
    for event in batch:
        row_key = getattr(event, key)
        row = rows.get(row_key)
        if row is None:
            if not isinstance(event, begins):
                raise KeyError(row_key)
            row = rows[row_key] = model(projection_id=projection_id, **{key: row_key})
        recorded = event.recorded
        if recorded.version <= row.version:
            continue
        change(row, event)
        row.version = recorded.version
        # What is stored was read from the log, where it has one.
        row.position = cast(int, recorded.position)
        # A fact may be told late; what a row shows is never older for it.
        row.updated_at = max(row.updated_at or event.timestamp, event.timestamp)
        new.append(event)
        changed[id(row)] = row
    return new, list(changed.values())


class Table(NamedTuple):
    """What is written of the rows of a read model: their columns and the fields that hold them."""

    name: str
    columns: list[str]
    values: Callable[[ReadModel], tuple[Any, ...]]
    # Which of the values are documents.
    json: list[int]

    @classmethod
    @cache
    def of(cls, model: type[ReadModel]) -> Self:
        fields = [field for field in model._meta.concrete_fields if not field.primary_key]
        return cls(
            name=model._meta.db_table,
            columns=[str(field.column) for field in fields],
            values=attrgetter(*(field.attname for field in fields)),
            json=[place for place, field in enumerate(fields) if isinstance(field, JSONField)],
        )

    def records(self, rows: Sequence[ReadModel]) -> str:
        """``rows`` as the one parameter of a statement with json_populate_recordset: thousands of
        parameters take longer to write into a statement, and to parse, than rows take to store."""
        columns = self.columns
        return to_json([dict(zip(columns, self.values(row), strict=True)) for row in rows]).decode()


# Names of tables and columns are ours: they need no quoting.
_UPSERT = """
INSERT INTO {table} ({columns}) SELECT {columns} FROM json_populate_recordset(NULL::{table}, %s)
ON CONFLICT ({unique}) DO UPDATE SET {assignments}
"""


def upsert(model: type[ReadModel], rows: Sequence[ReadModel], *, key: Sequence[str]) -> None:
    """Insert ``rows``, or replace those of the same projection and ``key``; one statement.

    Where a generation is filled, rows that weren't read from the table are copied into it, which
    is much faster; that is a second statement.
    """
    table = Table.of(model)
    if is_filling():
        _copy(table, [row for row in rows if row._state.adding])
        rows = [row for row in rows if not row._state.adding]
    if rows:
        with connections["read"].cursor() as cursor:
            cursor.execute(_upsert(model, tuple(key)), [table.records(rows)])


@cache
def _upsert(model: type[ReadModel], key: tuple[str, ...]) -> str:
    table = Table.of(model)
    columns = {field.name: str(field.column) for field in model._meta.concrete_fields}
    unique = [columns[name] for name in ("projection", *key)]
    return _UPSERT.format(
        table=table.name,
        columns=", ".join(table.columns),
        unique=", ".join(unique),
        assignments=", ".join(
            f"{column} = excluded.{column}" for column in table.columns if column not in unique
        ),
    )


def _copy(table: Table, rows: Sequence[ReadModel]) -> None:
    if not rows:
        return
    statement = f"COPY {table.name} ({', '.join(table.columns)}) FROM STDIN"
    with connections["read"].cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            stored = list(table.values(row))
            for place in table.json:
                if stored[place] is not None:
                    stored[place] = to_json(stored[place]).decode()
            copy.write_row(stored)
