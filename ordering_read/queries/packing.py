"""Queries for the work of the warehouse: units to pack, slips to print, parcels to dispatch."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import QuerySet

from ordering_read.documents import AddressView, ShipmentView
from ordering_read.models import OrderSummary
from ordering_read.models.fulfilment import QueuedOrder
from ordering_read.queries.base import Query, QueryHandler, handles
from ordering_read.queries.fulfilment import Readiness, backordered_units, queue, reasons_of
from ordering_read.queries.lists import shop_wide
from ordering_read.queries.views import View
from ordering_write.published import OrderStatus


class PackingLineView(View):
    """A line of an order: the units of it that are in stock for the order and not packed yet.

    Units that don't ``requires_shipping`` are handed over instead of packed.
    """

    line_id: UUID
    product_id: UUID
    sku: str
    name: str
    in_stock: int
    requires_shipping: bool


class PackingOrderView(View):
    """An order as the warehouse packs it.

    ``stopped_by`` says why none of its units may leave the shelf now, and is empty if some may.
    """

    order_id: UUID
    order_number: str
    city: str
    country: str
    lines: tuple[PackingLineView, ...]
    packed_units: int
    stopped_by: str

    @property
    def lines_to_pack(self) -> Sequence[PackingLineView]:
        """The lines of which units can be packed now."""
        lines = self.lines if not self.stopped_by else ()
        return [line for line in lines if line.in_stock and line.requires_shipping]

    @property
    def refusal(self) -> str:
        """The reason why nothing of the order can be packed now; empty if something can."""
        if self.stopped_by or self.lines_to_pack:
            return self.stopped_by
        return "everything is packed" if self.packed_units else "nothing of it is to be packed"


class GetPackingOrders(Query[tuple[PackingOrderView, ...]]):
    """Return the orders with these numbers, in this order; those that don't exist are left out."""

    order_numbers: tuple[str, ...]


class GetNextToPack(Query[tuple[PackingOrderView, ...]]):
    """List the oldest orders of which units can be packed now."""

    count: int = 20


class SlipView(View):
    """A packing slip: the units of one parcel, and its address."""

    order_id: UUID
    order_number: str
    placed_at: datetime
    address: AddressView | None
    units: tuple[tuple[int, str, str], ...]
    stopped_by: str


class GetPackingSlips(Query[tuple[SlipView, ...]]):
    """Return a slip for each packed parcel of these orders, and for the units yet to be packed.

    An order that is stopped has one slip without units.
    """

    order_numbers: tuple[str, ...]


class ParcelView(View):
    """A packed parcel that waits for its carrier."""

    shipment_id: UUID
    order_id: UUID
    order_number: str
    city: str
    country: str
    units: tuple[tuple[int, str, str], ...]
    carrier: str
    tracking_number: str


class ListParcels(Query[tuple[ParcelView, ...]]):
    """List the parcels that may be dispatched, the oldest orders first.

    With ``order_numbers``, list those of these orders only.
    """

    order_numbers: tuple[str, ...] = ()
    orders: int = 50


class _Order(NamedTuple):
    """An order by its number, and its row in the queue, which it may have left."""

    order_id: UUID
    order_number: str
    status: str
    row: Any


@handles(GetPackingOrders)
class GetPackingOrdersHandler(QueryHandler[GetPackingOrders, tuple[PackingOrderView, ...]]):
    """Reads the numbers in one statement, and the queue in another."""

    def handle(self, query: GetPackingOrders) -> tuple[PackingOrderView, ...]:
        return tuple(_packing_order(order) for order in _orders(query, query.order_numbers))


@handles(GetNextToPack)
class GetNextToPackHandler(QueryHandler[GetNextToPack, tuple[PackingOrderView, ...]]):
    """Reads the beginning of the queue in one statement."""

    def handle(self, query: GetNextToPack) -> tuple[PackingOrderView, ...]:
        rows: QuerySet[Any] = shop_wide(query, queue().filter(open_units__gt=0))
        rows = rows.exclude(readiness=Readiness.RED)
        orders = (
            _packing_order(_Order(row.order_id, row.order_number, row.status, row))
            for row in rows.order_by("placed_at", "order_id")[: query.count]
        )
        return tuple(order for order in orders if not order.refusal)


@handles(GetPackingSlips)
class GetPackingSlipsHandler(QueryHandler[GetPackingSlips, tuple[SlipView, ...]]):
    """Reads the numbers, the queue, and the addresses with the parcels, in a statement each."""

    def handle(self, query: GetPackingSlips) -> tuple[SlipView, ...]:
        orders = _orders(query, query.order_numbers)
        summaries = _summaries(order.order_id for order in orders)
        return tuple(
            SlipView(
                order_id=order.order_id,
                order_number=order.order_number,
                placed_at=summary.created_at,
                address=summary.shipping_address,
                units=tuple(units),
                stopped_by=view.stopped_by,
            )
            for order in orders
            if (summary := summaries.get(order.order_id))
            for view in [_packing_order(order)]
            for units in _units_of_slips(order, view, summary)
        )


@handles(ListParcels)
class ListParcelsHandler(QueryHandler[ListParcels, tuple[ParcelView, ...]]):
    """Reads the queue in one statement, and the parcels in another."""

    def handle(self, query: ListParcels) -> tuple[ParcelView, ...]:
        rows = QueuedOrder.live.filter(units__gt=0, packed_units__gt=0, hold_reason="")
        rows = shop_wide(query, rows).exclude(status=OrderStatus.PENDING)
        if query.order_numbers:
            named = OrderSummary.live.filter(order_number__in=query.order_numbers)
            rows = rows.filter(order_id__in=named.values("order_id"))
        rows_by_id = {
            row.order_id: row for row in rows.order_by("placed_at", "order_id")[: query.orders]
        }
        summaries = _summaries(rows_by_id)
        return tuple(
            ParcelView(
                shipment_id=parcel.shipment_id,
                order_id=order_id,
                order_number=row.order_number,
                city=row.city,
                country=row.country,
                units=tuple(_units(row, parcel)),
                carrier=parcel.carrier,
                tracking_number=parcel.tracking_number,
            )
            for order_id, row in rows_by_id.items()
            if (summary := summaries.get(order_id))
            for parcel in _packed(summary)
        )


def _orders(query: Query[Any], numbers: Sequence[str]) -> list[_Order]:
    """Return the orders with these ``numbers``, in this order, and without repetitions."""
    found = shop_wide(query, OrderSummary.live.filter(order_number__in=numbers))
    orders = {
        number: (order_id, status)
        for number, order_id, status in found.values_list("order_number", "order_id", "status")
    }
    ids = [order_id for order_id, _ in orders.values()]
    rows = {row.order_id: row for row in queue().filter(order_id__in=ids)}
    return [
        _Order(order_id, number, status, rows.get(order_id))
        for number in dict.fromkeys(numbers)
        if number in orders
        for order_id, status in [orders[number]]
    ]


def _summaries(order_ids: Iterable[UUID]) -> dict[UUID, OrderSummary]:
    """Return the rows with the parcels and the addresses of orders, by order id."""
    columns = ("order_id", "created_at", "shipping_address", "shipments")
    rows = OrderSummary.live.filter(order_id__in=list(order_ids)).only(*columns)
    return {row.order_id: row for row in rows}


def _packing_order(order: _Order) -> PackingOrderView:
    row = order.row
    if row is None:
        status = order.status.replace("_", " ")
        return _view(order, stopped_by=f"nothing of it waits, it is {status}")
    backordered = backordered_units(row)
    lines = tuple(
        PackingLineView(
            line_id=UUID(line_id),
            product_id=line["product_id"],
            sku=line["sku"],
            name=line["name"],
            in_stock=max(line["open"] - backordered.get(line_id, 0), 0),
            requires_shipping=line.get("requires_shipping", True),
        )
        for line_id, line in row.lines.items()
    )
    stopped_by = "; ".join(reasons_of(row)) if row.readiness == Readiness.RED else ""
    return _view(
        order,
        city=row.city,
        country=row.country,
        lines=lines,
        packed_units=row.packed_units,
        stopped_by=stopped_by,
    )


def _view(order: _Order, **fields: Any) -> PackingOrderView:
    names = {"order_id": order.order_id, "order_number": order.order_number}
    return PackingOrderView.model_validate(
        {"lines": (), "packed_units": 0, "city": "", "country": "", **names, **fields}
    )


def _packed(summary: OrderSummary) -> list[ShipmentView]:
    shipments = map(ShipmentView.model_validate, summary.shipments)
    return [shipment for shipment in shipments if shipment.status == "packed"]


def _units(row: QueuedOrder, parcel: ShipmentView) -> Iterable[tuple[int, str, str]]:
    """Yield the quantity, SKU and product of each line in a parcel."""
    for item in parcel.items:
        line = row.lines.get(str(item.line_id), {"sku": "", "name": ""})
        yield item.quantity, line["sku"], line["name"]


def _units_of_slips(
    order: _Order, view: PackingOrderView, summary: OrderSummary
) -> Iterable[list[tuple[int, str, str]]]:
    """Yield the units of each slip of an order."""
    if view.stopped_by:
        yield []
        return
    for parcel in _packed(summary):
        yield list(_units(order.row, parcel))
    if view.lines_to_pack:
        yield [(line.in_stock, line.sku, line.name) for line in view.lines_to_pack]
