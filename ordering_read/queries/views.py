"""The base class of the results of queries, and pages of them."""

from functools import cache
from typing import Any, Generic, Self, TypeVar, cast

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
        return cast(Self, _empty(cls).model_copy(update=fields))


@cache
def _empty(view: type[View]) -> View:
    """Return a view that has its defaults only."""
    return view.model_construct()


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
