"""The unit of work of a command: the aggregates that it has saved, and what isn't written yet.

All that a command writes is written by one statement at its end, or before its next other
statement: so no statement misses a row. Programs can let several commands share one unit. Such a
command finds in memory what an earlier one has saved.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from copy import deepcopy
from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from django.db import IntegrityError, connection, transaction
from django.db.models import Model
from psycopg.errors import UniqueViolation

from config.databases import tables
from ordering_write.domain.errors import DomainError

if TYPE_CHECKING:
    from ordering_write.models.aggregate import Aggregate

_Aggregate = TypeVar("_Aggregate", bound="Aggregate")


class OutsideCommitError(Exception):
    """Events can be emitted inside `outbox.commit()` only: dispatch a command."""


class UnitOfWork:
    """Keeps the saved aggregates, and what isn't written yet of them and of other tables."""

    def __init__(self, *, is_shared: bool, is_dry_run: bool = False) -> None:
        # True if the commands of a program share the unit, False for the unit of one command.
        self.is_shared = is_shared
        self.is_dry_run = is_dry_run
        # In a dry run: stored aggregates as they were before their first event, by their streams.
        self.originals: dict[str, Aggregate] = {}
        self._aggregates: dict[tuple[type[Aggregate], UUID], Aggregate] = {}
        self._unwritten: dict[tuple[type[Aggregate], UUID], Aggregate] = {}
        self._rows: dict[type[Model], list[Model]] = {}
        # JSON objects by the statement that inserts them.
        self._records: dict[str, list[str]] = {}
        self._updates: list[tuple[str, Sequence[Model]]] = []
        self._duplicates: dict[str, DomainError] = {}
        # The hash of the last event of each stream, as far as it was read or made.
        self.hashes: dict[str, str] = {}
        self._is_held_back = False

    def find(self, model: type[_Aggregate], key: UUID) -> _Aggregate | None:
        """Return the aggregate if the unit keeps it."""
        aggregate: Any = self._aggregates.get((model, key))
        return aggregate

    def keep(self, aggregates: "Sequence[Aggregate]") -> None:
        """Keep locked ``aggregates`` for later parts of the command and for the next commands."""
        self._aggregates |= {(type(aggregate), aggregate.pk): aggregate for aggregate in aggregates}

    def note_original(self, aggregate: "Aggregate") -> None:
        """Keep a copy of a stored aggregate, which is about to change, if this is a dry run."""
        if not (self.is_dry_run and aggregate._saved_version):
            return
        if aggregate.stream not in self.originals:
            self.originals[aggregate.stream] = deepcopy(aggregate)

    def save(
        self, aggregates: "Sequence[Aggregate]", *, duplicates: Mapping[str, DomainError]
    ) -> None:
        """Keep ``aggregates`` for the next commands, and write them later.

        A violation of a unique constraint then raises the error that ``duplicates`` has for it. In
        a shared unit, which can't tell whose row it was, it raises IntegrityError.
        """
        self.keep(aggregates)
        self._unwritten |= {(type(aggregate), aggregate.pk): aggregate for aggregate in aggregates}
        if not self.is_shared:
            self._duplicates.update(duplicates)

    def insert(self, rows: Sequence[Model]) -> None:
        """Insert ``rows`` later, those of one model in the order of the calls."""
        for row in rows:
            self._rows.setdefault(type(row), []).append(row)

    def insert_records(self, statement: str, records: Sequence[str]) -> None:
        """Run ``statement`` later, with a list of JSON objects as its only parameter."""
        self._records.setdefault(statement, []).extend(records)

    def update(self, statement: str, rows: Sequence[Model]) -> None:
        """Run ``statement`` later, as ``tables.write`` does."""
        self._updates.append((statement, rows))

    def flush(self, *, is_last: bool = False) -> None:
        """Write what isn't written yet, by one statement, which may be the last before COMMIT."""
        is_written = not (self._unwritten or self._rows or self._records or self._updates)
        if self._is_held_back or is_written:
            return
        aggregates, self._unwritten = list(self._unwritten.values()), {}
        rows, self._rows = self._rows, {}
        records, self._records = self._records, {}
        updates, self._updates = self._updates, []
        with tables.together(is_last=is_last):
            _write_aggregates(sorted(aggregates, key=lambda aggregate: type(aggregate).__name__))
            for statement, objects in records.items():
                tables.write_records(connection.alias, statement, f"[{','.join(objects)}]")
            for of_model in rows.values():
                tables.insert(of_model)
            for statement, updated_rows in updates:
                tables.write(statement, updated_rows)

    @contextmanager
    def held_back(self) -> Iterator[None]:
        """Write nothing before the statements of the block, which need no row."""
        self._is_held_back = True
        try:
            yield
        finally:
            self._is_held_back = False

    def end(self) -> None:
        """Write what isn't written yet. A dry run is undone instead.

        A dry run writes only where a unique constraint may refuse the command.
        """
        if not self.is_dry_run or self._duplicates:
            self.flush(is_last=not self.is_dry_run)
        if self.is_dry_run:
            self.undo()

    def undo(self) -> None:
        """Undo the unit: a command that failed may have changed the aggregates in memory."""
        self._unwritten.clear()
        self._rows.clear()
        self._records.clear()
        self._updates.clear()
        transaction.set_rollback(True)

    @contextmanager
    def refused_duplicates(self) -> Iterator[None]:
        """Raise the errors of ``save`` for violations of unique constraints in the block."""
        # Only the database can tell: a query beforehand would miss a parallel command.
        try:
            yield
        except IntegrityError as error:
            cause = error.__cause__
            name = cause.diag.constraint_name if isinstance(cause, UniqueViolation) else None
            if name is not None and name in self._duplicates:
                raise self._duplicates[name] from error
            raise


_current: ContextVar[UnitOfWork | None] = ContextVar("unit_of_work", default=None)


def current() -> UnitOfWork | None:
    """Return the unit of work of this command; None outside a command."""
    return _current.get()


def held_back() -> AbstractContextManager[None]:
    """Return a block whose statements need no row: a unit of work writes nothing before them."""
    unit = current()
    return unit.held_back() if unit else nullcontext()


def required() -> UnitOfWork:
    """Return the unit of work of this command. Raises OutsideCommitError."""
    unit = _current.get()
    if unit is None:
        raise OutsideCommitError(OutsideCommitError.__doc__)
    return unit


@contextmanager
def begin(*, is_shared: bool, is_dry_run: bool = False) -> Iterator[UnitOfWork]:
    """Open a transaction of the write database whose commands are one unit of work.

    A dry run is rolled back. Raises the errors of ``UnitOfWork.save``.
    """
    unit = UnitOfWork(is_shared=is_shared, is_dry_run=is_dry_run)

    def flush_first(execute: Any, *statement: Any) -> Any:
        unit.flush()
        return execute(*statement)

    with (
        unit.refused_duplicates(),
        transaction.atomic(),
        connection.execute_wrapper(flush_first),
    ):
        token = _current.set(unit)
        try:
            yield unit
            unit.end()
        finally:
            _current.reset(token)


def _write_aggregates(aggregates: "Sequence[Aggregate]") -> None:
    """Write the rows of ``aggregates``; those of one class that follow each other together."""
    for _, group in groupby(aggregates, type):
        of_one_type = list(group)
        of_one_type[0].write_all(of_one_type)
    for aggregate in aggregates:
        aggregate._saved_version = aggregate.version
