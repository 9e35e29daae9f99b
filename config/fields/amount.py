"""Amounts of money as they come in: exact decimals, never floats. Plain Python, no Django."""

import re
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

# 19 digits of which 4 behind the point is what the tables hold.
_AMOUNT = re.compile(r"[0-9]{1,15}(\.[0-9]{1,4})?", re.ASCII)


def parse_amount(value: Any) -> Decimal:
    """The amount in ``value``: a string ``digits[.digits]``, or a JSON number (int or Decimal).

    Raises a pydantic error for anything else: floats, booleans, signs, exponents, other scripts'
    digits, more than 15 digits before the point or 4 behind it.
    """
    if isinstance(value, str):
        written = value
    elif isinstance(value, int | Decimal) and not isinstance(value, bool):
        number = Decimal(value)
        # Written out only when it is of sane size: 1E+999999 would be a million digits.
        written = f"{number:f}" if number.is_finite() and number.adjusted() < 15 else ""
    else:
        written = ""
    if not _AMOUNT.fullmatch(written):
        raise PydanticCustomError(
            "amount",
            'An amount is written as digits with a point, such as "19.90"',
        )
    return Decimal(written)


Amount = Annotated[
    Decimal,
    BeforeValidator(parse_amount),
    WithJsonSchema(
        {"type": "string", "pattern": r"^[0-9]{1,15}(\.[0-9]{1,4})?$", "examples": ["19.90"]}
    ),
]
