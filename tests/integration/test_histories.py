"""The read models with a row per event: the order history and the stock ledger."""

import inspect
import random
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from ordering_read.models.base import ReadModel
from ordering_read.models.order_timeline import TimelineEntry
from ordering_read.models.stock_ledger import StockMovement
from ordering_read.projections import timeline_sentences
from ordering_write.domain import events as e
from ordering_write.domain.errors import InvalidOperationError
from ordering_write.domain.events import OrderStatus
from tests.kit_projections import (
    NOON,
    History,
    cut_at_random,
    new_generation,
    order_placed,
    product_registered,
    project,
    rows_of,
)

pytestmark = pytest.mark.django_db(databases=["default", "read"])

LATER = NOON + timedelta(hours=1)
ACTOR = "user 00000000-0000-0000-0000-000000000001"


@pytest.fixture
def history() -> History:
    return History()


def entries(history: History, *columns: str) -> list[Any]:
    """Return these columns of all entries of the timeline, in order."""
    rows = sorted(history.rows(TimelineEntry), key=lambda row: row["version"])
    return [tuple(row[column] for column in columns) for row in rows]


# --- The timeline ------------------------------------------------------------------------------
def test_an_entry_has_the_sentence_the_actor_and_the_position_of_its_event(
    history: History,
) -> None:
    order = order_placed()
    history.add(order)

    [entry] = [row for row in history.rows(TimelineEntry) if row["version"] == 1]

    assert entry == {
        "order_id": order.pk,
        "customer_id": order.customer_id,
        "version": 1,
        "at": NOON,
        "sentence": f"{ACTOR} placed the order for Robin Sample",
        "customer_sentence": "Order placed",
        "visibility": "customer",
        "icon": "order",
        "about_id": None,
        "about_name": "",
        "actor": ACTOR,
        "channel": "python",
        "type": "OrderCreated",
        "event_id": history.events[0].recorded.event_id,
        "position": 1,
    }


def test_the_sentences_of_an_order_from_placement_to_completion(history: History) -> None:
    order = order_placed(
        lines=2,
        quantity=2,
        unit_price="19.90",
        adjustments={"shipping": "4.50", "discount": "5.00"},
    )
    for status in ("confirmed", "processing", "shipped", "delivered", "completed"):
        order.move_to(OrderStatus(status), now=LATER, shipment_id=uuid4())
    history.add(order)

    assert [(sentence.removeprefix(ACTOR),) for (sentence,) in entries(history, "sentence")] == [
        (" placed the order for Robin Sample",),
        (" added 2 × Sample 1 at 19.90 EUR",),
        (" added 2 × Sample 2 at 19.90 EUR",),
        (" added 4.50 EUR: Sample shipping",),
        (" took 5.00 EUR off: Sample discount",),
        (" confirmed the order",),
        (" started picking",),
        (" packed 2 × Sample 1 and 2 × Sample 2",),
        (" shipped 2 × Sample 1 and 2 × Sample 2",),
        (" recorded that 2 × Sample 1 and 2 × Sample 2 arrived",),
        (" completed the order",),
    ]
    assert entries(history, "visibility") == [("customer",)] * 11


def test_reasons_are_for_staff_only(history: History) -> None:
    order = order_placed(quantity=1)
    order.confirm(reason="Paid by invoice", now=LATER)
    order.cancel("Looks like fraud", now=LATER)
    history.add(order)

    assert entries(history, "sentence", "customer_sentence")[-2:] == [
        (f"{ACTOR} confirmed the order: Paid by invoice", "Order confirmed"),
        (f"{ACTOR} cancelled the order: Looks like fraud", "Order cancelled"),
    ]


def test_notes_and_tags_are_internal_unless_a_note_is_for_the_customer(history: History) -> None:
    order = order_placed()
    order.tag("gift", now=LATER)
    order.add_note("Ring twice", note_id=uuid4(), now=LATER)
    order._raise_event(
        e.NoteAdded(
            timestamp=LATER,
            order_id=order.pk,
            note_id=uuid4(),
            text="We are on our way",
            visibility="customer",
        )
    )
    history.add(order)

    assert entries(history, "sentence", "customer_sentence", "visibility")[-3:] == [
        (f"{ACTOR} added the tag gift", "", "internal"),
        (f"{ACTOR} noted: Ring twice", "", "internal"),
        (f"{ACTOR} noted: We are on our way", "Note: We are on our way", "customer"),
    ]


def test_every_event_of_an_order_has_a_sentence_of_its_own() -> None:
    source = inspect.getsource(timeline_sentences)

    for name, event_type in e.DomainEvent.types.items():
        if issubclass(event_type, e.OrderEvent):
            assert f"e.{name}(" in source


# --- Unit counters --------------------------------------------------------------------------------
def test_each_movement_is_one_row(history: History) -> None:
    product = product_registered(on_hand=10)
    sold, given_up = (uuid4(), uuid4()), (uuid4(), uuid4())
    product.reserve(sold, 3, now=LATER)
    product.reserve(given_up, 2, now=LATER)
    product.release(given_up, 2, now=LATER)
    product.dispatch(sold, 3, now=LATER)
    history.add(product)

    rows = sorted(history.rows(StockMovement), key=lambda row: row["version"])

    columns = ("kind", "delta", "reserved_delta", "on_hand", "reserved", "available", "order_id")
    assert [tuple(row[column] for column in columns) for row in rows] == [
        ("received", 10, 0, 10, 0, 10, None),
        ("reserved", 0, 3, 10, 3, 7, sold[0]),
        ("reserved", 0, 2, 10, 5, 5, given_up[0]),
        ("released", 0, -2, 10, 3, 7, given_up[0]),
        ("dispatched", -3, -3, 7, 0, 7, sold[0]),
    ]
    assert sum(row["delta"] for row in rows) == rows[-1]["on_hand"]
    assert sum(row["reserved_delta"] for row in rows) == rows[-1]["reserved"]
    assert {name: rows[0][name] for name in ("at", "reference", "actor", "position")} == {
        "at": NOON,
        "reference": "opening stock",
        "actor": ACTOR,
        "position": 2,
    }


def test_a_product_without_stock_has_no_movements(history: History) -> None:
    history.add(product_registered(on_hand=0))

    assert history.rows(StockMovement) == []


# --- Batches and repeats -----------------------------------------------------------------------
@pytest.fixture
def busy_day(history: History) -> History:
    dice = random.Random(20260301)
    orders = [order_placed(number=f"2026-{n:06}") for n in range(8)]
    products = [product_registered(sku=f"SKU-{n}", on_hand=50) for n in range(4)]
    history.add(*orders, *products)
    for _ in range(60):
        order, product = dice.choice(orders), dice.choice(products)
        if moves := order.allowed_moves():
            with suppress(InvalidOperationError):
                order.move_to(dice.choice(moves), now=LATER, shipment_id=uuid4())
        product.reserve((order.pk, uuid4()), 1, now=LATER)
        history.add(order, product)
    return history


@pytest.mark.parametrize("model", [TimelineEntry, StockMovement])
@pytest.mark.parametrize("seed", range(3))
def test_batches_and_repeats_make_the_same_rows(
    busy_day: History, model: type[ReadModel], seed: int
) -> None:
    expected = busy_day.rows(model)
    generation = new_generation(model.projection_name)

    dice = random.Random(seed)
    for batch in cut_at_random(busy_day.events, dice):
        project(batch, generation)

    assert rows_of(model, generation) == expected != []


@pytest.mark.parametrize(
    ("model", "later"), [(TimelineEntry, ["SELECT", "INSERT"]), (StockMovement, ["INSERT"])]
)
def test_the_number_of_statements_is_independent_of_the_size_of_a_batch(
    busy_day: History, model: type[ReadModel], later: list[str]
) -> None:
    generation = new_generation(model.projection_name)

    # The product names of lines that an earlier batch added are looked up.
    for batch, expected in ((busy_day.events[:40], ["INSERT"]), (busy_day.events[40:], later)):
        with CaptureQueriesContext(connections["read"]) as statements:
            project(batch, generation)
        assert [statement["sql"].split()[0] for statement in statements] == expected
