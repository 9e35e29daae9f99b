"""Notes and tags: they never change the status of an order."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from ordering_write.domain import events as e
from ordering_write.domain import metadata
from ordering_write.domain.errors import NoteNotFoundError, TooManyTagsError
from ordering_write.domain.events import Visibility
from ordering_write.models.order.state import OrderState

MAX_TAGS = 20


class Annotating(OrderState):
    """Moves that annotate an order, in every status."""

    class Meta(OrderState.Meta):
        abstract = True

    def record(self, event_type: type[e.OrderEvent], /, *, now: datetime, **fields: Any) -> None:
        """Raise an event of a shop's own app: a fact about the order that changes none of ours."""
        self._record(event_type, now=now, **fields)

    def tag(self, tag: str, *, now: datetime) -> None:
        """Add ``tag`` unless the order has it."""
        if tag in self.tags:
            return
        if len(self.tags) >= MAX_TAGS:
            raise TooManyTagsError
        self._record(e.OrderTagged, now=now, tag=tag)

    def untag(self, tag: str, *, now: datetime) -> None:
        """Remove ``tag`` if the order has it."""
        if tag in self.tags:
            self._record(e.OrderUntagged, now=now, tag=tag)

    def set_metadata(
        self, changes: Mapping[str, str | None], *, line_id: UUID | None = None, now: datetime
    ) -> None:
        """Set pairs of the metadata of the order or of a line; None removes a pair.

        Equal pairs change nothing. Raises UnknownLineError and TooManyPairsError.
        """
        subject = self if line_id is None else self.line(line_id, "#/line_id")
        if merge := metadata.merge(subject.metadata, changes):
            self._record(e.OrderMetadataChanged, now=now, line_id=line_id, **merge._asdict())

    def set_po_number(self, po_number: str, *, now: datetime) -> None:
        """Set the number of the customer's purchase order; an empty text removes it."""
        if po_number != self.po_number:
            self._record(e.OrderPoNumberChanged, now=now, po_number=po_number or None)

    def add_note(
        self,
        text: str,
        *,
        note_id: UUID,
        visibility: Visibility = Visibility.INTERNAL,
        now: datetime,
    ) -> None:
        """Add a note."""
        self._record(e.NoteAdded, now=now, note_id=note_id, text=text, visibility=visibility)

    def may_redact_note(self) -> None:
        if not self.notes:
            raise NoteNotFoundError(f"Order {self.order_number} has no note.")

    def redact_note(self, note_id: UUID, *, now: datetime) -> None:
        """Redact the text of a note; a second time changes nothing."""
        self.may_redact_note()
        if str(note_id) not in self.notes:
            raise NoteNotFoundError
        if self.notes[str(note_id)]:
            self._record(e.NoteRedacted, now=now, note_id=note_id)
