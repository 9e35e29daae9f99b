"""Moves of returns: requested, received, rejected."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TypeVar
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
from ordering_write.models.order.charging import Charging
from ordering_write.models.order.parts import OrderItem

Item = TypeVar("Item", ReturnedLine, ReceivedLine)


class Returning(Charging):
    """Moves that request, receive and reject returns."""

    class Meta(Charging.Meta):
        abstract = True

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

    def request_return(
        self,
        items: Sequence[ReturnedLine],
        *,
        return_id: UUID,
        exchange_for: Sequence[e.ExchangeLine] = (),
        window: timedelta | None = None,
        now: datetime,
    ) -> None:
        """Request to send delivered units back, within ``window`` of the last delivery."""
        self.may_request_return(window=window, now=now)
        for item, line in self._with_lines(items):
            if item.quantity > line.returnable:
                raise ExceedsDeliveredError(
                    f"{item.quantity} units of {line.sku} were to be returned, "
                    f"{line.returnable} can be."
                )
        self._record(
            e.ReturnRequested,
            now=now,
            return_id=return_id,
            items=[e.RequestedUnits(**item.model_dump()) for item in items],
            exchange_for=list(exchange_for) or None,
        )

    def may_receive_return(self) -> None:
        if not any(self.returns.values()):
            raise ReturnClosedError(f"Order {self.order_number} expects no return.")

    def receive_return(
        self, return_id: UUID, items: Sequence[ReceivedLine], *, now: datetime
    ) -> None:
        """Record the units that came back; the rest of the return may still come."""
        expected = self._expected_units(return_id)
        for item, line in self._with_lines(items):
            if item.quantity > expected.get(str(line.id), 0):
                raise ExceedsRequestedError(
                    f"{item.quantity} units of {line.sku} came back, "
                    f"{expected.get(str(line.id), 0)} were expected."
                )
        self._record(
            e.ReturnReceived,
            now=now,
            return_id=return_id,
            items=[
                {**credited_units, "restock": item.restock, "damaged": item.damaged}
                for item, credited_units in zip(
                    items,
                    self.credited({item.line_id: item.quantity for item in items}),
                    strict=True,
                )
            ],
        )

    def reject_return(self, return_id: UUID, reason: str, *, now: datetime) -> None:
        """Refuse the units of a return that have not come back; the customer keeps them."""
        self._record(
            e.ReturnRejected,
            now=now,
            return_id=return_id,
            reason=reason,
            items=[
                e.Units(line_id=UUID(line_id), quantity=quantity)
                for line_id, quantity in self._expected_units(return_id).items()
            ],
        )

    def _with_lines(self, items: Sequence[Item]) -> Iterator[tuple[Item, OrderItem]]:
        """Yield each item with its line; RepeatedLineError when two items name the same line."""
        line_ids: set[UUID] = set()
        for number, item in enumerate(items):
            pointer = f"#/items/{number}/line_id"
            line = self.line(item.line_id, pointer)
            if line.id in line_ids:
                raise RepeatedLineError(pointer=pointer)
            line_ids.add(line.id)
            yield item, line

    def _expected_units(self, return_id: UUID) -> dict[str, int]:
        """Return the units that this return still expects, by line."""
        if str(return_id) not in self.returns:
            raise ReturnNotFoundError
        self.may_receive_return()
        expected: dict[str, int] = self.returns[str(return_id)]
        if not expected:
            raise ReturnClosedError
        return expected
