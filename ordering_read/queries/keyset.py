"""Places in an ordered list: the rows behind one, by a condition that an index serves."""

from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from django.db.models import BooleanField, F, Func, Model, Q, QuerySet, Value
from django.db.models.lookups import GreaterThan, LessThan


def ordering_of(rows: "QuerySet[Any]") -> tuple[str, ...]:
    """The names that ``rows`` are ordered by, those of descending ones with a minus.

    Raises TypeError for an ordering by anything else.
    """
    names = rows.query.order_by
    if not names or not all(isinstance(name, str) for name in names):
        raise TypeError(f"{rows.model.__name__} is to be ordered by names: {names!r}.")
    return tuple(map(str, names))


def place_of(row: Model, ordering: Sequence[str]) -> list[str]:
    """Where ``row`` stands, as text: the values that it is ordered by, none of which is null."""
    return [str(getattr(row, name.removeprefix("-"))) for name in ordering]


def behind(ordering: Sequence[str], place: Sequence[str]) -> Q:
    """The condition for rows behind ``place``.

    Columns of one direction are compared as one row, which an index on them answers at once.
    """
    descends = ordering[0].startswith("-")
    together = list(takewhile(lambda name: name.startswith("-") == descends, ordering))
    names = [name.removeprefix("-") for name in together]
    here, rest = place[: len(names)], place[len(names) :]
    compared = LessThan if descends else GreaterThan
    condition = Q(compared(_row(map(F, names)), _row(map(Value, here))))
    if rest:
        same = Q(**dict(zip(names, here, strict=True)))
        condition |= same & behind(ordering[len(names) :], rest)
    return condition


def _row(values: Any) -> Func:
    return Func(*values, function="ROW", output_field=BooleanField())
