"""Counting what events of many streams add to a row."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from functools import cache
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from django.conf import settings

from config.databases import tables
from config.databases.tables import Table
from ordering_read.models.counted_row import CountedRow
from ordering_read.projector import Projector
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
        first = whole.setdefault(row.row_name, row)
        if first is not row:
            first.merge(row)
    return whole


def store_day(at: datetime) -> date:
    """The day on which something is booked that happened ``at``: that of the store's clocks."""
    return at.astimezone(ZoneInfo(settings.STORE_TIME_ZONE)).date()


# Names of tables and columns are ours: they need no quoting.
_ADD = """
INSERT INTO {table} AS old ({columns})
SELECT {columns} FROM json_populate_recordset(NULL::{table}, %s)
ON CONFLICT (projection_id, {named_by}) DO UPDATE SET {assignments}
"""


def _add(model: type[CountedRow], rows: Sequence[CountedRow], projection_id: int) -> None:
    """Merge ``rows``, each of another name, into the table; one statement."""
    for row in rows:
        row.projection_id = projection_id
    tables.write(_statement(model), rows)


@cache
def _statement(model: type[CountedRow]) -> str:
    table = Table.of(model)
    return _ADD.format(
        table=table.name,
        columns=", ".join(table.columns),
        named_by=", ".join(model.named_by),
        assignments=", ".join(
            f"{name} = {merge.sql.format(old=f'old.{name}', new=f'excluded.{name}')}"
            for name, merge in model.merged_columns().items()
        ),
    )
