"""Returns: asked for, received, rejected: the methods and what their events do."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from ordering_write.domain import events as e
from ordering_write.domain.commands import ReceivedLine, ReturnedLine
from ordering_write.domain.errors import (
    ExceedsDeliveredError,
    ExceedsRequestedError,
    RepeatedLineError,
    ReturnClosedError,
    ReturnNotFoundError,
    ReturnWindowClosedError,
)
from ordering_write.models.order.shipping import Shipping


class Returning(Shipping):
    """Units that were delivered come back."""

    class Meta(Shipping.Meta):
        abstract = True

    def request_return(
        self,
        items: Sequence[ReturnedLine],
        *,
        return_id: UUID,
        window: timedelta | None = None,
        now: datetime,
    ) -> None:
        """Ask to send delivered units back, within ``window`` of the last delivery."""
        self.may_request_return(window=window, now=now)
        seen: set[UUID] = set()
        for number, item in enumerate(items):
            pointer = f"#/items/{number}/line_id"
            line = self.line(item.line_id, pointer)
            if item.line_id in seen:
                raise RepeatedLineError(pointer=pointer)
            seen.add(item.line_id)
            if item.quantity > line.returnable:
                raise ExceedsDeliveredError(
                    f"{item.quantity} units of {line.sku} were to be returned, "
                    f"{line.returnable} can be."
                )
        self._tell(
            e.ReturnRequested,
            now=now,
            return_id=return_id,
            items=[e.RequestedUnits(**item.model_dump()) for item in items],
        )

    def may_request_return(self, *, window: timedelta | None = None, now: datetime) -> None:
        if not any(line.returnable for line in self.lines.values()):
            raise ExceedsDeliveredError(
                f"No unit of order {self.order_number} was delivered that could be returned."
            )
        if window is not None and self.delivered_at and now > self.delivered_at + window:
            raise ReturnWindowClosedError(
                f"Order {self.order_number} could be returned until "
                f"{self.delivered_at + window:%Y-%m-%d}."
            )

    def receive_return(
        self, return_id: UUID, items: Sequence[ReceivedLine], *, now: datetime
    ) -> None:
        """Record what has come back; the rest of the return may still come."""
        expected = self._expected(return_id)
        seen: set[UUID] = set()
        for number, item in enumerate(items):
            pointer = f"#/items/{number}/line_id"
            line = self.line(item.line_id, pointer)
            if item.line_id in seen:
                raise RepeatedLineError(pointer=pointer)
            seen.add(item.line_id)
            if item.quantity > expected.get(str(item.line_id), 0):
                raise ExceedsRequestedError(
                    f"{item.quantity} units of {line.sku} came back, "
                    f"{expected.get(str(item.line_id), 0)} were expected."
                )
        self._tell(
            e.ReturnReceived,
            now=now,
            return_id=return_id,
            items=[
                {
                    **self._credited(self.lines[item.line_id], item.quantity),
                    "restock": item.restock,
                    "damaged": item.damaged,
                }
                for item in items
            ],
        )

    def may_receive_return(self) -> None:
        if not any(self.returns.values()):
            raise ReturnClosedError(f"Order {self.order_number} expects no return.")

    def reject_return(self, return_id: UUID, reason: str, *, now: datetime) -> None:
        """Refuse what has not come back of a return; the customer keeps it."""
        self._tell(
            e.ReturnRejected,
            now=now,
            return_id=return_id,
            reason=reason,
            items=[
                e.Units(line_id=UUID(line_id), quantity=quantity)
                for line_id, quantity in self._expected(return_id).items()
            ],
        )

    def _expected(self, return_id: UUID) -> dict[str, int]:
        """The units that this return still expects, by line."""
        if str(return_id) not in self.returns:
            raise ReturnNotFoundError
        self.may_receive_return()
        expected: dict[str, int] = self.returns[str(return_id)]
        if not expected:
            raise ReturnClosedError("Everything of this return was received or rejected.")
        return expected

    def _change(self, event: e.DomainEvent) -> None:
        match event:
            case e.ReturnRequested():
                self._count(event.items, return_requested=1)
                self.returns[str(event.return_id)] = {
                    str(item.line_id): item.quantity for item in event.items
                }
            case e.ReturnReceived():
                self._count(event.items, return_requested=-1, returned=1)
                for item in event.items:
                    self._reprice(self.lines[item.line_id], item.line_total)
                self._close(event.return_id, event.items)
            case e.ReturnRejected():
                self._count(event.items, return_requested=-1)
                self._close(event.return_id, event.items)
            case _:
                super()._change(event)

    def _close(self, return_id: UUID, items: Sequence[e.Units]) -> None:
        expected = self.returns[str(return_id)]
        done = {str(item.line_id): item.quantity for item in items}
        left = {line: units - done.get(line, 0) for line, units in expected.items()}
        self.returns[str(return_id)] = {line: units for line, units in left.items() if units}
