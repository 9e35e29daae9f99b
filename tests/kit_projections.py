"""The kit of the projections' tests: given events, the rows that they make.

``history.add(order_placed(lines=2))`` makes ``history.rows(OrderSummary)[0]["item_count"]`` 2.
"""

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from ordering_read.engine.live import PROJECTIONS
from ordering_read.models import Projection, ReadModel
from ordering_read.projector import projector, writing
from ordering_read.queries.orders import OrderDetail
from ordering_write.domain import events as e
from ordering_write.domain.values import Actor, Money
from ordering_write.models import Customer, Order, StockItem
from ordering_write.models.aggregate import Aggregate
from ordering_write.subscriptions import parked

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ADDRESS = e.PostalAddress(
    name="Robin Sample", line1="1 Example Street", city="Sampleton", country="ES"
)


class History:
    """Events with the versions and positions that the log would give them.

    As in the log, personal fields read as erased once a later event has erased them.
    """

    def __init__(self) -> None:
        self.events: list[e.DomainEvent] = []
        self._versions: Counter[str] = Counter()

    def add(self, *aggregates: Aggregate) -> None:
        """Append the events that the aggregates have raised since they were last added."""
        for aggregate in aggregates:
            for event in aggregate.pending_events:
                self._append(event, aggregate.stream)

    def _append(self, event: e.DomainEvent, stream: str) -> None:
        self._versions[stream] += 1
        envelope = e.Envelope(
            event_id=uuid7(),
            stream=stream,
            version=self._versions[stream],
            actor=Actor.user(UUID(int=1)),
            channel="python",
            command_id=uuid7(),
            correlation_id=uuid7(),
            causation_id=uuid7(),
            recorded_at=event.timestamp,
            position=len(self.events) + 1,
        )
        self.events.append(event.model_copy(update={"envelope": envelope}))
        if event.erases:
            self.events = [_as_erased(past, by=self.events[-1]) for past in self.events]

    def rows(self, model: type[ReadModel]) -> list[dict[str, Any]]:
        """Return the rows of ``model`` after the whole history, applied to an empty generation."""
        generation = new_generation(model.projection_name)
        project(self.events, generation)
        return rows_of(model, generation)


def _as_erased(event: e.DomainEvent, *, by: e.DomainEvent) -> e.DomainEvent:
    is_erased = event.recorded.stream == by.recorded.stream
    if isinstance(by, e.NoteRedacted):
        is_erased = isinstance(event, e.NoteAdded) and event.note_id == by.note_id
    if not is_erased:
        return event
    kept = {name: value for name, value in dict(event).items() if name not in event.personal}
    return type(event).model_validate(kept | event.erased_fields())


def without_backorders(order: OrderDetail) -> OrderDetail:
    """Return ``order`` as its own events say it: those of products say what is backordered."""
    unknown = {"backordered": None, "expected_at": None}
    items = tuple(item.model_copy(update=unknown) for item in order.items)
    return order.model_copy(update={**unknown, "items": items})


def new_generation(name: str) -> Projection:
    """Create an empty generation of the projection ``name``, beside the existing ones."""
    return Projection.objects.create(
        name=name,
        generation=Projection.objects.filter(name=name).count() + 1,
        version=projector(name).version,
        status=Projection.Status.RETIRED,
    )


def go_live(history: History) -> None:
    """Apply the whole history to the live generations."""
    for generation in Projection.objects.filter(status=Projection.Status.LIVE):
        project(history.events, generation)


def project(events: Sequence[e.DomainEvent], generation: Projection) -> None:
    """Apply one batch to ``generation``: those of ``events`` that its projection wants."""
    projection = projector(generation.name)
    wanted = [event for event in events if isinstance(event, projection.events)]
    with writing():
        projection.apply(wanted, generation.pk)


def rows_of(model: type[Any], generation: Projection) -> list[dict[str, Any]]:
    """Return the sorted rows of a generation, without keys, which differ by generation."""
    rows = model.objects.filter(projection=generation).values()
    values = [
        {name: value for name, value in row.items() if name not in ("key", "projection_id")}
        for row in rows
    ]
    return sorted(values, key=lambda row: str(sorted(row.items())))


def cut_at_random(events: Sequence[e.DomainEvent], dice: random.Random) -> Iterable[list[Any]]:
    """Yield ``events`` in batches of random size; some batches are repeated with earlier events."""
    start = 0
    while start < len(events):
        end = start + dice.randint(1, 7)
        yield list(events[start:end])
        if dice.random() < 0.5:
            yield list(events[dice.randint(0, start) : end])
        start = end


# --- Parked events -----------------------------------------------------------------------------
def parked_events(*, projection: str = "") -> Any:
    """The parked and skipped events of projections."""
    return parked.parked_events(PROJECTIONS, name=projection)


def blocking(*, projection: str = "", stream: str = "") -> Any:
    """The events that block their streams."""
    return parked.blocking_events(PROJECTIONS, name=projection, stream=stream)


def retry(rows: Any) -> list[parked.Retried]:
    """Apply the parked streams of ``rows``."""
    return parked.retry(PROJECTIONS, rows)


def skip(row: Any, *, reason: str, by: str) -> parked.Retried:
    """Skip the event of ``row``."""
    return parked.skip(PROJECTIONS, row, reason=reason, by=by)


# --- Events -----------------------------------------------------------------
def order_placed(
    *,
    lines: int = 1,
    quantity: int = 2,
    unit_price: str = "9.95",
    currency: str = "EUR",
    number: str = "2026-000001",
    customer_id: UUID | None = None,
    product_id: UUID | None = None,
    adjustments: Mapping[str, str] | None = None,
    customer_name: str = "Robin Sample",
    tax_rate: str | None = None,
    at: datetime = NOON,
    **details: Any,
) -> Order:
    """An order of ``lines`` lines of ``quantity`` units each, and ``{kind: amount}`` beside them.

    Each line is of another product unless ``product_id`` says of which.
    """
    order_id = uuid7()
    created = e.OrderCreated(
        timestamp=at,
        order_id=order_id,
        customer_id=customer_id or uuid7(),
        order_number=number,
        customer=e.Person(name=customer_name, email="robin@example.com"),
        shipping_address=ADDRESS,
        currency=currency,
        placed_at=at,
        source="python",
        **details,
    )
    price = Money.of(Decimal(unit_price), currency)
    items = [
        e.OrderItemAdded(
            timestamp=at,
            order_id=order_id,
            line_id=uuid7(),
            product_id=product_id or uuid7(),
            sku=f"SKU-{line}",
            name=f"Sample {line}",
            quantity=quantity,
            unit_price=price,
            line_total=Money.of(price.amount * quantity, currency),
            price_source="client",
        )
        for line in range(1, lines + 1)
    ]
    beside = [
        e.OrderAdjustmentAdded(
            timestamp=at,
            order_id=order_id,
            kind=kind,
            label=f"Sample {kind}",
            amount=Money.of(Decimal(amount), currency),
            rate=Decimal(tax_rate) if tax_rate and kind == "tax" else None,
        )
        for kind, amount in (adjustments or {}).items()
    ]
    return Order.create(created=created, items=items, adjustments=beside)


def product_registered(
    *,
    sku: str = "SKU-1",
    name: str = "",
    on_hand: int = 10,
    list_price: str | None = "9.95",
    currency: str = "EUR",
) -> StockItem:
    """A product with its opening stock."""
    registered = e.StockItemRegistered(
        timestamp=NOON,
        product_id=uuid7(),
        sku=sku,
        name=name or f"Sample {sku}",
        list_price=Money.of(Decimal(list_price), currency) if list_price else None,
        reorder_point=3,
    )
    return StockItem.register(registered, on_hand=on_hand)


def customer_registered(
    *,
    name: str = "Robin Sample",
    email: str = "robin@example.com",
    phone: str = "",
    customer_id: UUID | None = None,
    at: datetime = NOON,
) -> Customer:
    """A registered customer."""
    registered = e.CustomerRegistered(
        timestamp=at, customer_id=customer_id or uuid7(), name=name, email=email, phone=phone
    )
    return Customer.register(registered)
