"""Amounts of money in requests: exact decimals, never floats. Plain Python, no Django."""

import re
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

# The tables hold 19 digits, 4 of them after the point.
_AMOUNT = re.compile(r"[0-9]{1,15}(\.[0-9]{1,4})?", re.ASCII)


def parse_amount(value: Any) -> Decimal:
    """Return the amount in ``value``: a string ``digits[.digits]``, or an int or Decimal.

    Raises a pydantic error for anything else: floats, booleans, signs, exponents, other scripts'
    digits, more than 15 digits before the point or 4 after it.
    """
    if isinstance(value, str):
        text = value
    elif isinstance(value, int | Decimal) and not isinstance(value, bool):
        number = Decimal(value)
        # Format only numbers of a usable size: 1E+999999 has a million digits.
        text = f"{number:f}" if number.is_finite() and number.adjusted() < 15 else ""
    else:
        text = ""
    if not _AMOUNT.fullmatch(text):
        raise PydanticCustomError(
            "amount",
            'An amount is written as digits with a point, such as "19.90"',
        )
    return Decimal(text)


Amount = Annotated[
    Decimal,
    BeforeValidator(parse_amount),
    WithJsonSchema(
        {"type": "string", "pattern": r"^[0-9]{1,15}(\.[0-9]{1,4})?$", "examples": ["19.90"]}
    ),
]
