"""Ids in paths."""

from typing import Annotated, Any
from uuid import UUID

from pydantic import BeforeValidator
from pydantic.json_schema import SkipJsonSchema

_NIL = UUID(int=0)


def path_id(text: str, not_found: type[Exception]) -> UUID:
    """Return the id that a path holds as ``text``. Raises ``not_found`` unless it is a UUID."""
    try:
        return UUID(text)
    except ValueError:
        raise not_found from None


def _id_or_nil(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return UUID(value)
    except ValueError:
        return _NIL


# The type of a field that the path names. Text that is no id becomes the nil UUID: no resource has
# it, so the query that looks for it answers "not found".
PathId = Annotated[UUID, BeforeValidator(_id_or_nil), SkipJsonSchema()]
