"""The base class of projections that add up events of many streams."""

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
    """A projection whose rows are sums of increments; ``models`` is one type of CountedRow.

    The checkpoint moves in the transaction that adds, so no event is counted twice.
    """

    sliced_by: ClassVar[None] = None
    models: ClassVar[tuple[type[CountedRow]]]

    @abstractmethod
    def increments(self, event: Any) -> Iterator[CountedRow]:
        """Yield an increment for each row that ``event`` changes; its type is one of ``events``."""

    def apply(self, batch: Sequence[DomainEvent], projection_id: int) -> None:
        if rows := merge_by_name(row for event in batch for row in self.increments(event)):
            _add(self.models[0], list(rows.values()), projection_id)


def merge_by_name(increments: Iterable[CountedRow]) -> dict[tuple[Any, ...], CountedRow]:
    """Merge all increments of the same name into one row; returns the rows by name."""
    rows: dict[tuple[Any, ...], CountedRow] = {}
    for increment in increments:
        row = rows.setdefault(increment.row_name, increment)
        if row is not increment:
            row.merge(increment)
    return rows


def store_day(time: datetime) -> date:
    """Return the day of ``time`` in the STORE_TIME_ZONE."""
    return time.astimezone(ZoneInfo(settings.STORE_TIME_ZONE)).date()


# Names of tables and columns come from the models: they need no quoting.
_ADD = """
INSERT INTO {table} AS old ({columns})
SELECT {columns} FROM json_populate_recordset(NULL::{table}, %s)
ON CONFLICT (projection_id, {named_by}) DO UPDATE SET {assignments}
"""


def _add(model: type[CountedRow], rows: Sequence[CountedRow], projection_id: int) -> None:
    """Merge ``rows``, whose names all differ, into the table by one statement."""
    for row in rows:
        row.projection_id = projection_id
    tables.write(_add_statement(model), rows)


@cache
def _add_statement(model: type[CountedRow]) -> str:
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
