"""The kit for tests of aggregates: given some events, when a method is called, then what?

    given(*placed()).when(lambda order: order.cancel("Not needed", now=NOW)).then(
        event(OrderCancelled, reason="Not needed", status="cancelled")
    )
    given(*shipped()).when(lambda order: order.cancel("Too late", now=NOW)).then_refused(
        OrderAlreadyShippedError, "Cannot cancel shipped order"
    )

``given`` takes the events of one stream and needs no database. ``then`` takes the events that must
follow, each with the fields that matter to the test, and also checks that folding the events leads
to the same state. For an aggregate of your own, add its first event to ``AGGREGATES``.

The second half makes commands and dispatches them, for tests on the database.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction
from uuid_utils.compat import uuid7

from ordering_write import log
from ordering_write.bus import get_command_bus
from ordering_write.domain import events as e
from ordering_write.domain.commands import (
    CancelOrder,
    Command,
    CreateOrder,
    RegisterCustomer,
    RegisterStockItem,
    UpdateOrderStatus,
)
from ordering_write.domain.errors import DomainError
from ordering_write.domain.events import DomainEvent, OrderStatus
from ordering_write.domain.values import Money
from ordering_write.models import (
    Aggregate,
    Customer,
    Order,
    OutboxEvent,
    Reservation,
    StockItem,
    aggregate_types,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
USER = UUID(int=1)
ADDRESS = {
    "name": "Robin Sample",
    "line1": "1 Example Street",
    "city": "Sampleton",
    "country": "ES",
}

# The event that each kind of stream begins with.
AGGREGATES: dict[type[DomainEvent], type[Aggregate]] = {
    e.OrderCreated: Order,
    e.StockItemRegistered: StockItem,
    e.CustomerRegistered: Customer,
}


# --- Given, when, then -------------------------------------------------------------------------
class Expected:
    """An event of one type, with the fields that matter to a test."""

    def __init__(self, kind: type[DomainEvent], fields: dict[str, Any]) -> None:
        self.kind = kind
        self.fields = fields

    def check(self, actual: DomainEvent) -> None:
        assert type(actual) is self.kind
        assert {name: getattr(actual, name) for name in self.fields} == self.fields


class Then:
    """The outcome of a call; ``aggregate`` is the aggregate afterwards."""

    def __init__(
        self, past: Sequence[DomainEvent], aggregate: Aggregate, refusal: DomainError | None
    ) -> None:
        self.aggregate: Any = aggregate
        self._refusal = refusal
        self._past = past
        self._raised = aggregate.pending_events

    def then(self, *expected: Expected) -> "Then":
        """Check that exactly these events were raised, and that they fold to the same state."""
        assert self._refusal is None, f"refused: {self._refusal!r}"
        assert [event.type for event in self._raised] == [
            expected_event.kind.__name__ for expected_event in expected
        ]
        for expected_event, actual in zip(expected, self._raised, strict=True):
            expected_event.check(actual)
        folded = type(self.aggregate).fold([*self._past, *self._raised])
        assert state(folded) == state(self.aggregate)
        return self

    def then_refused(self, error: type[DomainError], message: str) -> None:
        """Check that the call was refused with this error and message, and raised no event."""
        assert type(self._refusal) is error
        assert str(self._refusal) == message
        assert self._raised == []


class Given:
    """The events of one stream."""

    def __init__(self, events: Sequence[DomainEvent]) -> None:
        self._events = events

    def when(self, act: Callable[[Any], Aggregate | None]) -> Then:
        """Call ``act`` with the aggregate; for a new aggregate, ``act`` returns it."""
        events = self._events
        aggregate = AGGREGATES[type(events[0])].fold(events) if events else None
        refusal = None
        try:
            created = act(aggregate)
        except DomainError as error:
            created, refusal = None, error
        after = created or aggregate
        assert after is not None, f"no aggregate was created: {refusal!r}"
        return Then(events, after, refusal)


def given(*events: DomainEvent) -> Given:
    """Start from an aggregate with these events; from nothing without events."""
    return Given(events)


def event(kind: type[DomainEvent], **fields: Any) -> Expected:
    """Return an event of this type with these fields, for ``then``; other fields don't matter."""
    return Expected(kind, fields)


def state(aggregate: Aggregate) -> dict[str, Any]:
    """Return the whole state of an aggregate, to compare."""
    own = _columns(aggregate)
    match aggregate:
        case Order():
            own["lines"] = [_columns(line) for line in aggregate.lines.values()]
            own["shipments"] = [_columns(shipment) for shipment in aggregate.shipments.values()]
        case StockItem():
            own["reservations"] = {k: units for k, units in aggregate.reservations.items() if units}
            own["backorders"] = dict(aggregate.backorders)
    return own


def _columns(row: Any) -> dict[str, Any]:
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}


# --- Past events -------------------------------------------------------------------------------
def placed(*quantities: int, unit_price: str = "19.90", currency: str = "EUR") -> list[Any]:
    """Return the events of a new order with a line for each of ``quantities`` (by default 2, 1)."""
    order_id = uuid7()
    created = e.OrderCreated(
        timestamp=NOW,
        order_id=order_id,
        customer_id=uuid7(),
        order_number="2026-000001",
        customer=e.Person(name="Robin Sample", email="robin@example.com"),
        shipping_address=e.PostalAddress(**ADDRESS),
        currency=currency,
        placed_at=NOW,
        source=str(USER),
    )
    price = Money.of(Decimal(unit_price), currency)
    items = [
        e.OrderItemAdded(
            timestamp=NOW,
            order_id=order_id,
            line_id=uuid7(),
            product_id=uuid7(),
            sku=f"SAMPLE-{number}",
            name=f"Sample {number}",
            quantity=quantity,
            unit_price=price,
            line_total=Money.of(price.amount * quantity, currency),
            price_source="client",
        )
        for number, quantity in enumerate(quantities or (2, 1), start=1)
    ]
    return Order.create(created=created, items=items).pending_events


def moved(*statuses: OrderStatus, events: Sequence[DomainEvent] = ()) -> list[Any]:
    """Return the events of an order that was placed, then moved to each of ``statuses``."""
    past = list(events or placed())
    order = Order.fold(past)
    for status in statuses:
        order.move_to(status, now=NOW, shipment_id=uuid7())
    return past + order.pending_events


def shipped() -> list[DomainEvent]:
    """Return the events of a shipped order."""
    return moved(OrderStatus.CONFIRMED, OrderStatus.SHIPPED)


def stocked(on_hand: int = 10, *, backorderable: bool = False) -> list[Any]:
    """Return the events of a product with ``on_hand`` units."""
    registered = e.StockItemRegistered(
        timestamp=NOW,
        product_id=uuid7(),
        sku="SAMPLE-1",
        name="Sample 1",
        backorderable=backorderable,
    )
    return StockItem.register(registered, on_hand=on_hand).pending_events


# --- Commands ----------------------------------------------------------------------------------
def dispatch(command: Command) -> Any:
    """Dispatch ``command`` for anyone; its events are of any type."""
    return get_command_bus().dispatch(command)


def registered_customer(name: str = "Robin Sample", **fields: Any) -> Customer:
    """Return a customer in the database."""
    fields.setdefault("email", f"{uuid7().hex}@example.com")
    [registered] = dispatch(RegisterCustomer(user_id=USER, name=name, **fields))
    return Customer.objects.get(pk=registered.customer_id)


def registered_product(on_hand: int = 10, **fields: Any) -> StockItem:
    """Return a product in the database, with the list price 19.90 EUR."""
    payload = {"sku": uuid7().hex, "name": "Sample", "list_price": "19.90", "currency": "EUR"}
    events = dispatch(RegisterStockItem(user_id=USER, on_hand=on_hand, **{**payload, **fields}))
    return StockItem.objects.get(pk=events[0].product_id)


def create_order(
    customer: Customer, *lines: tuple[StockItem | UUID, int], **fields: Any
) -> CreateOrder:
    """Return the command that orders these quantities at 19.90 each."""
    items = [
        {
            "product_id": product.pk if isinstance(product, StockItem) else product,
            "quantity": quantity,
            "unit_price": "19.90",
        }
        for product, quantity in lines
    ]
    defaults = {
        "user_id": USER,
        "timestamp": NOW,
        "customer_id": customer.pk,
        "currency": "EUR",
        "items": items,
        "shipping_address": ADDRESS,
    }
    return CreateOrder.model_validate({**defaults, **fields})


def placed_order(customer: Customer, *lines: tuple[StockItem | UUID, int], **fields: Any) -> Order:
    """Return an order in the database."""
    return Order.objects.get(pk=dispatch(create_order(customer, *lines, **fields))[0].order_id)


def cancel(order: Order, reason: str = "Not needed", **fields: Any) -> CancelOrder:
    """Return the command that cancels ``order``."""
    defaults = {"user_id": USER, "timestamp": NOW, "order_id": order.pk, "reason": reason}
    return CancelOrder.model_validate({**defaults, **fields})


def move(order: Order, status: OrderStatus, **fields: Any) -> UpdateOrderStatus:
    """Return the command that moves ``order`` to ``status``."""
    defaults = {"user_id": USER, "timestamp": NOW, "order_id": order.pk, "status": status}
    return UpdateOrderStatus.model_validate({**defaults, **fields})


# --- Stored state ------------------------------------------------------------------------------
def stored(stream: str) -> Any:
    """Return the aggregate of ``stream`` from its rows."""
    kind, _, key = stream.partition("-")
    pk = UUID(key)
    with transaction.atomic():
        match kind:
            case "order":
                return Order.load(pk)
            case "stock":
                item = StockItem.load_all([pk])[pk]
                StockItem.add_reservations({pk: item}, Reservation.objects.filter(product_id=pk))
                return item
            case _:
                return aggregate_types()[kind]._default_manager.get(pk=pk)


def check_rows_equal_log() -> None:
    """Check that the rows of every aggregate equal the fold of its events, with dense versions."""
    for stream in OutboxEvent.objects.values_list("stream", flat=True).distinct():
        events = log.read_stream(stream)
        assert [event.recorded.version for event in events] == list(range(1, len(events) + 1))
        folded = aggregate_types()[stream.partition("-")[0]].fold(events)
        assert state(folded) == state(stored(stream)), stream
