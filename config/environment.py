"""Readers of environment variables for the settings.

Each raises ImproperlyConfigured, with the name of the variable, for a value that it can't read.
"""

import os
import re
from decimal import Decimal

from django.core.exceptions import ImproperlyConfigured


def flag(name: str, default: bool) -> bool:
    """Return the variable ``name``, which is 0 or 1, as a boolean."""
    value = os.environ.get(name, "")
    if value not in ("", "0", "1"):
        raise ImproperlyConfigured(f"{name} must be 0 or 1, not {value!r}.")
    return default if value == "" else value == "1"


def texts(name: str, default: str = "") -> list[str]:
    """Return the texts of the comma-separated variable ``name``, without empty ones."""
    return [part.strip() for part in os.environ.get(name, default).split(",") if part.strip()]


def number(name: str, default: int) -> int:
    """Return the variable ``name``, a whole number from 0 on."""
    value = os.environ.get(name) or str(default)
    if not value.isascii() or not value.isdigit():
        raise ImproperlyConfigured(f"{name} must be a whole number, not {value!r}.")
    return int(value)


def amounts(name: str, default: str) -> dict[str, Decimal]:
    """Return the amounts of money of the variable ``name``, such as EUR:200,JPY:30000, by
    currency."""
    by_currency = {}
    for text in texts(name, default):
        currency, _, amount = text.partition(":")
        if not re.fullmatch(r"[A-Z]{3}", currency) or not re.fullmatch(r"[0-9]{1,15}", amount):
            raise ImproperlyConfigured(f"{name} must be such as EUR:200,JPY:30000.")
        by_currency[currency] = Decimal(amount)
    return by_currency
