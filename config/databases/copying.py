"""Copies many rows into a table by COPY, the fastest way to write them.

The rows are sent as the JSON that pydantic writes, since COPY can read it as CSV. Dumping value by
value, as psycopg does, takes several times as long.
"""

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import connections
from django.db.models import Model
from pydantic_core import to_json

from config.databases.tables import Table

_COPY = "COPY {table} ({columns}) FROM STDIN (FORMAT csv, NULL 'null', ESCAPE '\\')"
# Rows that are sent at once.
_SENT_AT_ONCE = 500
# JSON escapes quotes and backslashes as CSV does here. It escapes control characters too, which CSV
# has as they are. The first pattern finds texts that may have some.
_MAYBE_CONTROL = re.compile(r'\\[^"\\]')
_ESCAPED = re.compile(r"\\(?:u([0-9a-f]{4})|(.))")
_CONTROL_CHARACTERS = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}


def copy(rows: Sequence[Model]) -> None:
    """Insert ``rows``, all of one model, in their order. Raises the errors of ``django.db``."""
    if not rows:
        return
    table = Table.of(type(rows[0]))
    statement = _COPY.format(table=table.name, columns=", ".join(table.columns))
    arrays = _arrays(type(rows[0]))
    connection = connections[table.alias]
    with (
        connection.wrap_database_errors,
        connection.cursor() as cursor,
        cursor.copy(statement) as target,
    ):
        for start in range(0, len(rows), _SENT_AT_ONCE):
            part = rows[start : start + _SENT_AT_ONCE]
            target.write("".join([_line(table, arrays, row) for row in part]))


def _line(table: Table, arrays: Sequence[int], row: Model) -> str:
    values = list(table.values(row))
    for index in table.json:
        if (value := values[index]) is not None:
            # Most documents are empty.
            values[index] = "[]" if value == [] else "{}" if value == {} else _json(value)
    for index in arrays:
        if (value := values[index]) is not None:
            values[index] = f"{{{_plain(_json(value)[1:-1])}}}" if value else "{}"
    return _plain(_json(values)[1:-1]) + "\n"


def _json(value: Any) -> str:
    return to_json(value).decode()


def _plain(text: str) -> str:
    """Return the JSON ``text`` with its control characters as they are."""
    return _ESCAPED.sub(_unescaped, text) if _MAYBE_CONTROL.search(text) else text


def _unescaped(match: re.Match[str]) -> str:
    code, character = match.groups()
    return chr(int(code, 16)) if code else _CONTROL_CHARACTERS.get(character, match[0])


@cache
def _arrays(model: type[Model]) -> list[int]:
    """Return the indexes of the values of ``Table`` that are arrays."""
    columns = {str(f.column) for f in model._meta.concrete_fields if isinstance(f, ArrayField)}
    return [index for index, name in enumerate(Table.of(model).columns) if name in columns]
