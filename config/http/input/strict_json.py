"""A strict JSON parser for untrusted bodies: it guesses nothing, and no body makes it slow."""

import json
import re
from collections import Counter
from decimal import Decimal
from typing import Any, NoReturn

from rest_framework.exceptions import ParseError

from config.http.input.validation import pointer

MAX_DEPTH = 20
# Long enough for every number that a field accepts, short enough to be parsed fast.
_MAX_NUMBER_LENGTH = 40
_MAX_INTEGER_DIGITS = 20
_MAX_EXPONENT = 30
_REFUSED = re.compile("[\x00\ud800-\udfff]")


def loads(body: bytes) -> dict[str, Any]:
    """Return the JSON object in ``body``; a number with a fraction or an exponent is a Decimal.

    Raises ParseError, with the place of the mistake if it is known, for encodings other than UTF-8,
    duplicate keys, NaN, NUL characters, lone surrogates, deep nesting and overlong numbers.
    """
    try:
        document = json.loads(
            body.decode(),
            object_pairs_hook=_object,
            parse_float=_decimal,
            parse_int=_integer,
            parse_constant=_constant,
        )
    except UnicodeDecodeError as error:
        raise ParseError(f"The body is not UTF-8 at byte {error.start}.") from error
    except json.JSONDecodeError as error:
        raise ParseError(f"The body is not JSON: {error}.") from error
    except RecursionError as error:
        raise _too_deep() from error
    if not isinstance(document, dict):
        raise ParseError("The body must be a JSON object.")
    _check(document, ())
    return document


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        key, _times = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ParseError(f"The key {key!a} appears twice in one object.")
    return document


def _decimal(literal: str) -> Decimal:
    if len(literal) <= _MAX_NUMBER_LENGTH:
        number = Decimal(literal) if len(literal.lower().partition("e")[2]) <= 4 else None
        if number is not None and abs(number.adjusted()) <= _MAX_EXPONENT:
            return number
    raise ParseError(f"The number {literal[:_MAX_NUMBER_LENGTH]} is out of any range.")


def _integer(literal: str) -> int:
    if len(literal) > _MAX_INTEGER_DIGITS:
        raise ParseError(f"The number {literal[:_MAX_NUMBER_LENGTH]} is out of any range.")
    return int(literal)


def _constant(name: str) -> NoReturn:
    raise ParseError(f"{name} is not JSON.")


def _check(value: Any, path: tuple[str | int, ...]) -> None:
    if isinstance(value, str):
        if _REFUSED.search(value):
            raise ParseError(f"A NUL character or half a surrogate pair at {pointer(*path)}.")
        return
    if not isinstance(value, dict | list):
        return
    if len(path) >= MAX_DEPTH:
        raise _too_deep()
    if isinstance(value, list):
        for index, item in enumerate(value):
            _check(item, (*path, index))
        return
    for key, item in value.items():
        if _REFUSED.search(key):
            raise ParseError(
                f"A NUL character or half a surrogate pair in a key of {pointer(*path)}."
            )
        _check(item, (*path, key))


def _too_deep() -> ParseError:
    return ParseError(f"The body is nested deeper than {MAX_DEPTH} levels.")
