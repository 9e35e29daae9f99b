"""The rows of an export: those that the screen of a list shows, at one state of the log."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any, NamedTuple

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import connections, transaction
from django.http import HttpRequest, QueryDict

from config.accounts.models import User
from ordering_read import permissions
from ordering_read.engine.freshness import freshness, log_freshness
from ordering_read.engine.gaps import answer_gap
from ordering_read.exports.formats import FORMATS, Stamp
from ordering_read.exports.lists import ExportedList, Rows
from ordering_write import published

# The most rows that are sent at once. Longer files are written by a worker.
MOST_AT_ONCE = 10_000
_ROWS_IN_A_PART = 1_000
_REPEATABLE = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"


class Part(NamedTuple):
    """A part of a file, and the number of its rows."""

    content: bytes
    rows: int


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The rows of a list to export, as ``format`` ("csv" or "jsonl").

    ``filters`` is the query string that selected the ``rows``, for the description of the file.
    """

    exported: ExportedList
    format: str
    rows: Rows
    filters: str = ""
    with_personal: bool

    def count(self, *, most: int | None = None) -> int:
        """Return the number of rows of the file; more than ``most`` count as ``most`` and one."""
        rows = self.exported.counted(self.rows).order_by()
        return (rows if most is None else rows[: most + 1]).count()

    def stamp(self) -> Stamp:
        """Return the state of the rows. Call this in a ``snapshot``, before reading the rows."""
        names = [*self.exported.projections]
        if names and "q" in QueryDict(self.filters):
            names.append("search")
        state = freshness(names) if names else log_freshness()
        gap = answer_gap(state.incomplete)
        return Stamp(
            list_name=self.exported.name,
            position=state.position,
            gap=gap.reason.value if gap else self._detached(),
            at=datetime.now(UTC),
            filters=self.filters,
        )

    def _detached(self) -> str:
        """Return "archived" if events of the list have left the database, else ""."""
        is_log = self.exported.name == "events"
        return "archived" if is_log and published.detached_until() else ""

    def parts(self, stamp: Stamp) -> Iterator[Part]:
        """Yield the file in parts, the first with its head."""
        columns = self.exported.columns(with_personal=self.with_personal)
        file = FORMATS[self.format](self.exported.view, columns, stamp)
        views = self.exported.views(self.rows, with_personal=self.with_personal)
        head = file.head()
        while batch := list(islice(views, _ROWS_IN_A_PART)):
            yield Part(head + file.lines(batch), len(batch))
            head = b""
        if head:
            yield Part(head, 0)

    def file_name(self, stamp: Stamp) -> str:
        """Return the name of the file, with the day of the export and the position of the rows."""
        day = stamp.at.date().isoformat()
        return f"{self.exported.name}-{day}-position-{stamp.position}.{self.format}"


@contextmanager
def snapshot() -> Iterator[None]:
    """Let all statements in the block read one state of the read models.

    Inside of an outer transaction, that transaction decides what its statements see.
    """
    connection = connections["read"]
    if connection.in_atomic_block:
        yield
        return
    with transaction.atomic(using="read"):
        with connection.cursor() as cursor:
            cursor.execute(_REPEATABLE)
        yield


def selection_of_screen(
    exported: ExportedList, *, format: str, query: str, user: User
) -> Selection:
    """Return the rows that the list in the admin shows ``user`` for the query string ``query``.

    Raises PermissionDenied, UnknownParameterError and ParameterError.
    """
    # Workers load no URLs, and so no pages of the admin.
    admin.autodiscover()
    page: Any = admin.site.get_model_admin(exported.model)
    request = HttpRequest()
    request.method, request.user = "GET", user
    request.GET = QueryDict(query)
    allowed = page.has_view_permission(request) and user.has_perm(exported.permission)
    if not (user.is_active and user.is_staff and allowed):
        raise PermissionDenied("You don't have the permission that this export needs.")
    changelist = page.get_changelist_instance(request)
    return Selection(
        exported=exported,
        format=format,
        rows=changelist.get_queryset(request),
        filters=query,
        with_personal=user.has_perm(permissions.VIEW_PII),
    )
