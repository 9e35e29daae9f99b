"""Finds the lifecycle of an order by trying every command in every state; makes a page of it."""

from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
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
_Step = tuple[type[c.Command], Callable[[Order], None]]

_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_UNITS = 3
_COUNTERS = (
    "ordered",
    "cancelled",
    "packed",
    "shipped",
    "delivered",
    "failed",
    "made_good",
    "return_requested",
    "returned",
)


@cache
def explore() -> Lifecycle:
    """Return the accepted commands and their results, for an order with one line of three units."""
    lifecycle: Lifecycle = defaultdict(lambda: defaultdict(set))
    start = _placed_order()
    visited, queue = {_state(start)}, deque([start])
    while queue:
        order, copy = queue.popleft(), None
        for command, act in _steps(order):
            # A copy that refused a step is unchanged, so the next step can use it.
            copy = copy or deepcopy(order)
            try:
                act(copy)
            except DomainError:
                continue
            if not copy.pending_events:
                continue
            after, copy = copy, None
            lifecycle[OrderStatus(order.status)][command.__name__].add(OrderStatus(after.status))
            if _state(after) not in visited:
                visited.add(_state(after))
                queue.append(after)
    return lifecycle


def _placed_order() -> Order:
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
    # Reading clears the list, so that the list later holds the events of one step only.
    _ = order.pending_events
    return order


def _state(order: Order) -> tuple[object, ...]:
    """Return the state of ``order`` as far as the lifecycle depends on it."""
    line = _line(order)
    shipments = sorted(
        (shipment.status, shipment.units[0].quantity)
        for shipment in order.shipments.values()
        if shipment.status in ("packed", "dispatched")
    )
    return (
        order.status,
        order.hold_reason,
        bool(order.processing_at),
        order.captured,
        *(getattr(line, counter) for counter in _COUNTERS),
        tuple(shipments),
        sum(sum(expected.values()) for expected in order.returns.values()),
    )


def _line(order: Order) -> OrderItem:
    return next(iter(order.lines.values()))


def _steps(order: Order) -> Iterator[_Step]:
    """Yield every command for ``order``, accepted or not."""
    line = _line(order)
    yield c.ConfirmOrder, lambda o: o.confirm(now=_NOW)
    yield c.StartProcessing, lambda o: o.start_processing(now=_NOW)
    yield c.CompleteOrder, lambda o: o.complete(now=_NOW)
    yield c.CancelOrder, lambda o: o.cancel("-", now=_NOW)
    yield c.ExpireOrder, lambda o: o.expire(now=_NOW)
    yield c.PlaceHold, lambda o: o.hold(e.HoldReason.OTHER, now=_NOW)
    yield c.ReleaseHold, lambda o: o.release_hold(now=_NOW)
    for quantity in range(1, _UNITS + 1):
        yield from _unit_steps(line.id, quantity)
    for shipment in order.shipments.values():
        yield from _shipment_steps(shipment)
    returned = c.ReturnedLine(line_id=line.id, quantity=1, reason=e.ReturnReason.OTHER)
    received = c.ReceivedLine(line_id=line.id, restock=1)
    yield c.RequestReturn, lambda o: o.request_return([returned], return_id=uuid4(), now=_NOW)
    for key, expected in order.returns.items():
        if expected:
            yield from _return_steps(UUID(key), received)
    captured, amount = e.PaymentKind.CAPTURED, Decimal(20)
    yield c.RecordPayment, lambda o: o.record_payment("-", captured, amount, at=_NOW)
    yield c.RecordRefund, lambda o: o.settle_refund(UUID(int=1), amount=amount, at=_NOW)


def _unit_steps(line_id: UUID, quantity: int) -> Iterator[_Step]:
    units = [c.LineQuantity(line_id=line_id, quantity=quantity)]
    yield c.ChangeItemQuantity, lambda o: o.change_quantity(line_id, quantity, now=_NOW)
    yield c.CancelOrderItems, lambda o: o.cancel_items(units, "-", now=_NOW)
    yield c.CreateShipment, lambda o: o.pack(units, shipment_id=uuid4(), now=_NOW)


def _shipment_steps(shipment: Shipment) -> Iterator[_Step]:
    key, lost = shipment.id, e.DeliveryFailure.LOST
    yield c.VoidShipment, lambda o: o.void_shipment(key, now=_NOW)
    yield c.DispatchShipment, lambda o: o.dispatch_shipment(key, now=_NOW)
    yield c.ConfirmDelivery, lambda o: o.deliver(key, at=_NOW)
    yield c.FailDelivery, lambda o: o.fail_delivery(key, lost, at=_NOW)
    yield c.FailDelivery, lambda o: o.fail_delivery(key, lost, resend=True, at=_NOW)


def _return_steps(key: UUID, received: c.ReceivedLine) -> Iterator[_Step]:
    yield c.ReceiveReturn, lambda o: o.receive_return(key, [received], now=_NOW)
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
    lifecycle = explore()
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
