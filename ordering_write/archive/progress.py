"""How far the log is archived."""

from datetime import datetime
from typing import NamedTuple

from django.conf import settings

from ordering_write.models import ArchivedFile


class Progress(NamedTuple):
    """The last archived position, and when it was archived (UTC); 0 and None for no file."""

    position: int
    archived_at: datetime | None


def progress() -> Progress | None:
    """Return how far the log is archived; None if ARCHIVE_URL names no archive."""
    if not settings.ARCHIVE_URL:
        return None
    last = ArchivedFile.objects.last()
    return Progress(last.last, last.archived_at) if last else Progress(0, None)
