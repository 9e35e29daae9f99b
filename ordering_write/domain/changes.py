"""The changes between two states of an aggregate, by JSON pointer."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict


class Change(BaseModel):
    """A value that changed. ``path`` is a JSON pointer; null stands for a missing value."""

    model_config = ConfigDict(frozen=True)

    path: str
    before: Any
    after: Any


def changes(before: Any, after: Any, path: str = "") -> Iterator[Change]:
    """Yield the changes from ``before`` to ``after``, nested mappings value by value.

    A nested mapping that is new or gone is one change.
    """
    if before == after:
        return
    if not (isinstance(before, Mapping) and isinstance(after, Mapping)):
        yield Change(path=path, before=before, after=after)
        return
    for name in {**before, **after}:
        yield from changes(before.get(name), after.get(name), f"{path}/{name}")
