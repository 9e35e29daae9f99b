"""Lets events leave the database that are archived and proven, and that nobody waits for.

A file is marked first: from then on, readers of the log look into it for what they miss. Then its
events are deleted in small transactions. The newest event of each stream stays, for its version and
its hash, and so do streams with commands that read their events.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from django.db import connection, transaction
from django.db.models.functions import Now

from ordering_write.archive.checking import check
from ordering_write.archive.errors import NothingArchivedError, UnprovenError
from ordering_write.archive.storage import Storage
from ordering_write.archive.writing import only_one
from ordering_write.models import ArchivedFile, Timer, aggregate_types

# Events that are looked at in one transaction.
_EVENTS_AT_ONCE = 5_000

_STATE = """
SELECT max(event.recorded_at), count(command_record.command_id)
FROM event_position JOIN event ON event.id = event_position.event_id
LEFT JOIN command_record ON command_record.command_id = event.command_id
WHERE event_position.position BETWEEN %s AND %s
"""
# Events with a later one of their stream that has a position up to the limit too.
_EVENTS = """
SELECT event_position.position, event.id, event.stream, EXISTS (
    SELECT FROM event AS later
    JOIN event_position AS later_position ON later_position.event_id = later.id
    WHERE later.stream = event.stream AND later.version = event.version + 1
      AND later_position.position <= %s
)
FROM event_position JOIN event ON event.id = event_position.event_id
WHERE event_position.position > %s AND event_position.position <= %s
ORDER BY event_position.position LIMIT %s
"""
_DELETE = "DELETE FROM event WHERE id = ANY(%s)"
_DELETE_POSITIONS = "DELETE FROM event_position WHERE position = ANY(%s)"


class Detachable(NamedTuple):
    """The files whose events may leave, and the reason why no later file is among them."""

    files: Sequence[ArchivedFile]
    reason: str


class Detached(NamedTuple):
    """The position up to which events were looked at, and the number of those that have left."""

    position: int
    events: int


def detachable(*, passed: int, days: int) -> Detachable:
    """Return the files up to the position ``passed``, which all subscribers have passed, with
    events that are older than so many ``days``, and whose commands have no record any more.

    Raises NothingArchivedError.
    """
    files = list(ArchivedFile.objects.all())
    if not files:
        raise NothingArchivedError(NothingArchivedError.__doc__)
    newest = datetime.now(UTC) - timedelta(days=days)
    for number, file in enumerate(files):
        if file.detached_at:
            continue
        if reason := _reason_to_stay(file, passed, newest):
            return Detachable(files[:number], f"{file} stays, because {reason}")
    return Detachable(files, f"the archive ends at position {files[-1].last:,}")


def _reason_to_stay(file: ArchivedFile, passed: int, newest: datetime) -> str:
    if file.last > passed:
        return f"a subscriber has applied the events up to position {passed:,} only"
    with connection.cursor() as cursor:
        cursor.execute(_STATE, [file.first, file.last])
        recorded_at, records = cursor.fetchone()
    if recorded_at > newest:
        return f"its events go up to {recorded_at:%d %B %Y}"
    if records:
        return "there are records of its commands: manage.py prune_commands"
    return ""


def detach(storage: Storage, files: Sequence[ArchivedFile]) -> Iterator[Detached]:
    """Let events of ``files``, the first files of the archive, leave the database.

    Proves each file before, row by row when it is detached for the first time. Yields the progress.
    A killed call loses nothing: the next call goes on. Raises UnprovenError and ArchiveBusyError.
    """
    with only_one():
        former = [file for file in files if file.detached_at]
        prove(storage, former, digests_only=True)
        for file in files:
            if not file.detached_at:
                prove(storage, [file])
                ArchivedFile.objects.filter(pk=file.pk).update(detached_at=Now())
        limit, position = max((file.last for file in files), default=0), 0
        while position < limit:
            detached = _detach_next(position, limit)
            position = detached.position
            yield detached


def prove(storage: Storage, files: Collection[ArchivedFile], *, digests_only: bool = False) -> None:
    """Compare files with their digests, and rows with their hashes and the log.

    With ``digests_only``, compares no rows. Raises UnprovenError.
    """
    for checked in check(storage, files=files, digests_only=digests_only):
        if checked.faults:
            raise UnprovenError(
                f"{checked.archived}: {checked.faults[0]}. No event leaves the database or returns "
                "before the file is right: manage.py verify_archive"
            )


@transaction.atomic
def _detach_next(position: int, limit: int) -> Detached:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute(_EVENTS, [limit, position, limit, _EVENTS_AT_ONCE])
        rows = cursor.fetchall()
        at_rest = _at_rest({stream for _, _, stream, has_later in rows if has_later})
        leaving = [row for row in rows if row[3] and row[2] in at_rest]
        # The triggers write the spans, and refuse any other event.
        cursor.execute(_DELETE, [[row[1] for row in leaving]])
        cursor.execute(_DELETE_POSITIONS, [[row[0] for row in leaving]])
    end = rows[-1][0] if len(rows) == _EVENTS_AT_ONCE else limit
    return Detached(end, len(leaving))


def _at_rest(streams: Collection[str]) -> set[str]:
    """Return the ``streams`` with events that no command or timer will read."""
    waiting = Timer.objects.filter(stream__in=streams).values_list("stream", flat=True)
    at_rest: set[str] = set()
    for prefix, aggregate_type in aggregate_types().items():
        keys = {
            UUID(stream.removeprefix(f"{prefix}-")): stream
            for stream in streams
            if stream.startswith(f"{prefix}-")
        }
        if keys:
            at_rest |= {keys[key] for key in aggregate_type.at_rest(keys)}
    return at_rest - {*waiting}
