"""Moves of units: received, adjusted, reserved, released, dispatched and taken back."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ordering_write.domain import events as e
from ordering_write.domain.allocation import LineKey, oldest_first
from ordering_write.domain.errors import (
    DiscontinuedError,
    ExceedsStockError,
    InPastError,
    InsufficientInventoryError,
    Shortage,
    TooManyExpectationsError,
    TooManyUnitsError,
    WouldGoNegativeError,
)
from ordering_write.domain.values import MOST_UNITS
from ordering_write.models.stock.state import StockState

# Events carry all expectations of a product.
_MOST_EXPECTATIONS = 50

# The units of lines that no stock backs after a movement, for the lines for which that changes.
_Backorders = Mapping[LineKey, int]


class Moving(StockState):
    """Moves of units.

    A reserved unit is backed by a unit on hand, or backordered. Units that come in, or that another
    line gives back, are for the oldest backordered line first. A backed line stays backed unless
    units are missing on the shelf.
    """

    class Meta(StockState.Meta):
        abstract = True

    # --- The shelf -------------------------------------------------------------------------------
    def receive(self, quantity: int, *, reference: str = "", now: datetime) -> None:
        """Add units that came in to the stock."""
        self._refuse_too_many(on_hand=quantity)
        backorders = self._backorders_after(quantity)
        self._move(e.StockReceived, backorders, now, quantity=quantity, reference=reference)

    def expect_units(self, quantity: int, *, at: datetime, now: datetime) -> None:
        """Expect ``quantity`` units to come in ``at`` a time; 0 withdraws the expectation.

        The number that is expected already changes nothing. Raises InPastError, and
        TooManyExpectationsError.
        """
        quantities = {item.at: item.quantity for item in self.expectations}
        if quantity == quantities.get(at, 0):
            return
        if quantity and at <= now:
            raise InPastError(f"{at} lies in the past.", pointer="#/at")
        if at not in quantities and len(quantities) >= _MOST_EXPECTATIONS:
            raise TooManyExpectationsError
        self._raise_event(
            e.StockExpected(timestamp=now, product_id=self.pk, at=at, quantity=quantity)
        )

    def adjust(
        self, delta: int, *, reason: e.AdjustmentReason, comment: str = "", now: datetime
    ) -> None:
        """Correct the stock by ``delta`` units.

        Raises WouldGoNegativeError when the stock would fall below zero, or below the reserved
        units of a product that can't be back-ordered.
        """
        self._refuse_too_many(on_hand=delta)
        on_hand = self.on_hand + delta
        least = 0 if self.backorderable else self.reserved
        if delta < 0 and on_hand < least:
            raise WouldGoNegativeError(
                f"{on_hand} units of {self.sku} would be left, and {self.reserved} are reserved."
            )
        backorders = self._backorders_after(delta)
        self._move(e.StockAdjusted, backorders, now, delta=delta, reason=reason, comment=comment)

    # --- Reservations ----------------------------------------------------------------------------
    def shortage(self, requested: int) -> Shortage | None:
        """Return the shortage of ``requested`` units, None when they can be reserved."""
        if self.backorderable or requested <= self.available:
            return None
        return self._shortage(requested, self.available)

    def reserve(self, key: LineKey, quantity: int, *, now: datetime) -> None:
        """Reserve units for a line, once; InsufficientInventoryError when too few are available."""
        if key not in self.reservations:
            self.extend(key, quantity, now=now)

    def extend(self, key: LineKey, more: int, *, now: datetime) -> None:
        """Reserve ``more`` units for a line; InsufficientInventoryError as in ``reserve``."""
        if shortage := self.shortage(more):
            raise InsufficientInventoryError([shortage])
        self._refuse_too_many(reserved=more)
        backordered = more - min(more, max(self.available, 0))
        backorders = {key: self.backorders.get(key, 0) + backordered} if backordered else {}
        self._move(e.StockReserved, backorders, now, **_of_line(key, more))

    def order_more(self, key: LineKey, more: int, *, now: datetime) -> None:
        """Reserve ``more`` units for a line whose quantity is raised.

        Raises DiscontinuedError, and InsufficientInventoryError as in ``reserve``.
        """
        if self.discontinued_at is not None:
            raise DiscontinuedError(f"{self.sku} isn't sold any more.")
        self.extend(key, more, now=now)

    def release(self, key: LineKey, quantity: int, *, now: datetime) -> None:
        """Release up to ``quantity`` of the units reserved for a line, backordered ones first."""
        units = min(quantity, self.reservations.get(key, 0))
        if not units:
            return
        backordered = self.backorders.get(key, 0)
        unbacked = min(units, backordered)
        backorders = dict(self._served(units - unbacked, besides=key))
        if unbacked:
            backorders[key] = backordered - unbacked
        self._move(e.StockReleased, backorders, now, **_of_line(key, units))

    def dispatch(self, key: LineKey, quantity: int, *, now: datetime) -> None:
        """Take up to ``quantity`` of the units reserved for a line from the shelf.

        Raises ExceedsStockError when fewer units are on hand for the line.
        """
        units = min(quantity, self.reservations.get(key, 0))
        if units > self.backed(key):
            raise ExceedsStockError([self._shortage(units, self.backed(key))])
        if units:
            self._move(e.StockDispatched, {}, now, **_of_line(key, units))

    def take_back(self, key: LineKey, quantity: int, *, now: datetime) -> None:
        """Return ``quantity`` dispatched units of a line to the stock."""
        self._refuse_too_many(on_hand=quantity)
        backorders = self._backorders_after(quantity)
        self._move(e.StockReturned, backorders, now, **_of_line(key, quantity))

    # --- Shared ----------------------------------------------------------------------------------
    def _move(
        self, movement: type[e.StockMovement], backorders: _Backorders, now: datetime, **fields: Any
    ) -> None:
        change = sum(units - self.backorders.get(key, 0) for key, units in backorders.items())
        lines = [
            e.Backorder(order_id=order_id, line_id=line_id, backordered=units)
            for (order_id, line_id), units in backorders.items()
        ]
        self._raise_event(
            movement(
                timestamp=now,
                product_id=self.pk,
                backordered=self.backordered + change,
                backorders=lines or None,
                **fields,
            )
        )

    def _backorders_after(self, delta: int) -> _Backorders:
        """Return the backorders that change when ``delta`` units more are on hand, or fewer."""
        # Fewer than none can be on hand after dispatches of earlier releases.
        on_hand = max(self.on_hand + delta, 0)
        if delta > 0:
            return self._served(on_hand - max(self.on_hand, 0))
        return self._unbacked(self.reserved - self.backordered - on_hand)

    def _served(self, units: int, *, besides: LineKey | None = None) -> _Backorders:
        """Return the backorders that change when ``units`` back the oldest backordered lines."""
        backorders = {}
        for key in oldest_first(self.backorders):
            if units <= 0:
                break
            if key != besides:
                backed = min(units, self.backorders[key])
                backorders[key] = self.backorders[key] - backed
                units -= backed
        return backorders

    def _unbacked(self, units: int) -> _Backorders:
        """Return the backorders that change when the newest lines lose ``units`` that back them."""
        backorders = {}
        for key in reversed(oldest_first(self.reservations)):
            if units <= 0:
                break
            if lost := min(units, self.backed(key)):
                backorders[key] = self.backorders.get(key, 0) + lost
                units -= lost
        return backorders

    def _shortage(self, requested: int, available: int) -> Shortage:
        return Shortage(product_id=self.pk, sku=self.sku, requested=requested, available=available)

    def _refuse_too_many(self, *, on_hand: int = 0, reserved: int = 0) -> None:
        """Raise TooManyUnitsError if a counter can't hold so many more units."""
        is_too_many_on_hand = on_hand > 0 and self.on_hand + on_hand > MOST_UNITS
        # Other units may be oversold: available falls below zero.
        most_reserved = MOST_UNITS + min(self.on_hand, 0)
        if is_too_many_on_hand or (reserved > 0 and self.reserved + reserved > most_reserved):
            raise TooManyUnitsError(
                f"{self.sku} can have at most {MOST_UNITS:,} units on hand, reserved or oversold."
            )


def _of_line(key: LineKey, quantity: int) -> dict[str, Any]:
    order_id, line_id = key
    return {"order_id": order_id, "line_id": line_id, "quantity": quantity}
