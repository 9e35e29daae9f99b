"""Exports that are sent at once, and jobs by which workers write longer files."""

import logging
from collections.abc import Callable
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django_q.tasks import async_task

from config.accounts.models import User
from config.databases.retry import is_transient
from config.exports import files
from config.exports.models import Export
from config.http.answers.problems import detail_of, is_anticipated
from ordering_read.exports.lists import all_lists
from ordering_read.exports.rows import Selection, selection_of_screen, snapshot

logger = logging.getLogger(__name__)

# The exports of one user that workers may still have to write.
MOST_AT_WORK = 5
# Longer than any export takes; a killed one is noticed by its silence.
_TASK_TIMEOUT_SECONDS = 6 * 3600


class TooManyExportsError(Exception):
    """Several of your exports are still being written. Wait for one of them."""


def send(selection: Selection, *, user: User) -> tuple[Export, list[bytes]]:
    """Return the record of an export, and the whole file in parts.

    The rows are read before the first part is sent, so that a slow receiver keeps no transaction
    open, and an error leaves no half of a file.
    """
    parts: list[bytes] = []
    export = write(selection, parts.append, user=user, requested_by=user.get_username())
    return export, parts


def write(
    selection: Selection,
    write_part: Callable[[bytes], object],
    *,
    user: User | None = None,
    requested_by: str,
) -> Export:
    """Call ``write_part`` with each part of the file of ``selection``; returns the record.

    ``requested_by`` is the name of the user, or of the account of the shell.
    """
    with snapshot():
        stamp = selection.stamp()
        rows = size = 0
        for part in selection.parts(stamp):
            write_part(part.content)
            rows += part.rows
            size += len(part.content)
    export = Export.objects.create(
        **_of(selection, user=user, requested_by=requested_by),
        query=files.without_texts(selection.filters),
        state=Export.State.SENT,
        position=stamp.position,
        file_name=selection.file_name(stamp),
        rows_done=rows,
        rows_total=rows,
        size=size,
    )
    _log(export)
    return export


def start(selection: Selection, *, user: User) -> Export:
    """Let a worker write the file of ``selection``, and return the export.

    Raises TooManyExportsError.
    """
    unfinished = Export.objects.filter(
        user=user, state__in=(Export.State.WAITING, Export.State.RUNNING)
    )
    with transaction.atomic():
        # Locked, so that two clicks can't both be the last that is allowed.
        User.objects.select_for_update().get(pk=user.pk)
        if unfinished.count() >= MOST_AT_WORK:
            raise TooManyExportsError(TooManyExportsError.__doc__)
        export = Export.objects.create(
            **_of(selection, user=user, requested_by=user.get_username()),
            query=selection.filters,
            state=Export.State.WAITING,
        )
        _enqueue(export.pk)
    return export


def run(export_id: UUID) -> None:
    """Write the file of an export that ``start`` has made.

    A refusal, such as a permission that the user has lost, is shown on the page of the export.
    """
    export = files.begin(export_id)
    if export is None:
        return
    try:
        _write(export)
    except files.SupersededError as error:
        logger.warning("%s", error)
    except Exception as error:
        if is_transient(error):
            # Another worker begins anew after a minute.
            raise
        text = detail_of(error) if is_anticipated(error) else "An error happened; see the log."
        files.fail(export, text)
        logger.exception("Export %s has failed.", export.pk)
    else:
        _log(export)


def keep() -> None:
    """Let workers begin abandoned exports again, and delete old files. Scheduled each minute."""
    for export_id in files.abandoned():
        _enqueue(export_id)
    if deleted := files.delete_expired():
        logger.info("Files of exports deleted after a day: %d", deleted)


def _write(export: Export) -> None:
    if export.user is None:
        raise PermissionError("The user was deleted.")
    selection = selection_of_screen(
        all_lists()[export.list_name], format=export.format, query=export.query, user=export.user
    )
    with snapshot():
        stamp = selection.stamp()
        files.describe(
            export,
            position=stamp.position,
            file_name=selection.file_name(stamp),
            rows_total=selection.count(),
        )
        for number, part in enumerate(selection.parts(stamp)):
            files.write_part(export, number, part.content, rows=part.rows)
    files.finish(export)
    export.refresh_from_db()


def _of(selection: Selection, *, user: User | None, requested_by: str) -> dict[str, object]:
    return {
        "list_name": selection.exported.name,
        "format": selection.format,
        "user": user,
        "requested_by": requested_by,
    }


def _enqueue(export_id: UUID) -> None:
    async_task(
        f"{settings.WORKER_TASKS}.export",
        str(export_id),
        save=False,
        timeout=_TASK_TIMEOUT_SECONDS,
    )


def _log(export: Export) -> None:
    logger.info("%s exported %d rows: %s", export.requested_by, export.rows_done, export.file_name)
