"""Counting what events of many streams add to a row."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connections

from ordering_read.engine.base import Projector
from ordering_read.models.counted_row import CountedRow
from ordering_write.published import DomainEvent


class CountingProjector(Projector):
    """A projection whose rows add up: ``models`` is one CountedRow, and ``count`` says what to add.

    A repeated event would count twice. None comes: the checkpoint moves in the transaction that
    counts.
    """

    sliced_by: ClassVar[None] = None
    models: ClassVar[tuple[type[CountedRow]]]

    @abstractmethod
    def count(self, event: Any) -> Iterator[CountedRow]:
        """What ``event``, one of ``events``, adds: a small row for each row that it changes."""

    def apply(self, batch: Sequence[DomainEvent], projection_id: int) -> None:
        if rows := merged(row for event in batch for row in self.count(event)):
            _add(self.models[0], list(rows.values()), projection_id)


def merged(rows: Iterable[CountedRow]) -> dict[tuple[Any, ...], CountedRow]:
    """One row for each name, made of all the ``rows`` of that name."""
    whole: dict[tuple[Any, ...], CountedRow] = {}
    for row in rows:
        if row.row_name in whole:
            whole[row.row_name].merge(row)
        else:
            whole[row.row_name] = row
    return whole


def store_day(at: datetime) -> date:
    """The day on which something is booked that happened ``at``: that of the store's clocks."""
    return at.astimezone(ZoneInfo(settings.STORE_TIME_ZONE)).date()


# Names of tables and columns are ours: they need no quoting.
_ADD = """
INSERT INTO {table} AS old ({columns}) VALUES {rows}
ON CONFLICT (projection_id, {named_by}) DO UPDATE SET {assignments}
"""


def _add(model: type[CountedRow], rows: Sequence[CountedRow], projection_id: int) -> None:
    """Merge ``rows``, each of another name, into the table; one statement."""
    connection = connections["read"]
    fields = [field for field in model._meta.concrete_fields if not field.primary_key]
    values = []
    for row in rows:
        row.projection_id = projection_id
        values += [
            field.get_db_prep_save(getattr(row, field.attname), connection) for field in fields
        ]
    placeholders = f"({', '.join(['%s'] * len(fields))})"
    statement = _ADD.format(
        table=model._meta.db_table,
        columns=", ".join(field.attname for field in fields),
        rows=", ".join([placeholders] * len(rows)),
        named_by=", ".join(model.named_by),
        assignments=", ".join(
            f"{name} = {merge.sql.format(old=f'old.{name}', new=f'excluded.{name}')}"
            for name, merge in model.merged_columns().items()
        ),
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
