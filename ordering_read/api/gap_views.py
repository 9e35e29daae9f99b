"""The base class of views that say which events their answers lack."""

from collections.abc import Sequence
from typing import Any, ClassVar
from uuid import UUID

from config.accounts.roles import customer_scope
from config.http.views import ApiViewSet
from ordering_read.api import headers
from ordering_read.api.bodies import Row
from ordering_read.engine import gaps


class GapViewSet(ApiViewSet):
    """The base class of views whose rows may lack events."""

    # The prefix of the streams that the id in the path names, if any.
    stream_prefix: ClassVar[str] = ""

    # The projections that the answer reads and whose rows may lack events.
    incomplete: tuple[gaps.Incomplete, ...] = ()

    def with_gaps(self, rows: Sequence[Any], streams: gaps.Streams | None = None) -> list[Any]:
        """Return ``rows`` with their gaps; ``streams`` are those of each row, if it isn't None.

        Takes no statement while no projection is incomplete.
        """
        if not self.incomplete or not all(isinstance(row, Row) for row in rows):
            return list(rows)
        of_rows = gaps.row_gaps(self.incomplete, [streams or row.streams() for row in rows])
        return [
            row.model_copy(update={"projection_gap": gap}) if gap else row
            for row, gap in zip(rows, of_rows, strict=True)
        ]

    def gap_of_answer(self, streams: gaps.Streams | None = None) -> gaps.ProjectionGap | None:
        """Return the gap of an answer that shows ``streams``, or any stream if it is None."""
        if streams is None:
            return gaps.answer_gap(self.incomplete)
        [gap] = gaps.row_gaps(self.incomplete, [streams])
        return gap

    def gap_of_path(self) -> gaps.ProjectionGap | None:
        """Return the gap of the resource that the path names, although no row shows it yet.

        None for users who see one customer only: they must not learn of the orders of others.
        """
        if not (self.incomplete and self.stream_prefix and "pk" in self.kwargs):
            return None
        if customer_scope(self.request.user) is not None:
            return None
        try:
            stream = f"{self.stream_prefix}-{UUID(self.kwargs['pk'])}"
        except ValueError:
            return None
        return self.gap_of_answer({projection.name: [stream] for projection in self.incomplete})

    def set_gap_header(self, gap: gaps.ProjectionGap | None) -> None:
        """Set the header Projection-Gap to the reason of ``gap``, or remove the header."""
        self.headers.pop(headers.GAP, None)
        if gap is not None:
            self.headers[headers.GAP] = gap.reason.value
