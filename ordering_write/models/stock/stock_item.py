"""The StockItem aggregate: its state machine, and how it is loaded and saved."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from uuid import UUID

from config.databases import tables
from ordering_write.domain import events as e
from ordering_write.domain.allocation import backorders_of
from ordering_write.domain.values import Money
from ordering_write.models import unit_of_work
from ordering_write.models.identifier import Identifier, digest_of
from ordering_write.models.stock.moving import Moving
from ordering_write.models.stock.reservation import Reservation
from ordering_write.models.stock.selling import Selling
from ordering_write.models.stock.state import StockState

_BACKORDERED = """
SELECT {columns} FROM unnest(%s::uuid[], %s::bigint[]) AS served (product_id, units), LATERAL (
    SELECT * FROM ordering_write_reservation AS row
    WHERE row.product_id = served.product_id AND backordered > 0
    ORDER BY line_id LIMIT served.units
) reservation
"""
_DELETE_RESERVATIONS = """
DELETE FROM ordering_write_reservation AS row
USING json_populate_recordset(NULL::ordering_write_reservation, %s) AS empty
WHERE row.order_id = empty.order_id AND row.line_id = empty.line_id
"""


class StockItem(Moving, Selling, StockState):
    """A product in stock. ``available`` is below zero for back-ordered products only."""

    class Meta(StockState.Meta):
        abstract = False

    @classmethod
    def register(cls, registered: e.StockItemRegistered, *, on_hand: int) -> "StockItem":
        """Return a new product with ``on_hand`` units of opening stock."""
        item = cls()
        item.has_all_reservations = True
        item._raise_event(registered)
        if on_hand:
            item.receive(on_hand, reference="opening stock", now=registered.timestamp)
        return item

    # --- The state machine -----------------------------------------------------------------------
    def evolve(self, event: e.DomainEvent) -> None:
        match event:
            case e.StockItemRegistered():
                self.product_id = event.product_id
                self.sku = event.sku
                self.name = event.name
                self._set_prices([event.list_price] if event.list_price else [])
                self.reorder_point = event.reorder_point
                self.backorderable = event.backorderable
                self.requires_shipping = event.requires_shipping is not False
                self.tax_class = event.tax_class or ""
            case e.StockReceived():
                self.on_hand += event.quantity
                self._expect_less(event)
            case e.StockExpected():
                self._expect(event)
            case e.StockAdjusted():
                self.on_hand += event.delta
            case e.StockReturned():
                self.on_hand += event.quantity
            case e.ListPriceChanged():
                self._set_prices(event.all_prices)
            case e.StockItemRenamed():
                self.name = event.name
            case e.StockItemDiscontinued():
                self.discontinued_at = event.timestamp
            case e.StockItemReinstated():
                self.discontinued_at = None
            case e.TaxClassChanged():
                self.tax_class = event.tax_class or ""
            case e.StockPolicyChanged():
                self.reorder_point = event.reorder_point
                self.backorderable = event.backorderable
                if event.requires_shipping is not None:
                    self.requires_shipping = event.requires_shipping
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
        if isinstance(event, e.StockMovement):
            self._assign_backorders(event)

    def _change_reservation(
        self, event: e.StockReserved | e.StockReleased | e.StockDispatched, change: int
    ) -> None:
        key = (event.order_id, event.line_id)
        units = self.reservations.pop(key, 0) + change
        if units:
            self.reservations[key] = units
        self._changed.add(key)

    def _assign_backorders(self, event: e.StockMovement) -> None:
        if event.backordered is None:
            # An earlier release stored the event, without allocating units.
            self.backorders = backorders_of(self.on_hand, self.reservations)
            self.backordered = sum(self.backorders.values())
            return
        self.backordered = event.backordered
        for line in event.backorders or ():
            key = (line.order_id, line.line_id)
            self.backorders.pop(key, None)
            if line.backordered:
                self.backorders[key] = line.backordered
            self._changed.add(key)

    def _expect(self, event: e.StockExpected) -> None:
        others = [item for item in self.expectations if item.at != event.at]
        new = [e.Expectation(at=event.at, quantity=event.quantity)] if event.quantity else []
        self._set_expectations(sorted([*others, *new], key=lambda item: item.at))

    def _expect_less(self, event: e.StockReceived) -> None:
        """Subtract the units that came in from those expected first."""
        if not self.expected or event.backordered is None:
            # An earlier release, which stored the event, left the expectations as they were.
            return
        units, remaining = event.quantity, []
        for item in self.expectations:
            came_in = min(units, item.quantity)
            units -= came_in
            if came_in < item.quantity:
                remaining.append(e.Expectation(at=item.at, quantity=item.quantity - came_in))
        self._set_expectations(remaining)

    def _set_expectations(self, expectations: Sequence[e.Expectation]) -> None:
        self.expected = [item.model_dump(mode="json") for item in expectations]

    def _set_prices(self, prices: Sequence[Money]) -> None:
        first = next(iter(prices), None)
        self.list_price = first.amount if first else None
        self.currency = first.currency if first else ""
        self.other_prices = {price.currency: str(price.amount) for price in prices[1:]}

    # --- Loading and saving ----------------------------------------------------------------------
    @classmethod
    def load_all(
        cls, product_ids: Collection[UUID], *, order_id: UUID | None = None
    ) -> "dict[UUID, StockItem]":
        """Return the existing products of ``product_ids``, with the reservations of ``order_id``.

        The rows stay locked until the end of the transaction. They are locked in the order of their
        ids, so that two orders of the same products wait for each other and don't deadlock.
        """
        items = cls._load_rows(product_ids)
        partial_ids = [pk for pk, item in items.items() if not item.has_all_reservations]
        if order_id is not None and partial_ids:
            of_order = f"order_id = %s AND product_id = {tables.ANY_OF_IDS}"
            rows = tables.find(Reservation, of_order, [order_id, partial_ids])
            cls.add_reservations(items, rows)
        cls._allocate(items)
        return items

    @classmethod
    def _load_rows(cls, product_ids: Collection[UUID]) -> "dict[UUID, StockItem]":
        unit = unit_of_work.current()
        kept = {pk: unit.find(cls, pk) for pk in product_ids} if unit else {}
        items = {pk: item for pk, item in kept.items() if item}
        if other_ids := [pk for pk in product_ids if pk not in items]:
            condition = f"product_id = {tables.ANY_OF_IDS} ORDER BY product_id"
            rows = cls.lock(condition, [other_ids])
            items |= {item.pk: item for item in rows}
            if unit:
                unit.keep(rows)
        return dict(sorted(items.items()))

    @classmethod
    def find_by_sku(cls, skus: Collection[str]) -> "dict[str, StockItem]":
        """Return the products with these ``skus``, however these are spelled, without locking them.

        The keys are the SKUs as given. Unknown SKUs are left out.
        """
        items: dict[str, StockItem] = {item.sku: item for item in cls.objects.filter(sku__in=skus)}
        if digests := {sku: digest_of(sku) for sku in skus if sku not in items}:
            kind = Identifier.Kind.SKU
            owners = Identifier.objects.filter(kind=kind, scope="", digest__in=digests.values())
            ids = {row.digest: row.owner_id for row in owners}
            owned = cls.objects.in_bulk(ids.values())
            items |= {sku: owned[ids[digest]] for sku, digest in digests.items() if digest in ids}
        return items

    @classmethod
    def _allocate(cls, items: "Mapping[UUID, StockItem]") -> None:
        """Allocate the units of those ``items`` that an earlier release has moved meanwhile."""
        unallocated = [item for item in items.values() if not item.is_allocated()]
        if unallocated:
            ids = [item.pk for item in unallocated]
            cls.add_reservations(items, tables.find(Reservation, "product_id = ANY(%s)", [ids]))
        for item in unallocated:
            item.allocate_anew()

    @classmethod
    def load_backordered(cls, items: "Mapping[UUID, StockItem]", units: Mapping[UUID, int]) -> None:
        """Load the oldest backordered lines, which ``units`` of their products can back.

        Costs a statement if one of the products has backordered lines.
        """
        served_units = {
            pk: number
            for pk, number in units.items()
            if items[pk].backordered and not items[pk].has_all_reservations
        }
        if served_units:
            names = (f"reservation.{column}" for column in tables.columns(Reservation))
            statement = _BACKORDERED.format(columns=", ".join(names))
            parameters = [list(served_units), list(served_units.values())]
            cls.add_reservations(items, tables.load(Reservation, statement, parameters))

    def load_backed(self, units: int) -> None:
        """Load the newest lines that lose their units when ``units`` are missing on the shelf."""
        if self.has_all_reservations:
            return
        newest = "product_id = %s AND quantity > backordered ORDER BY line_id DESC LIMIT %s"
        self.add_reservations({self.pk: self}, tables.find(Reservation, newest, [self.pk, units]))

    @classmethod
    def load_whole(cls, keys: Collection[UUID]) -> "Mapping[UUID, StockItem]":
        items = cls.objects.in_bulk(keys)
        cls.add_reservations(items, Reservation.objects.filter(product_id__in=items))
        return items

    @staticmethod
    def add_reservations(items: "Mapping[UUID, StockItem]", rows: Iterable[Reservation]) -> None:
        """Add loaded reservations to their products, a mapping from ids."""
        for row in rows:
            item, key = items[row.product_id], (row.order_id, row.line_id)
            if key in item._changed:
                # Allocated anew, and not saved yet.
                continue
            item.reservations[key] = row.quantity
            if row.backordered:
                item.backorders[key] = row.backordered

    @classmethod
    def write_all(cls, aggregates: "Sequence[StockItem]") -> None:
        tables.save(aggregates, unique=["product_id"])
        new = [item for item in aggregates if item._saved_version == 0]
        kind = Identifier.Kind.SKU
        tables.insert([Identifier.of(kind, item.sku, item.pk) for item in new])
        changed = [
            Reservation(
                product_id=item.pk,
                order_id=order_id,
                line_id=line_id,
                quantity=item.reservations.get((order_id, line_id), 0),
                backordered=item.backorders.get((order_id, line_id), 0),
            )
            for item in aggregates
            for order_id, line_id in sorted(item._changed)
        ]
        tables.upsert([row for row in changed if row.quantity], unique=["order_id", "line_id"])
        if empty := [row for row in changed if not row.quantity]:
            tables.write(_DELETE_RESERVATIONS, empty)
        for item in aggregates:
            item._changed.clear()
