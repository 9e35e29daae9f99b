"""Readers of environment variables for the settings.

Each raises ImproperlyConfigured, with the name of the variable, for a value that it can't read.
"""

import os
import re
import warnings
from collections.abc import Iterable
from decimal import Decimal

from django.core.exceptions import ImproperlyConfigured

from config.streams import Stream

# True in commands of manage.py, which set it before the settings are read: they connect to the
# databases directly, past a pooler.
is_command = False


def flag(name: str, default: bool) -> bool:
    """Return the variable ``name``, which is 0 or 1, as a boolean."""
    value = os.environ.get(name, "")
    if value not in ("", "0", "1"):
        raise ImproperlyConfigured(f"{name} must be 0 or 1, not {value!r}.")
    return default if value == "" else value == "1"


def texts(name: str, default: str = "") -> list[str]:
    """Return the texts of the comma-separated variable ``name``, without empty ones."""
    return [part.strip() for part in os.environ.get(name, default).split(",") if part.strip()]


# PostgreSQL and the operating system take no larger whole number for each of the settings.
_LARGEST = 2**31 - 1
# The most days that a setting can name, some hundred years, and the same time in hours and minutes:
# times that end later can leave the calendar.
MOST_DAYS = 36_500
MOST_HOURS = 24 * MOST_DAYS
MOST_MINUTES = 60 * MOST_HOURS


def number(name: str, default: int, *, most: int = _LARGEST) -> int:
    """Return the variable ``name``, a whole number from 0 to ``most``."""
    value = os.environ.get(name) or str(default)
    if not value.isascii() or not value.isdigit():
        raise ImproperlyConfigured(f"{name} must be a whole number, not {value!r}.")
    # A number of thousands of digits can't even be read.
    if len(value) > 20 or int(value) > most:
        raise ImproperlyConfigured(f"{name} must be at most {most}.")
    return int(value)


def positive(name: str, default: int, *, most: int = _LARGEST) -> int:
    """Return the variable ``name``, a whole number from 1 to ``most``."""
    value = number(name, default, most=most)
    if not value:
        raise ImproperlyConfigured(f"{name} must be 1 or more.")
    return value


def choice(name: str, *values: str) -> str:
    """Return the variable ``name``, one of ``values``; by default the first."""
    value = os.environ.get(name) or values[0]
    if value not in values:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(values)}, not {value!r}.")
    return value


def word(name: str, default: str) -> str:
    """Return the variable ``name``, up to 80 letters, digits, "-" and "_"; it may be empty."""
    value = os.environ.get(name) or default
    if not re.fullmatch(r"[A-Za-z0-9_-]{0,80}", value):
        raise ImproperlyConfigured(f"{name} must consist of up to 80 letters, digits, - and _.")
    return value


def stream() -> tuple[str, str, Stream]:
    """Return the system that the relay publishes to, "" for none, the system that projections
    read the log from, and the stream.
    """
    relay = choice("RELAY", "", "nats", "kafka")
    source = choice("LOG_SOURCE", "primary", "nats", "kafka")
    addresses = {"nats": tuple(texts("NATS_URL")), "kafka": tuple(texts("KAFKA_URL"))}
    for name, system in (("RELAY", relay), ("LOG_SOURCE", source)):
        if not addresses.get(system, True):
            raise ImproperlyConfigured(
                f"{name}={system} needs {system.upper()}_URL, the addresses of the servers."
            )
    return (
        relay,
        source,
        Stream(
            name=word("RELAY_STREAM", "orders"),
            nats_servers=addresses["nats"],
            replicas=positive("NATS_REPLICAS", 1, most=5),
            kafka_servers=addresses["kafka"],
            kafka_options=options("KAFKA_OPTIONS"),
        ),
    )


def options(name: str) -> dict[str, str]:
    """Return the options of the variable ``name``, such as acks=all,linger.ms=5, by name."""
    pairs = [text.partition("=") for text in texts(name)]
    if not all(key and sign for key, sign, _ in pairs):
        raise ImproperlyConfigured(f"{name} must be such as acks=all,linger.ms=5.")
    return {key.strip(): value.strip() for key, _, value in pairs}


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


# Django warns of secret keys below these bounds (check security.W009).
_SECRET_CHARACTERS, _SECRET_DISTINCT = 50, 5
# Different pieces of three characters. A random key has about as many as characters, even of
# digits only, and a repeated word has as many as letters.
_SECRET_PIECES = 20
_COMMAND = 'python -c "import secrets; print(secrets.token_urlsafe(64))"'


def check_secrets(name: str, keys: Iterable[str]) -> None:
    """Check that nobody can guess the ``keys`` of the variable ``name``."""
    for key in keys:
        is_long = len(key) >= _SECRET_CHARACTERS and len(set(key)) >= _SECRET_DISTINCT
        pieces = {key[start : start + 3] for start in range(len(key) - 2)}
        is_random = is_long and len(pieces) >= _SECRET_PIECES
        if not is_random or key.startswith("django-insecure-"):
            raise ImproperlyConfigured(
                f"{name} can be guessed: each key needs {_SECRET_CHARACTERS} random characters, "
                f"such as {_COMMAND} prints."
            )


def check_hosts(name: str, hosts: Iterable[str]) -> None:
    """Check that the variable ``name`` lists hosts, not every host that a client may claim."""
    if "*" in hosts:
        raise ImproperlyConfigured(f"{name} must list the host names of the service, not '*'.")


def warn_of(name: str, is_set: bool, danger: str) -> None:
    """Warn on stderr that the flag ``name`` is dangerous in production, and why, if it is set."""
    if is_set:
        warnings.warn(f"{name}=1 with DATABASE_URL: {danger}", stacklevel=2)
