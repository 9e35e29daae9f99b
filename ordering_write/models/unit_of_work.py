"""The unit of work: commands that share one transaction, their aggregates and their writes.

A command alone locks, reads and writes its aggregates and appends its events by some ten
statements. The commands of a unit of work find in memory what an earlier one has saved, and all
that they write is written before the next other statement: so no statement misses a row.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Model

from config.databases import tables

if TYPE_CHECKING:
    from ordering_write.models.aggregate import Aggregate

_Aggregate = TypeVar("_Aggregate", bound="Aggregate")


class UnitOfWork:
    """Keeps the saved aggregates, and what isn't written yet of them and of other tables."""

    def __init__(self) -> None:
        self._aggregates: dict[tuple[type[Aggregate], UUID], Aggregate] = {}
        self._unwritten: dict[tuple[type[Aggregate], UUID], Aggregate] = {}
        self._rows: dict[type[Model], list[Model]] = {}
        # The hash of the last event of each stream to which the unit has appended.
        self.hashes: dict[str, str] = {}
        self._is_held_back = False

    def find(self, model: type[_Aggregate], key: UUID) -> _Aggregate | None:
        """Return the aggregate if an earlier command of the unit has saved it."""
        aggregate: Any = self._aggregates.get((model, key))
        return aggregate

    def save(self, aggregates: "Sequence[Aggregate]") -> None:
        """Keep ``aggregates`` for the next commands, and write them later."""
        saved = {(type(aggregate), aggregate.pk): aggregate for aggregate in aggregates}
        self._aggregates.update(saved)
        self._unwritten.update(saved)

    def insert(self, rows: Sequence[Model]) -> None:
        """Insert ``rows`` later, those of one model in the order of the calls."""
        for row in rows:
            self._rows.setdefault(type(row), []).append(row)

    def flush(self) -> None:
        """Write what isn't written yet, by one statement."""
        if self._is_held_back or not (self._unwritten or self._rows):
            return
        aggregates, self._unwritten = list(self._unwritten.values()), {}
        rows, self._rows = self._rows, {}
        with tables.together():
            write_aggregates(sorted(aggregates, key=lambda aggregate: type(aggregate).__name__))
            for of_model in rows.values():
                tables.insert(of_model)

    @contextmanager
    def held_back(self) -> Iterator[None]:
        """Write nothing before the statements of the block, which need no row."""
        self._is_held_back = True
        try:
            yield
        finally:
            self._is_held_back = False

    def fail(self) -> None:
        """Undo the unit: a command that failed may have changed the aggregates in memory."""
        self._unwritten.clear()
        self._rows.clear()
        transaction.set_rollback(True)


_current: ContextVar[UnitOfWork | None] = ContextVar("unit_of_work", default=None)


def current() -> UnitOfWork | None:
    """Return the unit of work of this command; None for a command alone."""
    return _current.get()


def held_back() -> AbstractContextManager[None]:
    """Return a block whose statements need no row: a unit of work writes nothing before them."""
    unit = current()
    return unit.held_back() if unit else nullcontext()


@contextmanager
def begin() -> Iterator[UnitOfWork]:
    """Open a transaction of the write database in which commands are one unit of work."""
    unit = UnitOfWork()

    def flush_first(execute: Any, *statement: Any) -> Any:
        unit.flush()
        return execute(*statement)

    with transaction.atomic(), connection.execute_wrapper(flush_first):
        token = _current.set(unit)
        try:
            yield unit
            unit.flush()
        finally:
            _current.reset(token)


def write_aggregates(aggregates: "Sequence[Aggregate]") -> None:
    """Write the rows of ``aggregates``; those of one class that follow each other together."""
    for _, group in groupby(aggregates, type):
        of_one_type = list(group)
        of_one_type[0].write_all(of_one_type)
    for aggregate in aggregates:
        aggregate._saved_version = aggregate.version
