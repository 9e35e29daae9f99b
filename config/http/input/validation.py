"""What a pydantic model found wrong, as the ``errors`` of a problem."""

from urllib.parse import quote

from pydantic import ValidationError

# A body can hold a hundred thousand unknown fields; nobody reads more complaints than this.
_MOST_ERRORS = 100
_CODES = {"extra_forbidden": "unknown-field", "missing": "missing"}


def errors_of(error: ValidationError) -> list[dict[str, str]]:
    """One ``{pointer, detail, code}`` per complaint; the pointer is a JSON pointer as fragment."""
    complaints = error.errors(include_url=False, include_input=False)[:_MOST_ERRORS]
    return [
        {
            "pointer": pointer(*complaint["loc"]),
            "detail": _detail(complaint["type"], complaint["msg"]),
            "code": _CODES.get(complaint["type"], complaint["type"].replace("_", "-")),
        }
        for complaint in complaints
    ]


def pointer(*steps: str | int) -> str:
    """The place in a body: ``pointer("items", 0, "quantity")`` is ``#/items/0/quantity``."""
    escaped = (str(step).replace("~", "~0").replace("/", "~1") for step in steps)
    return "#" + "".join(f"/{quote(step, safe='~')}" for step in escaped)


def _detail(kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return "There is no such field."
    return message.removeprefix("Value error, ")
