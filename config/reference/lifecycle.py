"""Explore the lifecycle of an order by trying every command in every state; write it as a page."""

from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID, uuid4

from ordering_write.domain import commands as c
from ordering_write.domain import events as e
from ordering_write.domain.errors import DomainError
from ordering_write.domain.events import OrderStatus
from ordering_write.domain.values import Money
from ordering_write.models.order import Order, OrderItem, Shipment

# Status before -> command name -> possible statuses after.
Lifecycle = dict[OrderStatus, dict[str, set[OrderStatus]]]

# A command, and the method call that it makes on the aggregate.
_Try = tuple[type[c.Command], Callable[[Order], None]]

_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_UNITS = 3


def explored() -> Lifecycle:
    """Return every step that an order with one line of three units accepts."""
    found: Lifecycle = defaultdict(lambda: defaultdict(set))
    start = _placed()
    seen, waiting = {_look(start)}, deque([start])
    while waiting:
        order, spare = waiting.popleft(), None
        for command, act in _tries(order):
            # An order that refused a step is unchanged, so the next step can use it.
            spare = spare or deepcopy(order)
            try:
                act(spare)
            except DomainError:
                continue
            if not spare.pending_events:
                continue
            after, spare = spare, None
            found[OrderStatus(order.status)][command.__name__].add(OrderStatus(after.status))
            if _look(after) not in seen:
                seen.add(_look(after))
                waiting.append(after)
    return found


def _placed() -> Order:
    order_id, price = uuid4(), Money.of(Decimal(10), "EUR")
    created = e.OrderCreated(
        timestamp=_NOW,
        order_id=order_id,
        customer_id=uuid4(),
        order_number="2026-000001",
        customer=e.Person(name="-", email="-"),
        shipping_address=e.PostalAddress(name="-", line1="-", city="-", country="ES"),
        currency="EUR",
        placed_at=_NOW,
        expires_at=_NOW,
        source="-",
    )
    item = e.OrderItemAdded(
        timestamp=_NOW,
        order_id=order_id,
        line_id=uuid4(),
        product_id=uuid4(),
        sku="-",
        name="-",
        quantity=_UNITS,
        unit_price=price,
        line_total=Money.of(price.amount * _UNITS, "EUR"),
        price_source="list",
    )
    order = Order.create(created=created, items=[item])
    # Reading clears the list, so that afterwards it holds the events of a step only.
    _ = order.pending_events
    return order


def _look(order: Order) -> tuple[object, ...]:
    """Return the state of ``order`` as far as the lifecycle depends on it."""
    line = _line(order)
    under_way = ("packed", "dispatched")
    shipments = sorted(
        (one.status, one.units[0].quantity)
        for one in order.shipments.values()
        if one.status in under_way
    )
    return (
        order.status,
        order.hold_reason,
        bool(order.processing_at),
        order.captured,
        *(getattr(line, units) for units in _LEDGER),
        tuple(shipments),
        sum(sum(expected.values()) for expected in order.returns.values()),
    )


_LEDGER = (
    "ordered cancelled packed shipped delivered failed return_requested returned".split()  # noqa: SIM905
)


def _line(order: Order) -> OrderItem:
    return next(iter(order.lines.values()))


def _tries(order: Order) -> Iterator[_Try]:
    """Yield every command for ``order``, accepted or not."""
    line = _line(order)
    yield c.ConfirmOrder, lambda o: o.confirm(now=_NOW)
    yield c.StartProcessing, lambda o: o.start_processing(now=_NOW)
    yield c.CompleteOrder, lambda o: o.complete(now=_NOW)
    yield c.CancelOrder, lambda o: o.cancel("-", now=_NOW)
    yield c.ExpireOrder, lambda o: o.expire(now=_NOW)
    yield c.PlaceHold, lambda o: o.hold(e.HoldReason.OTHER, now=_NOW)
    yield c.ReleaseHold, lambda o: o.release_hold(now=_NOW)
    for units in range(1, _UNITS + 1):
        yield from _tries_with_units(line.id, units)
    for shipment in order.shipments.values():
        yield from _tries_with(shipment)
    asked = c.ReturnedLine(line_id=line.id, quantity=1, reason=e.ReturnReason.OTHER)
    back = c.ReceivedLine(line_id=line.id, restock=1)
    yield c.RequestReturn, lambda o: o.request_return([asked], return_id=uuid4(), now=_NOW)
    for key, expected in order.returns.items():
        if expected:
            yield from _tries_with_return(UUID(key), back)
    captured, all_of_it = e.PaymentKind.CAPTURED, Decimal(20)
    yield c.RecordPayment, lambda o: o.record_payment("-", captured, all_of_it, at=_NOW)
    yield c.RecordRefund, lambda o: o.settle_refund(UUID(int=1), amount=all_of_it, at=_NOW)


def _tries_with_units(line_id: UUID, units: int) -> Iterator[_Try]:
    some = [c.LineQuantity(line_id=line_id, quantity=units)]
    yield c.ChangeItemQuantity, lambda o: o.change_quantity(line_id, units, now=_NOW)
    yield c.CancelOrderItems, lambda o: o.cancel_items(some, "-", now=_NOW)
    yield c.CreateShipment, lambda o: o.pack(some, shipment_id=uuid4(), now=_NOW)


def _tries_with(shipment: Shipment) -> Iterator[_Try]:
    key, lost = shipment.id, e.DeliveryFailure.LOST
    yield c.VoidShipment, lambda o: o.void_shipment(key, now=_NOW)
    yield c.DispatchShipment, lambda o: o.dispatch_shipment(key, now=_NOW)
    yield c.ConfirmDelivery, lambda o: o.deliver(key, at=_NOW)
    yield c.FailDelivery, lambda o: o.fail_delivery(key, lost, at=_NOW)


def _tries_with_return(key: UUID, back: c.ReceivedLine) -> Iterator[_Try]:
    yield c.ReceiveReturn, lambda o: o.receive_return(key, [back], now=_NOW)
    yield c.RejectReturn, lambda o: o.reject_return(key, "-", now=_NOW)


# --- The page ----------------------------------------------------------------------------------
_HEAD = """\
# The lifecycle of an order

Generated by `manage.py write_docs`, which tries every command on an order with one line of three
units, in every state that the order can reach. The result of a step can depend on the units that
remain, so some steps have more than one result. The status is derived from the unit counters
(`ordering_write/models/order/state.py`); no command sets it.

Steps that change the status:

"""


def page() -> str:
    """Return the page, in Markdown."""
    lifecycle = explored()
    return f"{_HEAD}```mermaid\n{_diagram(lifecycle)}```\n\nAll steps:\n\n{_table(lifecycle)}"


def _diagram(lifecycle: Lifecycle) -> str:
    arrows: dict[tuple[OrderStatus, OrderStatus], list[str]] = defaultdict(list)
    for before in OrderStatus:
        for command, ends in sorted(lifecycle[before].items()):
            for after in ends - {before}:
                arrows[before, after].append(command)
    lines = ["stateDiagram-v2", "    [*] --> pending: CreateOrder"]
    order = list(OrderStatus)
    for before, after in sorted(
        arrows, key=lambda pair: (order.index(pair[0]), order.index(pair[1]))
    ):
        lines.append(f"    {before} --> {after}: {', '.join(arrows[before, after])}")
    lines += ["    completed --> [*]", "    cancelled --> [*]"]
    return "\n".join(lines) + "\n"


def _table(lifecycle: Lifecycle) -> str:
    rows = ["| from | command | to |", "|---|---|---|"]
    order = list(OrderStatus)
    for before in OrderStatus:
        for command, ends in sorted(lifecycle[before].items()):
            to = " or ".join(status for status in order if status in ends)
            rows.append(f"| {before} | {command} | {to} |")
    return "\n".join(rows) + "\n"
