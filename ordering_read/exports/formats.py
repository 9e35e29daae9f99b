"""Writes rows as CSV, for spreadsheets, and as JSON Lines, for programs."""

import csv
import io
import json
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, get_args
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from pydantic import BaseModel
from pydantic_core import to_json, to_jsonable_python

from ordering_read.queries import View

# A spreadsheet runs a text that begins with one of these as a formula, wide forms included.
_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n")
# Excel takes a file without the byte order mark for one in the system's old encoding.
BYTE_ORDER_MARK = "\ufeff"
# The columns at the end of each line of a CSV file, by which its state stays known if the file is
# renamed.
_STAMP = ("projection_position", "projection_gap")


@dataclass(frozen=True, kw_only=True)
class Stamp:
    """The state of the rows of a file: all events up to ``position``, and none after it.

    ``gap`` is the reason for which the rows lack some of the events, "" if they lack none. ``at``
    is the time of the export.
    """

    list_name: str
    position: int
    gap: str
    at: datetime
    filters: str


class CSVFile:
    """A file with a line for each row, below a line with the names of the columns.

    Each time is in two columns: in UTC, and in the time zone of the store.
    """

    suffix, content_type = "csv", "text/csv; charset=utf-8"

    def __init__(self, view: type[View], columns: Sequence[str], stamp: Stamp) -> None:
        self._columns, self._stamp = columns, stamp
        self._times = {name for name in columns if is_time(view, name)}

    def head(self) -> bytes:
        """Return the beginning of the file: the byte order mark and the names."""
        names = [
            column
            for name in self._columns
            for column in ((name, f"{name}_store_time") if name in self._times else (name,))
        ]
        return BYTE_ORDER_MARK.encode() + csv_lines([[*names, *_STAMP]])

    def lines(self, views: Iterable[View]) -> bytes:
        """Return the lines of ``views``."""
        stamp = (self._stamp.position, self._stamp.gap)
        return csv_lines([*self._cells(vars(view)), *stamp] for view in views)

    def _cells(self, values: dict[str, Any]) -> Iterable[Any]:
        for name in self._columns:
            yield values[name]
            if name in self._times:
                yield in_store_zone(values[name])


class JSONLinesFile:
    """A file with a JSON object for each row, below a line that describes the file.

    Texts stay as they are: no program runs them.
    """

    suffix, content_type = "jsonl", "application/jsonl"

    def __init__(self, view: type[View], columns: Sequence[str], stamp: Stamp) -> None:
        self._columns, self._stamp = columns, stamp
        self._times = {name for name in columns if is_time(view, name)}

    def head(self) -> bytes:
        """Return the line that describes the file."""
        stamp = self._stamp
        manifest = {
            "list": stamp.list_name,
            "filters": stamp.filters,
            "projection_position": stamp.position,
            "projection_gap": stamp.gap or None,
            "exported_at": stamp.at,
            "store_time_zone": settings.STORE_TIME_ZONE,
        }
        return to_json({"manifest": manifest}) + b"\n"

    def lines(self, views: Iterable[View]) -> bytes:
        """Return the lines of ``views``."""
        return b"".join(to_json(self._row(vars(view))) + b"\n" for view in views)

    def _row(self, values: dict[str, Any]) -> dict[str, Any]:
        row: dict[str, Any] = {}
        for name in self._columns:
            row[name] = values[name]
            if name in self._times:
                row[f"{name}_store_time"] = in_store_zone(values[name]) or None
        return row


FORMATS: dict[str, type[CSVFile] | type[JSONLinesFile]] = {
    file.suffix: file for file in (CSVFile, JSONLinesFile)
}


def csv_lines(rows: Iterable[Iterable[Any]]) -> bytes:
    """Return ``rows`` as lines of CSV, in which no text becomes a formula."""
    text = io.StringIO()
    csv.writer(text).writerows(map(cell, row) for row in rows)
    return text.getvalue().encode()


def cell(value: Any) -> str:
    """Return ``value`` as a cell: times in UTC, and parts of rows as JSON."""
    # Most cells; a test by isinstance takes three times as long.
    if type(value) in (int, Decimal, UUID):
        return str(value)
    if value is None:
        return ""
    if isinstance(value, str):
        first = value[:1]
        if not first.isascii():
            # A wide form counts too, since spreadsheets take it for the narrow one.
            first = unicodedata.normalize("NFKC", first)
        return f"'{value}" if first.startswith(_FORMULAS) else value
    if isinstance(value, int | Decimal | UUID):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, tuple) and all(isinstance(item, str) for item in value):
        return cell("; ".join(value))
    if isinstance(value, dict | tuple | BaseModel):
        return json.dumps(to_jsonable_python(value), ensure_ascii=False) if value else ""
    return str(value)


def in_store_zone(moment: datetime | None) -> str:
    """Return ``moment`` in the time zone of the store, as ISO 8601; "" for None."""
    return moment.astimezone(ZoneInfo(settings.STORE_TIME_ZONE)).isoformat() if moment else ""


def is_time(view: type[View], name: str) -> bool:
    """Return True if the field ``name`` of ``view`` is a time."""
    annotation = view.model_fields[name].annotation
    return datetime in (annotation, *get_args(annotation))
