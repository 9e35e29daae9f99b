"""The rule by which stock backs reservations: the oldest promise first."""

from collections.abc import Iterable, Mapping
from typing import TypeVar
from uuid import UUID

# An order and one of its lines.
LineKey = tuple[UUID, UUID]
Key = TypeVar("Key", bound=LineKey)


def oldest_first(lines: Iterable[Key]) -> list[Key]:
    """Return ``lines`` in the order in which they were made: by their ids (UUID version 7)."""
    return sorted(lines, key=lambda key: key[1])


def backorders_of(on_hand: int, reserved: Mapping[LineKey, int]) -> dict[LineKey, int]:
    """Return the units that no stock backs, for each line that has such units.

    ``reserved`` has the reserved units of all lines of a product. Events of earlier releases lack
    the backorders, so their readers apply this rule.
    """
    unused = max(on_hand, 0)
    backorders = {}
    for key in oldest_first(reserved):
        backed = min(reserved[key], unused)
        unused -= backed
        if backed < reserved[key]:
            backorders[key] = reserved[key] - backed
    return backorders
