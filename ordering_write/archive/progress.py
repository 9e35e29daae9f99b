"""How far the log is archived."""

from datetime import datetime
from typing import NamedTuple

from django.conf import settings

from ordering_write.models import ArchivedFile


class Progress(NamedTuple):
    """The last archived position, and when it was archived (UTC); 0 and None for no file.

    Events up to the position ``detached`` may have left the database; 0 for none.
    """

    position: int
    archived_at: datetime | None
    detached: int


def progress() -> Progress | None:
    """Return how far the log is archived; None if ARCHIVE_URL names no archive."""
    if not settings.ARCHIVE_URL:
        return None
    files = list(ArchivedFile.objects.values_list("last", "archived_at", "detached_at"))
    if not files:
        return Progress(0, None, 0)
    last, archived_at, _ = files[-1]
    return Progress(last, archived_at, max((end for end, _, at in files if at), default=0))
