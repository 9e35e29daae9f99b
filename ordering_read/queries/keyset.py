"""Keyset pagination: the sort keys of a row, and an indexed condition for the rows after it."""

from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from django.db.models import BooleanField, F, Func, Model, Q, QuerySet, Value
from django.db.models.lookups import GreaterThan, LessThan


def ordering_of(rows: "QuerySet[Any]") -> tuple[str, ...]:
    """Return the field names that ``rows`` are ordered by, with a minus for descending order.

    Raises TypeError for an ordering by other expressions.
    """
    names = rows.query.order_by
    if not names or not all(isinstance(name, str) for name in names):
        raise TypeError(f"{rows.model.__name__} must be ordered by names: {names!r}.")
    return tuple(map(str, names))


def sort_keys(row: Model, ordering: Sequence[str]) -> list[str]:
    """Return the values of ``row`` in the fields of ``ordering``, as text; none may be null."""
    return [str(getattr(row, name.removeprefix("-"))) for name in ordering]


def after(ordering: Sequence[str], keys: Sequence[str]) -> Q:
    """Return the condition for the rows after the row with these sort ``keys``.

    Columns of the same direction are compared as one ROW, which an index on them supports.
    """
    is_descending = ordering[0].startswith("-")
    same_direction = list(takewhile(lambda name: name.startswith("-") == is_descending, ordering))
    names = [name.removeprefix("-") for name in same_direction]
    values, later_keys = keys[: len(names)], keys[len(names) :]
    comparison = LessThan if is_descending else GreaterThan
    condition = Q(comparison(_row(map(F, names)), _row(map(Value, values))))
    if later_keys:
        is_equal = Q(**dict(zip(names, values, strict=True)))
        condition |= is_equal & after(ordering[len(names) :], later_keys)
    return condition


def _row(values: Any) -> Func:
    return Func(*values, function="ROW", output_field=BooleanField())
