"""What differs between two states of a thing, by part and field."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict


class Change(BaseModel):
    """What is another value: ``path`` is a JSON pointer, null stands for what isn't there."""

    model_config = ConfigDict(frozen=True)

    path: str
    before: Any
    after: Any


def changes(before: Any, after: Any, path: str = "") -> Iterator[Change]:
    """Where ``after`` differs from ``before``; a part that comes or goes is told as a whole.

    Parts are the values of mappings, by their names.
    """
    if before == after:
        return
    if not (isinstance(before, Mapping) and isinstance(after, Mapping)):
        yield Change(path=path, before=before, after=after)
        return
    for name in {**before, **after}:
        yield from changes(before.get(name), after.get(name), f"{path}/{name}")
