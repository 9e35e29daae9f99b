"""The StockItem aggregate: the units of a product, and the units reserved for orders."""

from collections.abc import Collection, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import models
from django.db.models import F, Q

from config.databases import tables
from ordering_write.domain import events as e
from ordering_write.domain.errors import (
    InsufficientInventoryError,
    Shortage,
    TooManyUnitsError,
    WouldGoNegativeError,
)
from ordering_write.domain.values import MOST_UNITS, Money
from ordering_write.models.aggregate import Aggregate
from ordering_write.models.guarded import GuardedModel
from ordering_write.models.identifier import Identifier

# The line of an order that a reservation is for: order_id, line_id.
ReservationKey = tuple[UUID, UUID]
Movement = e.StockReserved | e.StockReleased | e.StockDispatched | e.StockReturned


class StockItem(Aggregate):
    """A product in stock. ``available`` is below zero for back-ordered products only."""

    stream_prefix = "stock"
    always_included = frozenset({"on_hand", "reserved", "available"})

    product_id = models.UUIDField(primary_key=True)
    sku = models.CharField("SKU", max_length=64, unique=True)
    name = models.CharField(max_length=200)
    on_hand = models.BigIntegerField(default=0)
    reserved = models.PositiveBigIntegerField(default=0)
    list_price = models.DecimalField(max_digits=19, decimal_places=4, null=True, blank=True)
    currency = models.CharField(max_length=3, blank=True)
    reorder_point = models.PositiveIntegerField(default=0)
    backorderable = models.BooleanField(default=False)

    class Meta:
        default_permissions = ()
        constraints = [
            models.CheckConstraint(
                condition=Q(backorderable=True) | Q(on_hand__gte=F("reserved")),
                name="stock_item_never_oversold",
            ),
        ]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The units of the loaded reservations, and the keys of changed reservations.
        self.reservations: dict[ReservationKey, int] = {}
        self._changed: set[ReservationKey] = set()

    def __str__(self) -> str:
        return self.sku

    @property
    def available(self) -> int:
        """Units that can be reserved."""
        return self.on_hand - self.reserved

    # --- Moves -----------------------------------------------------------------------------------
    @classmethod
    def register(cls, registered: e.StockItemRegistered, *, on_hand: int) -> "StockItem":
        """Return a new product with ``on_hand`` units of opening stock."""
        item = cls()
        item._raise_event(registered)
        if on_hand:
            item.receive(on_hand, reference="opening stock", now=registered.timestamp)
        return item

    def receive(self, quantity: int, *, reference: str = "", now: datetime) -> None:
        """Add units that came in to the stock."""
        self._refuse_too_many(on_hand=quantity)
        self._raise_event(
            e.StockReceived(
                timestamp=now, product_id=self.pk, quantity=quantity, reference=reference
            )
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
        needed = 0 if self.backorderable else self.reserved
        if delta < 0 and on_hand < needed:
            raise WouldGoNegativeError(
                f"{on_hand} units of {self.sku} would be left, and {self.reserved} are reserved."
            )
        self._raise_event(
            e.StockAdjusted(
                timestamp=now, product_id=self.pk, delta=delta, reason=reason, comment=comment
            )
        )

    def set_list_price(self, price: Money | None, *, now: datetime) -> None:
        """Set the list price of a unit; the current price changes nothing."""
        if price != self.price:
            self._raise_event(
                e.ListPriceChanged(timestamp=now, product_id=self.pk, list_price=price)
            )

    def set_policy(self, *, reorder_point: int, backorderable: bool, now: datetime) -> None:
        """Set the reorder point, and whether the product can be oversold.

        Raises WouldGoNegativeError when the product is oversold and ``backorderable`` is False.
        """
        if (reorder_point, backorderable) == (self.reorder_point, self.backorderable):
            return
        if not backorderable and self.available < 0:
            raise WouldGoNegativeError(
                f"{-self.available} units of {self.sku} are oversold; receive them first."
            )
        self._raise_event(
            e.StockPolicyChanged(
                timestamp=now,
                product_id=self.pk,
                reorder_point=reorder_point,
                backorderable=backorderable,
            )
        )

    def shortage(self, requested: int) -> Shortage | None:
        """Return the shortage of ``requested`` units, None when they can be reserved."""
        if self.backorderable or requested <= self.available:
            return None
        return Shortage(
            product_id=self.pk, sku=self.sku, requested=requested, available=self.available
        )

    def reserve(self, key: ReservationKey, quantity: int, *, now: datetime) -> None:
        """Reserve units for a line, once; InsufficientInventoryError when too few are available."""
        if key not in self.reservations:
            self.extend(key, quantity, now=now)

    def extend(self, key: ReservationKey, more: int, *, now: datetime) -> None:
        """Reserve ``more`` units for a line; InsufficientInventoryError as in ``reserve``."""
        if shortage := self.shortage(more):
            raise InsufficientInventoryError([shortage])
        self._refuse_too_many(reserved=more)
        self._move(e.StockReserved, key, more, now)

    def release(self, key: ReservationKey, quantity: int, *, now: datetime) -> None:
        """Release up to ``quantity`` of the units reserved for a line."""
        if units := min(quantity, self.reservations.get(key, 0)):
            self._move(e.StockReleased, key, units, now)

    def dispatch(self, key: ReservationKey, quantity: int, *, now: datetime) -> None:
        """Dispatch up to ``quantity`` of the units reserved for a line."""
        if units := min(quantity, self.reservations.get(key, 0)):
            self._move(e.StockDispatched, key, units, now)

    def take_back(self, key: ReservationKey, quantity: int, *, now: datetime) -> None:
        """Return ``quantity`` dispatched units of a line to the stock."""
        self._refuse_too_many(on_hand=quantity)
        self._move(e.StockReturned, key, quantity, now)

    def _move(
        self, movement: type[Movement], key: ReservationKey, quantity: int, now: datetime
    ) -> None:
        order_id, line_id = key
        self._raise_event(
            movement(
                timestamp=now,
                product_id=self.pk,
                order_id=order_id,
                line_id=line_id,
                quantity=quantity,
            )
        )
        self._changed.add(key)

    def _refuse_too_many(self, *, on_hand: int = 0, reserved: int = 0) -> None:
        """Raise TooManyUnitsError if a counter can't hold so many more units."""
        is_too_many_on_hand = on_hand > 0 and self.on_hand + on_hand > MOST_UNITS
        # Other units may be oversold: available falls below zero.
        most_reserved = MOST_UNITS + min(self.on_hand, 0)
        if is_too_many_on_hand or (reserved > 0 and self.reserved + reserved > most_reserved):
            raise TooManyUnitsError(
                f"{self.sku} can have at most {MOST_UNITS:,} units on hand, reserved or oversold."
            )

    # --- The state machine -----------------------------------------------------------------------
    def evolve(self, event: e.DomainEvent) -> None:
        match event:
            case e.StockItemRegistered():
                self.product_id = event.product_id
                self.sku = event.sku
                self.name = event.name
                self._set_price(event.list_price)
                self.reorder_point = event.reorder_point
                self.backorderable = event.backorderable
            case e.StockReceived():
                self.on_hand += event.quantity
            case e.StockAdjusted():
                self.on_hand += event.delta
            case e.StockReturned():
                self.on_hand += event.quantity
            case e.ListPriceChanged():
                self._set_price(event.list_price)
            case e.StockPolicyChanged():
                self.reorder_point = event.reorder_point
                self.backorderable = event.backorderable
            case e.StockReserved():
                self.reserved += event.quantity
                self._change_reservation(event, event.quantity)
            case e.StockReleased():
                self.reserved -= event.quantity
                self._change_reservation(event, -event.quantity)
            case e.StockDispatched():
                self.reserved -= event.quantity
                self.on_hand -= event.quantity
                self._change_reservation(event, -event.quantity)

    def _change_reservation(self, event: Movement, change: int) -> None:
        key = (event.order_id, event.line_id)
        units = self.reservations.pop(key, 0) + change
        if units:
            self.reservations[key] = units

    def _set_price(self, price: Money | None) -> None:
        self.list_price = price.amount if price else None
        self.currency = price.currency if price else ""

    def outcome(self) -> dict[str, Any]:
        return {"on_hand": self.on_hand, "reserved": self.reserved, "available": self.available}

    @property
    def price(self) -> Money | None:
        """The list price; None for a product without one."""
        if self.list_price is None:
            return None
        return Money.of(Decimal(self.list_price), self.currency)

    # --- Loading and saving ----------------------------------------------------------------------
    @classmethod
    def load_all(
        cls, product_ids: Collection[UUID], *, order_id: UUID | None = None
    ) -> "dict[UUID, StockItem]":
        """Return the existing products of ``product_ids``, with the reservations of ``order_id``.

        The rows stay locked until the end of the transaction. They are locked in the order of their
        ids, so that two orders of the same products wait for each other and don't deadlock.
        """
        locked = "product_id = ANY(%s) ORDER BY product_id FOR UPDATE"
        rows = tables.find(StockItem, locked, [list(product_ids)])
        items = {item.pk: item for item in rows}
        if order_id is not None:
            for row in Reservation.objects.filter(order_id=order_id, product_id__in=items):
                key = (row.order_id, row.line_id)
                items[row.product_id].reservations[key] = row.quantity
        return items

    @classmethod
    def write_all(cls, aggregates: "Sequence[StockItem]") -> None:
        tables.insert([item for item in aggregates if item._saved_version == 0])
        existing = [item for item in aggregates if item._saved_version > 0]
        tables.upsert(existing, unique=["product_id"])
        new = [item for item in aggregates if item._saved_version == 0]
        kind = Identifier.Kind.SKU
        tables.insert([Identifier.of(kind, item.sku, item.pk) for item in new])
        changed = [
            Reservation(
                product_id=item.pk,
                order_id=order_id,
                line_id=line_id,
                quantity=item.reservations.get((order_id, line_id), 0),
            )
            for item in aggregates
            for order_id, line_id in sorted(item._changed)
        ]
        tables.upsert([row for row in changed if row.quantity], unique=["order_id", "line_id"])
        if empty_line_ids := [row.line_id for row in changed if not row.quantity]:
            Reservation._base_manager.filter(line_id__in=empty_line_ids).delete()
        for item in aggregates:
            item._changed.clear()


class Reservation(GuardedModel):
    """Units of a product reserved for one line of an order."""

    product = models.ForeignKey(StockItem, on_delete=models.PROTECT, related_name="+")
    order_id = models.UUIDField()
    line_id = models.UUIDField(db_index=True)
    quantity = models.PositiveIntegerField()

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["order_id", "line_id"], name="reservation_line_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} of {self.product_id} for line {self.line_id}"
