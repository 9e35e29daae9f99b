"""The queue of a read site belongs to one read database: workers of another one refuse its tasks.

A task such as a rebuild concerns the read database of whoever takes it. Two sites with one queue
would rebuild each other's projections.
"""

from django.conf import settings
from django.db import connections

from ordering_write.models import QueueOwner

# Without a sign of life for this long, another read database may take the queue.
_SILENCE_SECONDS = 25

_READ_DATABASE = """
SELECT concat_ws('/', system_identifier, current_database(), current_schema())
FROM pg_control_system()
"""
_CLAIM = """
INSERT INTO queue_owner AS owner (queue, read_database, seen_at)
VALUES (%s, %s, statement_timestamp())
ON CONFLICT (queue) DO UPDATE SET
    read_database = excluded.read_database, seen_at = excluded.seen_at
WHERE owner.read_database = excluded.read_database
   OR owner.seen_at < excluded.seen_at - make_interval(secs => %s)
RETURNING queue
"""


class QueueTakenError(Exception):
    """The workers of another read database take the tasks of this queue."""

    def __init__(self, queue: str) -> None:
        super().__init__(
            f"The workers of another read database use the queue {queue}: give each read site a"
            " name of its own by READ_SITE, for its workers and its web servers. If that database"
            f" was replaced, the queue is free after {_SILENCE_SECONDS} seconds."
        )


def claim() -> None:
    """Claim the queue of these workers for their read database. Raises QueueTakenError."""
    queue = settings.Q_CLUSTER["name"]
    with connections["default"].cursor() as cursor:
        cursor.execute(_CLAIM, [queue, _read_database(), _SILENCE_SECONDS])
        if not cursor.fetchone():
            raise QueueTakenError(queue)


def release() -> None:
    """Let another read database claim the queue at once, as after workers that have ended."""
    owners = QueueOwner.objects.filter(queue=settings.Q_CLUSTER["name"])
    owners.filter(read_database=_read_database()).delete()


def _read_database() -> str:
    with connections["read"].cursor() as cursor:
        cursor.execute(_READ_DATABASE)
        return str(cursor.fetchone()[0])
