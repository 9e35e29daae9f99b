"""The Order aggregate: a ledger of units per line, from which its status follows."""

from datetime import datetime
from typing import Any
from uuid import UUID

from ordering_write.domain import events as e
from ordering_write.domain.errors import (
    NoteNotFoundError,
    StatusNotSettableError,
    TooManyTagsError,
)
from ordering_write.domain.events import OrderStatus, Visibility
from ordering_write.models.order.paying import Paying

MAX_TAGS = 20


class Order(Paying):
    """A customer's accepted request for goods, with the prices agreed when it was placed.

    What is written on it is here, and the one move that stands for all others; the rest is in the
    classes that it is made of, from ``Moving`` to ``Paying``.
    """

    class Meta(Paying.Meta):
        abstract = False

    # --- What is written on it -----------------------------------------------------------------
    def tag(self, tag: str, *, now: datetime) -> None:
        """Add ``tag``; a tag that it has changes nothing."""
        if tag in self.tags:
            return
        if len(self.tags) >= MAX_TAGS:
            raise TooManyTagsError
        self._tell(e.OrderTagged, now=now, tag=tag)

    def untag(self, tag: str, *, now: datetime) -> None:
        """Take ``tag`` off; a tag that it doesn't have changes nothing."""
        if tag in self.tags:
            self._tell(e.OrderUntagged, now=now, tag=tag)

    def assign(self, assignee: str, *, now: datetime) -> None:
        """Let the user of this name answer for it; empty for nobody."""
        if assignee != self.assignee:
            self._tell(e.OrderAssigned, now=now, assignee=assignee or None)

    def add_note(
        self,
        text: str,
        *,
        note_id: UUID,
        visibility: Visibility = Visibility.INTERNAL,
        now: datetime,
    ) -> None:
        """Add a note."""
        self._tell(e.NoteAdded, now=now, note_id=note_id, text=text, visibility=visibility)

    def redact_note(self, note_id: UUID, *, now: datetime) -> None:
        """Take the text of a note away; a second time changes nothing."""
        self.may_redact_note()
        if str(note_id) not in self.notes:
            raise NoteNotFoundError
        if self.notes[str(note_id)]:
            self._tell(e.NoteRedacted, now=now, note_id=note_id)

    def may_redact_note(self) -> None:
        """Raise why no note can be redacted, if so."""
        if not self.notes:
            raise NoteNotFoundError(f"Order {self.order_number} has no note.")

    def anonymize(self, *, now: datetime) -> None:
        """Say that the personal fields of all its events have been erased."""
        self._tell(e.OrderAnonymized, now=now)

    # --- Moving the whole order ----------------------------------------------------------------
    def move_to(
        self,
        status: OrderStatus,
        *,
        reason: str = "",
        by_customer: bool = False,
        payment_required: bool = False,
        shipment_id: UUID,
        now: datetime,
    ) -> None:
        """The one whole-order move that ends in ``status``, with the facts that it stands for."""
        match status:
            case OrderStatus.CONFIRMED:
                self.confirm(reason=reason, now=now)
            case OrderStatus.PROCESSING:
                self.start_processing(reason=reason, now=now)
            case OrderStatus.SHIPPED:
                self.ship_everything(
                    shipment_id=shipment_id, payment_required=payment_required, now=now
                )
            case OrderStatus.DELIVERED:
                self.deliver_everything(now=now)
            case OrderStatus.COMPLETED:
                self.complete(reason=reason, now=now)
            case OrderStatus.CANCELLED:
                self.cancel(reason or "status set to cancelled", by_customer=by_customer, now=now)
            case _:
                raise StatusNotSettableError(
                    f"The status {status} follows from facts and can't be set.", pointer="#/status"
                )

    def _change(self, event: Any) -> None:
        match event:
            case e.OrderTagged():
                self.tags = [*self.tags, event.tag]
            case e.OrderUntagged():
                self.tags = [tag for tag in self.tags if tag != event.tag]
            case e.OrderAssigned():
                self.assignee = event.assignee or ""
            case e.NoteAdded():
                self.notes[str(event.note_id)] = True
            case e.NoteRedacted():
                self.notes[str(event.note_id)] = False
            case _:
                super()._change(event)
