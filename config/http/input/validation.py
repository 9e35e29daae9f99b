"""The ``errors`` of a problem, made of a pydantic ValidationError."""

from urllib.parse import quote

from pydantic import ValidationError

from config.fields.members import BodyError

# A body can hold a hundred thousand unknown fields, and nobody reads so many errors.
_MOST_ERRORS = 100
_CODES = {"extra_forbidden": "unknown-field", "missing": "missing"}


def errors_of(error: ValidationError) -> list[BodyError]:
    """Return the first mistakes that ``error`` lists, at most _MOST_ERRORS."""
    details = error.errors(include_url=False, include_input=False)[:_MOST_ERRORS]
    return [
        {
            "pointer": pointer(*detail["loc"]),
            "detail": _text(detail["type"], detail["msg"]),
            "code": _CODES.get(detail["type"], detail["type"].replace("_", "-")),
        }
        for detail in details
    ]


def pointer(*steps: str | int) -> str:
    """Return the JSON pointer to a place in a body.

    ``pointer("items", 0, "quantity")`` is ``#/items/0/quantity``.
    """
    escaped = (str(step).replace("~", "~0").replace("/", "~1") for step in steps)
    return "#" + "".join(f"/{quote(step, safe='~')}" for step in escaped)


def _text(error_type: str, message: str) -> str:
    if error_type == "extra_forbidden":
        return "There is no such field."
    return message.removeprefix("Value error, ")
