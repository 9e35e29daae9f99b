"""The base class of the read models whose rows add up events of many streams."""

import operator
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, ClassVar, NamedTuple

from ordering_read.models.base import ReadModel


class Merge(NamedTuple):
    """A way to merge two values of a column, in Python and in SQL about ``{old}`` and ``{new}``.

    ``fold`` takes the earlier value first; None is an unknown value.
    """

    fold: Callable[[Any, Any], Any]
    sql: str


SUM = Merge(operator.add, "{old} + {new}")
LEAST = Merge(
    lambda old, new: min((value for value in (old, new) if value is not None), default=None),
    "least({old}, {new})",
)
GREATEST = Merge(
    lambda old, new: max((value for value in (old, new) if value is not None), default=None),
    "greatest({old}, {new})",
)
# For texts; an empty text counts as unknown.
LATEST = Merge(lambda old, new: new or old, "coalesce(nullif({new}, ''), {old})")

# More than the 19 digits of one amount, so that sums fit too.
MONEY_SUM: dict[str, Any] = {"max_digits": 24, "decimal_places": 4, "default": 0}


class CountedRow(ReadModel):
    """A row that is merged from increments, which are rows of the same name.

    ``named_by`` lists the columns that name a row; a unique constraint covers them. Each other
    column is a sum, unless ``merges`` has another merge for it.
    """

    named_by: ClassVar[tuple[str, ...]]
    merges: ClassVar[Mapping[str, Merge]] = {}

    class Meta:
        abstract = True

    @property
    def row_name(self) -> tuple[Any, ...]:
        """The values of the columns that name the row."""
        return tuple(getattr(self, column) for column in self.named_by)

    @classmethod
    @cache
    def merged_columns(cls) -> dict[str, Merge]:
        """Return the columns that don't name a row, each with its merge."""
        return {
            field.name: cls.merges.get(field.name, SUM)
            for field in cls._meta.concrete_fields
            if field.name not in ("key", "projection", *cls.named_by)
        }

    def merge(self, later: "CountedRow") -> None:
        """Add a later row of the same name to this row."""
        values, added = vars(self), vars(later)
        for column, merge in self.merged_columns().items():
            # Most columns of an increment add nothing.
            if merge is not SUM or added[column]:
                values[column] = merge.fold(values[column], added[column])
