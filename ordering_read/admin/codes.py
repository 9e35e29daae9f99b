"""Countries and currencies by name, for fields in which people choose a code."""

import unicodedata
from functools import cache
from typing import Any

import iso4217
import pycountry


@cache
def countries() -> list[tuple[str, str]]:
    """Return the code and the name of each country, by name."""
    names = {country["alpha_2"]: country for country in map(dict, pycountry.countries)}
    pairs = [(code, names[code].get("common_name") or names[code]["name"]) for code in names]
    # Åland Islands stand among the names with A.
    return sorted(pairs, key=lambda pair: unicodedata.normalize("NFKD", pair[1]))


def country_name(code: str) -> str:
    """Return the name of the country with this ISO 3166 code; the code, if there is none."""
    return dict(countries()).get(code, code)


def destination(row: Any) -> str:
    """Return the city of ``row`` with the name of its country, as people read it."""
    return f"{row.city}, {country_name(row.country)}" if row.country else "no shipping"


@cache
def currencies() -> list[tuple[str, str]]:
    """Return the code and the name of each currency with a minor unit, by code."""
    usable = [currency for currency in iso4217.Currency if currency.exponent is not None]
    pairs = [(currency.code, f"{currency.code}, {currency.currency_name}") for currency in usable]
    return sorted(pairs)
