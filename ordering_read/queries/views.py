"""The base class of the results of queries, and pages of them."""

from functools import cache
from typing import Any, Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict
from pydantic.config import JsonDict

Item = TypeVar("Item")

# Marks a field as the former name of another one, which version 2 of the API drops.
FORMER_NAME: JsonDict = {"deprecated": True}


class View(BaseModel):
    """The base class of the results of queries. Times are in UTC.

    A field is read from the attribute of a row with the same name, or with its
    ``validation_alias``.
    """

    model_config = ConfigDict(
        frozen=True, from_attributes=True, validate_by_name=True, defer_build=True
    )

    @classmethod
    def of_row(cls, row: Any, **fields: Any) -> Self:
        """Return the view of ``row``, with ``fields`` in place of its attributes.

        Each ``CurrencyAmount`` is rounded to the decimals of the row's ``currency``, if any.
        """
        attributes = {**vars(row), **fields} if fields else row
        return cls.model_validate(attributes, context=getattr(row, "currency", None))

    @classmethod
    def of_valid(cls, **fields: Any) -> Self:
        """Return the view with ``fields``, which must be valid: they are those of other views."""
        # ``model_construct`` takes four times as long, and a page has a hundred views.
        defaults, names = _defaults(cls)
        view = cls.__new__(cls)
        _set(view, "__dict__", {**defaults, **fields})
        _set(view, "__pydantic_fields_set__", names)
        _set(view, "__pydantic_extra__", None)
        _set(view, "__pydantic_private__", None)
        return view


# Views are frozen.
_set = object.__setattr__


@cache
def _defaults(view: type[View]) -> tuple[dict[str, Any], set[str]]:
    """Return the fields of ``view`` that have a default, with it, and the names of all fields."""
    return vars(view.model_construct()), set(view.model_fields)


class Page(View, Generic[Item]):
    """One page of a list.

    ``count`` is the number of items of the whole list, at most COUNT_CAP; ``capped`` is True when
    the list has more items. A page after a ``cursor`` has no count. ``next_cursor`` is the cursor
    of the next page, None at the end of the list.
    """

    items: tuple[Item, ...]
    count: int | None
    capped: bool
    page: int
    page_size: int
    cursor: str | None = None
    next_cursor: str | None = None
