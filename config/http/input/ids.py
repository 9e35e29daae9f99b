"""Ids in paths."""

from uuid import UUID


def path_id(text: str, missing: type[Exception]) -> UUID:
    """The id in a path; ``missing`` is raised when it isn't one."""
    try:
        return UUID(text)
    except ValueError:
        raise missing from None
