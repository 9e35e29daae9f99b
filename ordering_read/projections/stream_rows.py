"""Folding events into rows of which each shows one stream."""

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, TypeVar, cast
from uuid import UUID

from django.db import connections
from django.db.models import JSONField, QuerySet
from psycopg.types.json import Jsonb
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
        # Whatever is read from the log has one.
        row.position = cast(int, recorded.position)
        # A fact may be told late; what a row shows is never older for it.
        row.updated_at = max(row.updated_at or event.timestamp, event.timestamp)
        new.append(event)
        changed[id(row)] = row
    upsert(model, list(changed.values()), key=[key])
    return new


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
    if is_filling():
        _copy(model, [row for row in rows if row._state.adding])
        rows = [row for row in rows if not row._state.adding]
    if not rows:
        return
    fields = [field for field in model._meta.concrete_fields if not field.primary_key]
    columns = {field.name: str(field.column) for field in fields}
    unique = [columns[name] for name in ("projection", *key)]
    statement = _UPSERT.format(
        table=model._meta.db_table,
        columns=", ".join(columns.values()),
        unique=", ".join(unique),
        assignments=", ".join(
            f"{column} = excluded.{column}" for column in columns.values() if column not in unique
        ),
    )
    values = attrgetter(*(field.attname for field in fields))
    # One parameter, whatever the number of rows: thousands of them take longer to write into a
    # statement, and to parse, than the rows take to store.
    records = to_json([dict(zip(columns.values(), values(row), strict=True)) for row in rows])
    with connections["read"].cursor() as cursor:
        cursor.execute(statement, [records.decode()])


def _copy(model: type[ReadModel], rows: Sequence[ReadModel]) -> None:
    connection = connections["read"]
    fields = [field for field in model._meta.concrete_fields if not field.primary_key]
    columns = ", ".join(connection.ops.quote_name(str(field.column)) for field in fields)
    table = connection.ops.quote_name(model._meta.db_table)
    values = attrgetter(*(field.attname for field in fields))
    json = [number for number, field in enumerate(fields) if isinstance(field, JSONField)]
    with connection.cursor() as cursor, cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
        for row in rows:
            stored = list(values(row))
            for number in json:
                if stored[number] is not None:
                    stored[number] = Jsonb(stored[number])
            copy.write_row(stored)
