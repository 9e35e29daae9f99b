"""Reads the file of tax rates that TAX_RATES_FILE names. Plain Python, no Django but its error.

The file is a CSV table in UTF-8 with a line per rate; empty lines and lines that begin with # are
comments:

    country,region,tax_class,label,rate
    ES,,,IVA 21 %,21
    ES,,food,IVA 4 %,4
    ES,Canarias,,IGIC 7 %,7
"""

import csv
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from django.core.exceptions import ImproperlyConfigured

COLUMNS = ("country", "region", "tax_class", "label", "rate")
_TAX_CLASS = re.compile(r"([a-z0-9]+([-_][a-z0-9]+)*)?", re.ASCII)
_RATE = re.compile(r"[0-9]{1,3}(\.[0-9]{1,4})?", re.ASCII)
_LONGEST = {"region": 40, "tax_class": 40, "label": 100}


class TaxRate(NamedTuple):
    """A rate in per cent, for the addresses of a country and perhaps of one of its regions.

    An empty region stands for all others of the country, an empty tax class for all other products.
    """

    country: str
    region: str
    tax_class: str
    label: str
    rate: Decimal


def read(path: Path) -> tuple[TaxRate, ...]:
    """Return the rates in the file at ``path``.

    Raises ImproperlyConfigured, with the number of the line, for a file that isn't as above.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ImproperlyConfigured(f"TAX_RATES_FILE {path}: {error.strerror}.") from error
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        raise _fault(path, number, "the text isn't UTF-8") from error
    rates: dict[tuple[str, ...], TaxRate] = {}
    for number, cells in _rows(path, lines):
        rate = _rate(path, number, cells)
        if rates.setdefault(rate[:-1], rate) is not rate:
            raise _fault(path, number, f"{rate.label} stands there twice for one tax class")
    if not rates:
        raise ImproperlyConfigured(f"TAX_RATES_FILE {path} has no rates.")
    return tuple(rates.values())


def _rows(path: Path, lines: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the cells of each line below the header that isn't a comment."""
    is_header = True
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            [cells] = csv.reader([line], strict=True)
        except csv.Error as error:
            raise _fault(path, number, f"{error}") from error
        cells = [cell.strip() for cell in cells]
        if is_header:
            if tuple(cells) != COLUMNS:
                raise _fault(path, number, f"the first line must be {','.join(COLUMNS)}")
            is_header = False
        else:
            yield number, cells


def _rate(path: Path, number: int, cells: list[str]) -> TaxRate:
    if len(cells) != len(COLUMNS):
        raise _fault(path, number, f"there are {len(cells)} columns, not {len(COLUMNS)}")
    values = dict(zip(COLUMNS, cells, strict=True))
    for column, longest in _LONGEST.items():
        if len(values[column]) > longest:
            raise _fault(path, number, f"the {column} has more than {longest} characters")
    if not _is_country(values["country"]):
        country = values["country"]
        raise _fault(path, number, f"{country!r} is no ISO 3166 code of a country such as ES")
    if not _TAX_CLASS.fullmatch(values["tax_class"]):
        tax_class = values["tax_class"]
        raise _fault(path, number, f"{tax_class!r} is no tax class such as food or gift_wrap")
    if not values["label"].isprintable() or not values["label"]:
        raise _fault(path, number, "the label is empty, or can't be printed")
    if not _RATE.fullmatch(values["rate"]):
        rate = values["rate"]
        raise _fault(path, number, f"{rate!r} is no rate in per cent such as 21 or 5.5")
    country, region, tax_class, label, rate = cells
    return TaxRate(country, region, tax_class, label, Decimal(rate))


def _is_country(code: str) -> bool:
    # Imported here: only shops with a file of rates need the table of countries this early.
    import pycountry

    return bool(code) and any(country.alpha_2 == code for country in pycountry.countries)


def _fault(path: Path, number: int, reason: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(f"TAX_RATES_FILE {path}, line {number}: {reason}.")
