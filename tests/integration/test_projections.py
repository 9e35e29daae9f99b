"""The projections: the rows that events make, in batches of any size."""

import random
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from ordering_read.models import (
    CustomerSummary,
    InventoryLevel,
    OrderLine,
    OrderSummary,
    ReadModel,
    ReadModelWrittenError,
)
from ordering_write.domain.errors import InvalidOperationError
from ordering_write.domain.events import OrderStatus
from ordering_write.models import Order
from tests.kit_projections import (
    ADDRESS,
    NOON,
    History,
    customer_registered,
    cut_at_random,
    new_generation,
    order_placed,
    product_registered,
    project,
    rows_of,
)
from tests.proof import size

pytestmark = pytest.mark.django_db(databases=["default", "read"])

LATER = NOON + timedelta(hours=1)


@pytest.fixture
def history() -> History:
    return History()


def move(order: Order, status: OrderStatus) -> None:
    order.move_to(status, now=LATER, shipment_id=uuid4())


# --- Orders ------------------------------------------------------------------------------------
def test_an_order_is_one_row(history: History) -> None:
    order = order_placed(
        lines=2, quantity=3, unit_price="9.95", external_reference="shop-7", number="2026-000007"
    )
    customer_id = order.customer_id
    history.add(order)

    assert history.rows(OrderSummary) == [
        {
            "order_id": order.pk,
            "order_number": "2026-000007",
            "customer_id": customer_id,
            "customer_name": "Robin Sample",
            "status": "pending",
            "payment_status": "unpaid",
            "fulfilment_status": "unfulfilled",
            "return_status": "none",
            "hold_reason": "",
            "total_amount": Decimal("59.70"),
            "balance": Decimal("59.70"),
            "authorized": Decimal(0),
            "captured": Decimal(0),
            "refunded": Decimal(0),
            "attention": [],
            "currency": "EUR",
            "item_count": 2,
            "unit_count": 6,
            "external_reference": "shop-7",
            "external_reference_key": "shop-7",
            "po_number": "",
            "po_number_key": "",
            "metadata": {},
            "replaces_order_id": None,
            "replaces_order_number": "",
            "replaced_by": [],
            "transfers": [],
            "assigned_to": "",
            "tags": [],
            "shipping_address": ADDRESS.model_dump(),
            "billing_address": None,
            "hold": None,
            "adjustments": [],
            "charges": None,
            "shipments": [],
            "payments": [],
            "refunds": [],
            "returns": [],
            "notes": [],
            "created_at": NOON,
            "placed_on": NOON.date(),
            "updated_at": NOON,
            "version": 3,
            "position": 3,
        }
    ]


def test_the_lines_of_an_order_are_numbered_in_the_order_of_their_addition(
    history: History,
) -> None:
    history.add(order_placed(lines=3, quantity=2, unit_price="1.50"))

    lines = sorted(history.rows(OrderLine), key=lambda line: line["number"])

    assert [(line["number"], line["sku"]) for line in lines] == [
        (1, "SKU-1"),
        (2, "SKU-2"),
        (3, "SKU-3"),
    ]
    assert {line["line_total"] for line in lines} == {Decimal("3.00")}


@pytest.mark.parametrize(
    ("moves", "status"),
    [
        ([OrderStatus.CONFIRMED], "confirmed"),
        ([OrderStatus.CONFIRMED, OrderStatus.PROCESSING], "processing"),
        ([OrderStatus.CONFIRMED, OrderStatus.SHIPPED], "shipped"),
        ([OrderStatus.CONFIRMED, OrderStatus.SHIPPED, OrderStatus.DELIVERED], "delivered"),
        ([OrderStatus.CANCELLED], "cancelled"),
    ],
)
def test_an_order_has_the_status_of_its_last_event(
    history: History, moves: list[OrderStatus], status: str
) -> None:
    order = order_placed()
    for target in moves:
        move(order, target)
    history.add(order)

    [row] = history.rows(OrderSummary)

    assert row["status"] == status
    assert row["version"] == len(history.events)
    assert (row["created_at"], row["updated_at"]) == (NOON, LATER)


def test_the_row_of_an_order_has_tags_and_addresses(history: History) -> None:
    order = order_placed(billing_address=ADDRESS)
    order.tag("gift", now=LATER)
    order.add_note("Ring twice", note_id=uuid4(), now=LATER)
    history.add(order)

    [row] = history.rows(OrderSummary)

    assert row["tags"] == ["gift"]
    assert row["billing_address"]["city"] == "Sampleton"
    assert row["version"] == 4


# --- Stock and customers -----------------------------------------------------------------------
def test_the_stock_of_a_product_is_that_of_its_last_event(history: History) -> None:
    product = product_registered(sku="LAMP", on_hand=10, list_price="19.90")
    kept, given_up = (uuid4(), uuid4()), (uuid4(), uuid4())
    product.reserve(kept, 3, now=NOON)
    product.reserve(given_up, 2, now=NOON)
    product.release(given_up, 2, now=LATER)
    history.add(product)

    assert history.rows(InventoryLevel) == [
        {
            "product_id": product.pk,
            "sku": "LAMP",
            "sku_key": "lamp",
            "name": "Sample LAMP",
            "on_hand": 10,
            "reserved": 3,
            "available": 7,
            "backordered": 0,
            "expected": [],
            "list_price": Decimal("19.90"),
            "currency": "EUR",
            "other_prices": [],
            "discontinued_at": None,
            "tax_class": "",
            "reorder_point": 3,
            "backorderable": False,
            "requires_shipping": True,
            "is_low": False,
            "last_movement_at": LATER,
            "updated_at": LATER,
            "version": 5,
            "position": 5,
        }
    ]


def test_a_product_without_a_list_price_has_no_currency(history: History) -> None:
    history.add(product_registered(list_price=None, on_hand=0))

    [row] = history.rows(InventoryLevel)

    assert (row["list_price"], row["currency"], row["on_hand"]) == (None, "", 0)


def test_a_customer_is_one_row(history: History) -> None:
    customer = customer_registered(email="robin@example.com")
    history.add(customer)

    assert history.rows(CustomerSummary) == [
        {
            "customer_id": customer.pk,
            "name": "Robin Sample",
            "email": "robin@example.com",
            "email_key": "robin@example.com",
            "phone": "",
            "status": "active",
            "metadata": {},
            "registered_at": NOON,
            "updated_at": NOON,
            "version": 1,
            "position": 1,
        }
    ]


# --- Batches and repeats -----------------------------------------------------------------------
@pytest.fixture
def busy_day(history: History) -> History:
    """Orders, stock and customers whose events are mixed in the log."""
    dice = random.Random(20260301)
    orders = [order_placed(lines=dice.randint(1, 4), number=f"2026-{n:06}") for n in range(12)]
    products = [product_registered(sku=f"SKU-{n}", on_hand=50) for n in range(5)]
    customers = [customer_registered(email=f"robin.{n}@example.com") for n in range(5)]
    history.add(*orders, *products, *customers)
    for _ in range(120):
        order, product = dice.choice(orders), dice.choice(products)
        if moves := order.allowed_moves():
            with suppress(InvalidOperationError):
                move(order, dice.choice(moves))
        product.reserve((order.pk, uuid4()), 1, now=LATER) if product.available else None
        history.add(order, product)
    return history


@pytest.mark.parametrize("model", [OrderSummary, OrderLine, InventoryLevel, CustomerSummary])
@pytest.mark.parametrize("seed", range(3))
def test_batches_and_repeats_make_the_same_rows(
    busy_day: History, model: type[ReadModel], seed: int
) -> None:
    expected = busy_day.rows(model)
    generation = new_generation(model.projection_name)

    dice = random.Random(seed)
    for batch in cut_at_random(busy_day.events, dice):
        project(batch, generation)

    assert rows_of(model, generation) == expected


@pytest.mark.proof
@pytest.mark.parametrize(
    ("model", "count"), [(OrderSummary, 3), (InventoryLevel, 2), (CustomerSummary, 2)]
)
def test_the_number_of_statements_is_independent_of_the_size_of_a_batch(
    model: type[ReadModel], count: int
) -> None:
    counts = []
    for number in (1, size(60, full=400)):
        history = History()
        for n in range(number):
            history.add(
                order_placed(lines=3, number=f"2026-{n:06}"),
                product_registered(sku=f"SKU-{n}"),
                customer_registered(),
            )
        generation = new_generation(model.projection_name)
        with CaptureQueriesContext(connections["read"]) as statements:
            project(history.events, generation)
        counts.append(len(statements))

    assert counts == [count, count]


def test_a_repeated_batch_writes_nothing(busy_day: History) -> None:
    generation = new_generation("order_view")
    project(busy_day.events, generation)

    with CaptureQueriesContext(connections["read"]) as statements:
        project(busy_day.events, generation)

    assert [statement["sql"][:6] for statement in statements] == ["SELECT"]


def test_an_event_of_an_order_without_a_row_is_an_error(history: History) -> None:
    order = order_placed()
    history.add(order)
    generation = new_generation("order_view")

    with pytest.raises(KeyError):
        project(history.events[1:], generation)


def test_read_models_are_written_by_projections_only(history: History) -> None:
    history.add(order_placed())
    generation = new_generation("order_view")
    project(history.events, generation)
    row = OrderSummary.objects.get()

    for write in (row.save, row.delete, OrderSummary.objects.all().delete):
        with pytest.raises(ReadModelWrittenError, match="command bus"):
            write()
