"""The StockItem aggregate: what is in stock of a product, and for whom it is set aside."""

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
    WouldGoNegativeError,
)
from ordering_write.domain.values import Money
from ordering_write.models.aggregate import Aggregate

# How a reservation is named: by order and line.
Key = tuple[UUID, UUID]
Movement = e.StockReserved | e.StockReleased | e.StockDispatched | e.StockReturned


class StockItem(Aggregate):
    """A product in stock. ``available`` is never below zero unless it may be back-ordered."""

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
        # The units set aside, as far as they were loaded, and the keys of those that changed.
        self.reservations: dict[Key, int] = {}
        self._touched: set[Key] = set()

    def __str__(self) -> str:
        return self.sku

    @property
    def available(self) -> int:
        """Units that can be promised."""
        return self.on_hand - self.reserved

    # --- What can be done ----------------------------------------------------------------------
    @classmethod
    def register(cls, registered: e.StockItemRegistered, *, on_hand: int) -> "StockItem":
        """A new product, with ``on_hand`` units received at once."""
        item = cls()
        item._raise_event(registered)
        if on_hand:
            item.receive(on_hand, reference="opening stock", now=registered.timestamp)
        return item

    def receive(self, quantity: int, *, reference: str = "", now: datetime) -> None:
        """Add units that came in."""
        self._raise_event(
            e.StockReceived(
                timestamp=now, product_id=self.pk, quantity=quantity, reference=reference
            )
        )

    def adjust(
        self, delta: int, *, reason: e.AdjustmentReason, comment: str = "", now: datetime
    ) -> None:
        """Bring the books in line with the shelf, by ``delta`` units.

        Raises WouldGoNegativeError when fewer units would be left than none, or than are set aside
        of what may not be back-ordered.
        """
        left = self.on_hand + delta
        needed = 0 if self.backorderable else self.reserved
        if delta < 0 and left < needed:
            raise WouldGoNegativeError(
                f"{left} units of {self.sku} would be left, and {self.reserved} are set aside."
            )
        self._raise_event(
            e.StockAdjusted(
                timestamp=now, product_id=self.pk, delta=delta, reason=reason, comment=comment
            )
        )

    def set_list_price(self, price: Money | None, *, now: datetime) -> None:
        """Set what a unit costs from now on; the price that it has changes nothing."""
        if price != self.price:
            self._raise_event(
                e.ListPriceChanged(timestamp=now, product_id=self.pk, list_price=price)
            )

    def set_policy(self, *, reorder_point: int, backorderable: bool, now: datetime) -> None:
        """Set from when on it counts as low, and whether more may be sold than there is.

        Raises WouldGoNegativeError when more is promised than there is and no longer may be.
        """
        if (reorder_point, backorderable) == (self.reorder_point, self.backorderable):
            return
        if not backorderable and self.available < 0:
            raise WouldGoNegativeError(
                f"{-self.available} units of {self.sku} are promised that aren't there; receive"
                " them first."
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
        """What is missing of ``requested`` units, None when they can be promised."""
        if self.backorderable or requested <= self.available:
            return None
        return Shortage(
            product_id=self.pk, sku=self.sku, requested=requested, available=self.available
        )

    def reserve(self, key: Key, quantity: int, *, now: datetime) -> None:
        """Set units aside for a line, once; InsufficientInventoryError when there are too few."""
        if key not in self.reservations:
            self.extend(key, quantity, now=now)

    def extend(self, key: Key, more: int, *, now: datetime) -> None:
        """Set ``more`` units aside for a line than are; InsufficientInventoryError as above."""
        if shortage := self.shortage(more):
            raise InsufficientInventoryError([shortage])
        self._move(e.StockReserved, key, more, now)

    def release(self, key: Key, quantity: int, *, now: datetime) -> None:
        """Give back up to ``quantity`` of what is set aside for a line."""
        if held := min(quantity, self.reservations.get(key, 0)):
            self._move(e.StockReleased, key, held, now)

    def dispatch(self, key: Key, quantity: int, *, now: datetime) -> None:
        """Let up to ``quantity`` of what is set aside for a line leave the house."""
        if held := min(quantity, self.reservations.get(key, 0)):
            self._move(e.StockDispatched, key, held, now)

    def take_back(self, key: Key, quantity: int, *, now: datetime) -> None:
        """Put ``quantity`` units that a line had received on the shelf again."""
        self._move(e.StockReturned, key, quantity, now)

    def _move(self, movement: type[Movement], key: Key, quantity: int, now: datetime) -> None:
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
        self._touched.add(key)

    # --- What events do ------------------------------------------------------------------------
    def evolve(self, event: e.DomainEvent) -> None:
        match event:
            case e.StockItemRegistered():
                self.product_id = event.product_id
                self.sku = event.sku
                self.name = event.name
                self._price_at(event.list_price)
                self.reorder_point = event.reorder_point
                self.backorderable = event.backorderable
            case e.StockReceived():
                self.on_hand += event.quantity
            case e.StockAdjusted():
                self.on_hand += event.delta
            case e.StockReturned():
                self.on_hand += event.quantity
            case e.ListPriceChanged():
                self._price_at(event.list_price)
            case e.StockPolicyChanged():
                self.reorder_point = event.reorder_point
                self.backorderable = event.backorderable
            case e.StockReserved():
                self.reserved += event.quantity
                self._set_aside(event, event.quantity)
            case e.StockReleased():
                self.reserved -= event.quantity
                self._set_aside(event, -event.quantity)
            case e.StockDispatched():
                self.reserved -= event.quantity
                self.on_hand -= event.quantity
                self._set_aside(event, -event.quantity)

    def _set_aside(self, event: Movement, change: int) -> None:
        key = (event.order_id, event.line_id)
        held = self.reservations.pop(key, 0) + change
        if held:
            self.reservations[key] = held

    def _price_at(self, price: Money | None) -> None:
        self.list_price = price.amount if price else None
        self.currency = price.currency if price else ""

    def outcome(self) -> dict[str, Any]:
        return {"on_hand": self.on_hand, "reserved": self.reserved, "available": self.available}

    @property
    def price(self) -> Money | None:
        """The list price, None when there is none."""
        if self.list_price is None:
            return None
        return Money.of(Decimal(self.list_price), self.currency)

    # --- Loading and saving --------------------------------------------------------------------
    @classmethod
    def load_all(
        cls, product_ids: Collection[UUID], *, order_id: UUID | None = None
    ) -> "dict[UUID, StockItem]":
        """The products that exist of ``product_ids``, with what is set aside for ``order_id``.

        Their rows stay locked until the end of the transaction. They are locked in the order of
        their ids, so that two orders of the same products wait for each other and don't deadlock.
        """
        locked = "product_id = ANY(%s) ORDER BY product_id FOR UPDATE"
        found = tables.find(StockItem, locked, [list(product_ids)])
        items = {item.pk: item for item in found}
        if order_id is not None:
            for row in Reservation.objects.filter(order_id=order_id, product_id__in=items):
                items[row.product_id].reservations[row.order_id, row.line_id] = row.quantity
        return items

    @classmethod
    def write_all(cls, aggregates: "Sequence[StockItem]") -> None:
        tables.insert([item for item in aggregates if item._saved_version == 0])
        known = [item for item in aggregates if item._saved_version > 0]
        tables.upsert(known, unique=["product_id"])
        touched = [(item, key) for item in aggregates for key in sorted(item._touched)]
        held = [
            Reservation(
                product_id=item.pk,
                order_id=key[0],
                line_id=key[1],
                quantity=item.reservations.get(key, 0),
            )
            for item, key in touched
        ]
        kept = [reservation for reservation in held if reservation.quantity]
        tables.upsert(kept, unique=["order_id", "line_id"])
        if spent := [reservation.line_id for reservation in held if not reservation.quantity]:
            Reservation.objects.filter(line_id__in=spent).delete()
        for item in aggregates:
            item._touched.clear()


class Reservation(models.Model):
    """Units of a product set aside for one line of an order."""

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
