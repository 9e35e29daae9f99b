"""Ids in paths."""

from uuid import UUID


def path_id(text: str, not_found: type[Exception]) -> UUID:
    """Return the id that a path holds as ``text``. Raises ``not_found`` unless it is a UUID."""
    try:
        return UUID(text)
    except ValueError:
        raise not_found from None
