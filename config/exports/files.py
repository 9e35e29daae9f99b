"""Writes, reads and deletes the files of exports.

A worker that was killed leaves an unfinished attempt. Another worker then begins a new one, and
only the parts of a finished attempt are ever sent.
"""

from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now
from django.http import QueryDict

from config.exports.models import Export, ExportPart

State = Export.State

# The time after which an export without progress counts as abandoned. A part takes a second or two.
_SILENCE = timedelta(seconds=60)
_MOST_ATTEMPTS = 3
_FILE_KEPT = timedelta(days=1)
_RECORD_KEPT = timedelta(days=365)
# The parameters of lists with texts that may name people.
_PERSONAL_PARAMETERS = {"q", "metadata"}
_ABANDONED = Q(state=State.WAITING) | Q(state=State.RUNNING, progress_at__lt=Now() - _SILENCE)


class SupersededError(Exception):
    """Another worker has begun the export anew, because this one made no progress for long."""


class FileGoneError(Exception):
    """The file of an export was deleted while it was being sent."""


def begin(export_id: UUID) -> Export | None:
    """Begin a new attempt of an export, and return the export.

    Returns None if there is nothing to do: another worker is at it, or it has ended. The parts of
    an earlier attempt are deleted.
    """
    with transaction.atomic():
        waiting = Export.objects.select_for_update().filter(_ABANDONED, pk=export_id)
        export = waiting.first()
        if export is None:
            return None
        if export.attempt >= _MOST_ATTEMPTS:
            fail(export, "Its worker ended unexpectedly several times.")
            return None
        ExportPart.objects.filter(export=export).delete()
        export.attempt += 1
        Export.objects.filter(pk=export.pk).update(
            state=State.RUNNING, attempt=export.attempt, progress_at=Now(), rows_done=0, size=0
        )
    return export


def write_part(export: Export, number: int, content: bytes, *, rows: int) -> None:
    """Store a part of the file, which has this number of ``rows``, and record the progress.

    Raises SupersededError.
    """
    with transaction.atomic():
        _update(
            export,
            rows_done=F("rows_done") + rows,
            size=F("size") + len(content),
            progress_at=Now(),
        )
        ExportPart.objects.create(
            export=export, attempt=export.attempt, number=number, content=content
        )


def describe(export: Export, *, position: int, file_name: str, rows_total: int) -> None:
    """Record the position that the file shows, and its name and length. Raises SupersededError."""
    _update(export, position=position, file_name=file_name, rows_total=rows_total)


def finish(export: Export) -> None:
    """Make the file of ``export`` available. Raises SupersededError."""
    _update(export, state=State.READY, rows_total=F("rows_done"))


def fail(export: Export, error: str) -> None:
    """Record that ``export`` has failed, and delete what was written of its file."""
    with transaction.atomic():
        Export.objects.filter(pk=export.pk).update(
            state=State.FAILED, error=error, size=0, query=without_texts(export.query)
        )
        ExportPart.objects.filter(export=export).delete()


def _update(export: Export, **values: object) -> None:
    current = Export.objects.filter(pk=export.pk, attempt=export.attempt, state=State.RUNNING)
    if not current.update(**values):
        raise SupersededError(f"Another worker has begun export {export.pk} anew.")


def content(export: Export) -> Iterator[bytes]:
    """Yield the parts of the file of a finished ``export``.

    No transaction stays open between two parts, however slowly they are sent. Raises FileGoneError
    if the file is deleted meanwhile, so that the receiver notices that it is incomplete.
    """
    parts = ExportPart.objects.filter(export=export, attempt=export.attempt)
    remaining, number = export.size, 0
    while remaining:
        part = parts.filter(number=number).values_list("content", flat=True).first()
        if part is None:
            raise FileGoneError(f"The file of export {export.pk} was deleted while it was sent.")
        yield bytes(part)
        remaining -= len(part)
        number += 1


def abandoned() -> list[UUID]:
    """Return the exports that wait for a worker, or whose worker was killed."""
    begun_before = Q(created_at__lt=Now() - timedelta(seconds=5)) | Q(state=State.RUNNING)
    return list(Export.objects.filter(_ABANDONED, begun_before).values_list("pk", flat=True))


def delete_expired() -> int:
    """Delete the files that are older than a day, and records older than a year.

    Returns the number of deleted files. Searched texts are removed with the file, since they may
    name people.
    """
    Export.objects.filter(created_at__lt=Now() - _RECORD_KEPT).delete()
    unfinished_or_ready = (State.WAITING, State.RUNNING, State.READY)
    old = Export.objects.filter(created_at__lt=Now() - _FILE_KEPT, state__in=unfinished_or_ready)
    count = 0
    for export in old[:1000]:
        with transaction.atomic():
            ExportPart.objects.filter(export=export).delete()
            Export.objects.filter(pk=export.pk).update(
                state=State.EXPIRED, query=without_texts(export.query)
            )
        count += 1
    return count


def without_texts(query: str) -> str:
    """Return the query string with ``…`` in place of each searched text, which may be personal."""
    parameters = QueryDict(query, mutable=True)
    for name in _PERSONAL_PARAMETERS & set(parameters):
        parameters[name] = "…"
    return parameters.urlencode()
