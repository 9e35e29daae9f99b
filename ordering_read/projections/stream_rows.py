"""Folds events into rows that each show one stream."""

from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeVar
from uuid import UUID

from config.databases import copying, tables
from ordering_read.models import ReadModel, StreamRow
from ordering_read.projector import applies_once, is_filling
from ordering_write.published import DomainEvent

Row = TypeVar("Row", bound=StreamRow)
ReadRow = TypeVar("ReadRow", bound=ReadModel)


def fold(
    model: type[Row],
    batch: Sequence[DomainEvent],
    projection_id: int,
    *,
    key: str,
    begins: type[DomainEvent],
    change: Callable[[Row, Any], None],
) -> list[DomainEvent]:
    """Apply ``batch`` to the rows of ``model``, by two statements; by one if all rows are new.

    ``key`` is the field of the model and of every event that names the row. An event of the type
    ``begins`` creates a row, and ``change`` applies an event to a row. Returns the new events;
    events that a row already shows are ignored.

    Raises KeyError for an event whose row doesn't exist.
    """
    keys: set[UUID] = {getattr(event, key) for event in batch}
    if applies_once():
        keys -= {getattr(event, key) for event in batch if isinstance(event, begins)}
    stored_rows = stored(model, projection_id, **{key: keys}) if keys else ()
    rows: dict[UUID, Row] = {getattr(row, key): row for row in stored_rows}
    new, changed = fold_into(
        rows, batch, model, projection_id, key=key, begins=begins, change=change
    )
    upsert(model, changed, key=[key])
    return new


def stored(model: type[ReadRow], projection_id: int, **values: Collection[Any]) -> list[ReadRow]:
    """Return the rows of a generation whose fields each have one of the given ``values``."""
    columns = tables.columns(model, *values)
    condition = "".join(f" AND {column} = ANY(%s)" for column in columns)
    parameters = [projection_id, *map(list, values.values())]
    return tables.find(model, f"projection_id = %s{condition}", parameters)


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
    """Apply ``batch`` to ``rows``, a mapping by ``key``, as ``fold`` does, but in memory only.

    Adds new rows to ``rows``. Returns the new events, and the rows that these have changed.
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
        envelope = event.recorded
        version = envelope.version
        if version <= row.version:
            continue
        change(row, event)
        row.version = version
        # None only in ``fold_order``, whose row isn't stored.
        row.position = envelope.position  # type: ignore[assignment]
        # An event may be recorded late, with an earlier timestamp.
        row.updated_at = max(row.updated_at or event.timestamp, event.timestamp)
        new.append(event)
        changed[id(row)] = row
    return new, list(changed.values())


def upsert(model: type[ReadModel], rows: Sequence[ReadModel], *, key: Sequence[str]) -> None:
    """Insert ``rows``, or replace the rows of the same projection and ``key``, by one statement.

    While a generation is filled, rows that weren't read from the table are copied into it by a
    second statement, which is much faster.
    """
    if is_filling():
        copying.copy([row for row in rows if row._state.adding])
        rows = [row for row in rows if not row._state.adding]
    tables.upsert(rows, unique=["projection", *key])
