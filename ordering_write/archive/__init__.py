"""The archive: the events of the log in Parquet files, on a disk or in an object storage.

Each file holds a range of positions and proves itself: a manifest has its digest and that of the
manifest before, and each row has its hash of the log. Personal fields never enter a file.
"""

from ordering_write.archive import replaying as replay
from ordering_write.archive.attaching import attach
from ordering_write.archive.checking import CheckedFile, check
from ordering_write.archive.detaching import Detachable, detach, detachable
from ordering_write.archive.errors import ArchiveError
from ordering_write.archive.progress import Progress, progress
from ordering_write.archive.querying import count_matches, query
from ordering_write.archive.storage import Storage
from ordering_write.archive.writing import archive, begin_anew

__all__ = [
    "ArchiveError",
    "CheckedFile",
    "Detachable",
    "Progress",
    "Storage",
    "archive",
    "attach",
    "begin_anew",
    "check",
    "count_matches",
    "detach",
    "detachable",
    "progress",
    "query",
    "replay",
]
