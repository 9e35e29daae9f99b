"""Writes and reads many rows by one short statement.

Django takes longer to build its statements than the database takes to run them.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from decimal import Decimal
from functools import cache
from operator import attrgetter
from typing import Any, NamedTuple, Self, TypeVar

from django.db import router
from django.db.models import AutoField, JSONField, Model
from pydantic_core import to_json

from config.databases import prepared

Row = TypeVar("Row", bound=Model)

# ``column = ANY_OF_IDS``, for a list of UUIDs. PostgreSQL would plan a statement with ``ANY(%s)``
# anew each time, because the best plan may depend on the number of elements.
ANY_OF_IDS = "ANY(ARRAY(SELECT unnest(%s::uuid[])))"

# Names of tables and columns come from the models: they need no quoting.
_INSERT = """
INSERT INTO {table} ({columns}) SELECT {columns} FROM json_populate_recordset(NULL::{table}, %s)
"""
_REPLACE = " ON CONFLICT ({unique}) DO UPDATE SET {assignments}"


class Table(NamedTuple):
    """The columns of a model that statements write, and the values of its rows in them."""

    name: str
    # The alias of the database that has the table.
    alias: str
    columns: list[str]
    values: Callable[[Model], tuple[Any, ...]]
    # The indexes of the values that are JSON documents.
    json: list[int]

    @classmethod
    @cache
    def of(cls, model: type[Model]) -> Self:
        # PostgreSQL generates surrogate keys.
        fields = [f for f in model._meta.concrete_fields if not isinstance(f, AutoField)]
        return cls(
            name=model._meta.db_table,
            alias=router.db_for_write(model),
            columns=[str(field.column) for field in fields],
            values=attrgetter(*(field.attname for field in fields)),
            json=[index for index, field in enumerate(fields) if isinstance(field, JSONField)],
        )

    def records(self, rows: Sequence[Model]) -> str:
        """Return ``rows`` as JSON, the only parameter of a statement with json_populate_recordset.

        Thousands of parameters take longer to format and to parse than the rows take to store.
        """
        columns = self.columns
        return to_json([dict(zip(columns, self.values(row), strict=True)) for row in rows]).decode()


def find(model: type[Row], condition: str, parameters: Sequence[Any]) -> list[Row]:
    """Return the rows of ``model`` that ``SELECT … WHERE condition`` finds."""
    return load(model, f"{_select(model)} WHERE {condition}", parameters)


def load(
    model: type[Row], statement: str, parameters: Any, *, extra: Sequence[str] = ()
) -> list[Row]:
    """Return the rows of ``model`` that a statement returns, with all ``columns`` in their order.

    ``extra`` are the attributes that get the values behind the columns.

    The statement must name the columns: with ``*``, a prepared statement fails when a migration
    adds a column.
    """
    alias = Table.of(model).alias
    records = prepared.fetch(alias, statement, parameters)
    names, documents = _fields_to_load(model)
    rows = []
    for record in records:
        values = list(record[: len(names)])
        for index, from_db_value in documents:
            values[index] = from_db_value(values[index], None, None)
        row = model.from_db(alias, names, values)
        vars(row).update(zip(extra, record[len(names) :], strict=True))
        rows.append(row)
    return rows


def read_json(text: str) -> Any:
    """Return the value that PostgreSQL wrote as JSON, with its amounts as Decimals."""
    return json.loads(text, parse_float=Decimal)


def rows_of_json(
    model: type[Row], records: Iterable[dict[str, Any]], *, extra: Sequence[str] = ()
) -> list[Row]:
    """Return the rows of ``model`` in the objects of ``read_json`` that have all its columns.

    ``extra`` are the attributes that get the values of other members. Ids and times stay texts.
    """
    alias, names = Table.of(model).alias, _columns_of_names(model)
    rows = []
    for record in records:
        row = model.from_db(alias, list(names), [record[column] for column in names.values()])
        vars(row).update({name: record[name] for name in extra})
        rows.append(row)
    return rows


@cache
def _columns_of_names(model: type[Model]) -> dict[str, str]:
    """Return the columns of ``model`` by the names of its attributes."""
    return {field.attname: str(field.column) for field in model._meta.concrete_fields}


@cache
def _fields_to_load(model: type[Model]) -> tuple[list[str], list[tuple[int, Callable[..., Any]]]]:
    """Return the names of all fields, and the indexes and converters of the JSON fields."""
    fields = model._meta.concrete_fields
    documents = [
        (index, field.from_db_value)
        for index, field in enumerate(fields)
        if isinstance(field, JSONField)
    ]
    return [field.attname for field in fields], documents


def columns(model: type[Model], *names: str) -> list[str]:
    """Return the columns of the fields ``names`` of ``model``; of all fields if none is named."""
    fields = {field.name: str(field.column) for field in model._meta.concrete_fields}
    return [fields[name] for name in names or fields]


@cache
def _select(model: type[Model]) -> str:
    return f"SELECT {', '.join(columns(model))} FROM {model._meta.db_table}"  # noqa: S608 (names of models)


def insert(rows: Sequence[Model]) -> None:
    """Insert ``rows``, all of one model, in their order, by one statement."""
    if rows:
        write(_insert(type(rows[0]), ()), rows)


def upsert(rows: Sequence[Model], *, unique: Sequence[str]) -> None:
    """Insert ``rows``, all of one model, or replace the rows with the same values in the fields
    ``unique``, by one statement."""
    if rows:
        write(_insert(type(rows[0]), tuple(unique)), rows)


def save(rows: Sequence[Model], *, unique: Sequence[str]) -> None:
    """Insert those ``rows``, all of one model, that weren't stored, and replace the others by the
    values of their fields ``unique``."""
    insert([row for row in rows if row._state.adding])
    upsert([row for row in rows if not row._state.adding], unique=unique)
    for row in rows:
        row._state.adding = False


@cache
def _insert(model: type[Model], unique: tuple[str, ...]) -> str:
    table = Table.of(model)
    key = columns(model, *unique)
    assignments = [f"{name} = excluded.{name}" for name in table.columns if name not in key]
    return _INSERT.format(table=table.name, columns=", ".join(table.columns)) + (
        _REPLACE.format(unique=", ".join(key), assignments=", ".join(assignments)) if unique else ""
    )


def write(statement: str, rows: Sequence[Model]) -> None:
    """Run ``statement`` with ``rows``, all of one model, as its only parameter, in the form that
    ``Table.records`` returns."""
    table = Table.of(type(rows[0]))
    write_records(table.alias, statement, table.records(rows))


def write_records(alias: str, statement: str, records: str) -> None:
    """Run ``statement`` with ``records``, a list in JSON, as its only parameter."""
    collected = _collected.get()
    if collected is None:
        _run(alias, [(statement, records)])
    else:
        collected.setdefault(alias, []).append((statement, records))


# Statements with their records, by the alias of the database.
_Writes = dict[str, list[tuple[str, str]]]
_collected: ContextVar[_Writes | None] = ContextVar("collected", default=None)


@contextmanager
def together(*, is_last: bool = False) -> Iterator[None]:
    """Collect all calls of ``write`` in the block, and run them at its end as one statement.

    Each statement is a round trip, which takes longer than writing a row. Reads in the block don't
    see the collected rows. No two calls may write the same row: the database refuses that.
    If the statement ``is_last`` in the transaction, it is run with COMMIT.
    """
    collected: _Writes = {}
    token = _collected.set(collected)
    try:
        yield
    finally:
        _collected.reset(token)
    for alias, writes in collected.items():
        _run(alias, writes, prepared.run_last if is_last else prepared.fetch)


def flush() -> None:
    """Run the writes that ``together`` has collected, so that the next statements see the rows."""
    collected = _collected.get() or {}
    for alias in list(collected):
        _run(alias, collected.pop(alias))


def _run(
    alias: str,
    writes: Sequence[tuple[str, str]],
    run: Callable[[str, str, Sequence[str]], object] = prepared.fetch,
) -> None:
    *others, last = [statement for statement, _records in writes]
    ctes = ", ".join(f"write_{number} AS ({other})" for number, other in enumerate(others))
    statement = f"WITH {ctes} {last}" if others else last
    run(alias, statement, [records for _statement, records in writes])
