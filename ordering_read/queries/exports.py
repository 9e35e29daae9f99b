"""Queries for the exports of lists: their progress, and their files."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from config.exports.models import Export
from ordering_read.queries.base import Query, QueryHandler, handles
from ordering_read.queries.views import View
from ordering_write.published import NotFoundError

_SHOWN = 50
_FILE_KEPT = timedelta(days=1)


class ExportNotFoundError(NotFoundError):
    """Export not found"""


class ExportView(View):
    """An export. Its file is deleted at `kept_until`."""

    id: UUID
    list_name: str
    format: str
    query: str
    requested_by: str
    created_at: datetime
    state: Export.State
    is_at_work: bool
    rows_done: int
    rows_total: int | None
    position: int | None
    file_name: str
    size: int
    error: str

    @property
    def state_label(self) -> str:
        """The state in words."""
        return str(self.state.label)

    @property
    def is_ready(self) -> bool:
        """True while the file can be downloaded."""
        return self.state == Export.State.READY

    @property
    def kept_until(self) -> datetime:
        """The time at which the file is deleted."""
        return self.created_at + _FILE_KEPT


class _ExportsQuery:
    """A query for the exports of the user ``user_id``; of all users if it is None."""

    user_id: UUID | None

    def visible(self) -> QuerySet[Export]:
        rows = Export.objects.order_by("-created_at", "id")
        return rows if self.user_id is None else rows.filter(user_id=self.user_id)


class GetExport(Query[ExportView], _ExportsQuery):
    """Get one export."""

    export_id: UUID
    user_id: UUID | None


class ListExports(Query[tuple[ExportView, ...]], _ExportsQuery):
    """List the last exports, the newest first."""

    user_id: UUID | None


@handles(GetExport)
class GetExportHandler(QueryHandler[GetExport, ExportView]):
    """Reads one row."""

    def handle(self, query: GetExport) -> ExportView:
        row: Any = query.visible().filter(pk=query.export_id).first()
        if row is None:
            raise ExportNotFoundError
        return ExportView.of_row(row)


@handles(ListExports)
class ListExportsHandler(QueryHandler[ListExports, tuple[ExportView, ...]]):
    """Reads the last rows, in one statement."""

    def handle(self, query: ListExports) -> tuple[ExportView, ...]:
        return tuple(map(ExportView.of_row, query.visible()[:_SHOWN]))
