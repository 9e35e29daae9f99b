"""Many rows in one short statement: Django's own take longer to put together than to run."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from operator import attrgetter
from typing import Any, NamedTuple, Self, TypeVar

from django.db import connections, router
from django.db.models import AutoField, JSONField, Model
from pydantic_core import to_json

Row = TypeVar("Row", bound=Model)

# Names of tables and columns are ours: they need no quoting.
_INSERT = """
INSERT INTO {table} ({columns}) SELECT {columns} FROM json_populate_recordset(NULL::{table}, %s)
"""
_REPLACE = " ON CONFLICT ({unique}) DO UPDATE SET {assignments}"


class Table(NamedTuple):
    """What is written of the rows of a model: their columns and the fields that hold them."""

    name: str
    columns: list[str]
    values: Callable[[Model], tuple[Any, ...]]
    # Which of the values are documents.
    json: list[int]

    @classmethod
    @cache
    def of(cls, model: type[Model]) -> Self:
        # PostgreSQL itself numbers rows that have nothing else to be known by.
        fields = [f for f in model._meta.concrete_fields if not isinstance(f, AutoField)]
        return cls(
            name=model._meta.db_table,
            columns=[str(field.column) for field in fields],
            values=attrgetter(*(field.attname for field in fields)),
            json=[place for place, field in enumerate(fields) if isinstance(field, JSONField)],
        )

    def records(self, rows: Sequence[Model]) -> str:
        """``rows`` as the one parameter of a statement with json_populate_recordset: thousands of
        parameters take longer to write into a statement, and to parse, than rows take to store."""
        columns = self.columns
        return to_json([dict(zip(columns, self.values(row), strict=True)) for row in rows]).decode()


def find(model: type[Row], condition: str, parameters: Sequence[Any]) -> list[Row]:
    """The rows of ``model`` that ``SELECT … WHERE condition`` finds."""
    return load(model, f"{_select(model)} WHERE {condition}", parameters)


def load(model: type[Row], statement: str, parameters: Any) -> list[Row]:
    """The rows of ``model`` that a statement returns, with all ``columns`` in their order.

    They are named in it: with ``*`` a statement that the database has prepared would break off
    when a migration adds one.
    """
    alias = router.db_for_write(model)
    with connections[alias].cursor() as cursor:
        cursor.execute(statement, parameters)
        stored = cursor.fetchall()
    names, documents = _loaded(model)
    rows = []
    for each in stored:
        values = list(each)
        for place, from_db_value in documents:
            values[place] = from_db_value(values[place], None, None)
        rows.append(model.from_db(alias, names, values))
    return rows


@cache
def _loaded(model: type[Model]) -> tuple[list[str], list[tuple[int, Callable[..., Any]]]]:
    """The names of all fields, and where documents stand among them, with what reads them."""
    fields = model._meta.concrete_fields
    documents = [
        (place, field.from_db_value)
        for place, field in enumerate(fields)
        if isinstance(field, JSONField)
    ]
    return [field.attname for field in fields], documents


def columns(model: type[Model], *names: str) -> list[str]:
    """What the database calls these fields of ``model``, or all of them where none is named."""
    fields = {field.name: str(field.column) for field in model._meta.concrete_fields}
    return [fields[name] for name in names or fields]


@cache
def _select(model: type[Model]) -> str:
    return f"SELECT {', '.join(columns(model))} FROM {model._meta.db_table}"  # noqa: S608 (all ours)


def insert(rows: Sequence[Model]) -> None:
    """Insert ``rows``, all of one model, in their order; one statement."""
    if rows:
        write(_insert(type(rows[0]), ()), rows)


def upsert(rows: Sequence[Model], *, unique: Sequence[str]) -> None:
    """Insert ``rows``, all of one model, or replace those that have the same in the fields
    ``unique``; one statement."""
    if rows:
        write(_insert(type(rows[0]), tuple(unique)), rows)


@cache
def _insert(model: type[Model], unique: tuple[str, ...]) -> str:
    table = Table.of(model)
    named_by = columns(model, *unique)
    assignments = [f"{name} = excluded.{name}" for name in table.columns if name not in named_by]
    return _INSERT.format(table=table.name, columns=", ".join(table.columns)) + (
        _REPLACE.format(unique=", ".join(named_by), assignments=", ".join(assignments))
        if unique
        else ""
    )


def write(statement: str, rows: Sequence[Model]) -> None:
    """Run a ``statement`` that has ``rows``, all of one model, as its one parameter: ``records``
    for json_populate_recordset."""
    model = type(rows[0])
    alias, records = router.db_for_write(model), Table.of(model).records(rows)
    waiting = _waiting.get()
    if waiting is None:
        _run(alias, [(statement, records)])
    else:
        waiting.setdefault(alias, []).append((statement, records))


# By the alias of the database: statements, each with its records.
_Writes = dict[str, list[tuple[str, str]]]
_waiting: ContextVar[_Writes | None] = ContextVar("waiting", default=None)


@contextmanager
def together() -> Iterator[None]:
    """Inside it whatever ``write`` is asked for waits for the end, and is then one statement.

    Each statement is a way to the database and back, which takes longer than to write a row. What
    is read inside doesn't show what waits, and no two statements may be about the same row: the
    database refuses that.
    """
    waiting: _Writes = {}
    token = _waiting.set(waiting)
    try:
        yield
    finally:
        _waiting.reset(token)
    for alias, writes in waiting.items():
        _run(alias, writes)


def _run(alias: str, writes: Sequence[tuple[str, str]]) -> None:
    *others, last = [statement for statement, _records in writes]
    named = ", ".join(f"write_{number} AS ({each})" for number, each in enumerate(others))
    with connections[alias].cursor() as cursor:
        cursor.execute(
            f"WITH {named} {last}" if others else last, [records for _statement, records in writes]
        )
