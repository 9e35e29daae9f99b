"""Every projection can store all values that a command accepts."""

import copy
import json
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from django.db import transaction
from rest_framework.test import APIClient

from config.accounts.models import User
from ordering_read.models import InventoryLevel, OrderSummary, ParkedEvent
from ordering_write.domain import commands as c
from ordering_write.domain import errors
from ordering_write.domain import events as e
from ordering_write.domain.commands import Command
from ordering_write.domain.values import MOST_UNITS
from ordering_write.log import outbox
from ordering_write.models import Order, StockItem, save
from tests import kit
from tests.kit_admin import run_projections
from tests.kit_contract import Operation, World, document, fill, operations
from tests.proof import IS_PROOF, size

LARGEST = "999999999999999.99"
# Values by the type of a field: the largest and the smallest of any use, and some beyond.
INTEGERS = (MOST_UNITS, 10**6, -(10**6), 10**9, 10**4, 10**30)[: size(3, full=6)]
AMOUNTS = (LARGEST, "999999999999999.9999")[: size(1, full=2)]
TIMES = (
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "2000-01-01T00:00:00+14:00",
)[: size(2, full=3)]
DURATIONS = ("P36500000D", "PT0.000001S", "P365D")[: size(2, full=3)]
# Letters that become longer when they are written large, small or decomposed.
LETTERS = ("\u0390", "\ufb03")[: size(1, full=2)]
# Refusals because of the state of a subject: another subject may accept the value.
STATUSES_OF_SUBJECTS = (404, 409)
# The number of subjects that each value is tried on: until one accepts it, or on all of them.
SUBJECTS = size(3, full=1_000)


@pytest.fixture(scope="module", autouse=True)
def _make_document() -> None:
    """Make the document before a test opens its transaction."""
    document()


@pytest.fixture(autouse=True)
def _unlimited(settings: Any) -> None:
    settings.RATE_LIMITS = dict.fromkeys(settings.RATE_LIMITS, 10**9)


@pytest.mark.proof
def test_extreme_values_in_every_field_of_every_command_are_stored_or_refused(
    admin_user: User, subtests: pytest.Subtests, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, client = World(monkeypatch), APIClient()
    client.force_authenticate(admin_user)
    statuses: Counter[int] = Counter()
    # The world has parked events of one order.
    parked_stream = world.orders.pop(0).stream
    for operation in operations():
        if operation.method == "get" or operation.body is None:
            continue
        with subtests.test(operation.name), transaction.atomic():
            subjects = list(world.subjects(operation))
            if not operation.in_path:
                subjects = subjects[:1]
            for body in extreme_bodies(operation):
                for subject in subjects[:SUBJECTS]:
                    status = send(client, operation, fill(body, subject), dict(subject))
                    if status < 300:
                        # Sums of accepted values must fit too.
                        status = send(client, operation, fill(body, subject), dict(subject))
                    assert status < 500, body
                    statuses[status] += 1
                    if IS_PROOF:
                        continue
                    if status not in STATUSES_OF_SUBJECTS:
                        break
                    # The next body is tried on other subjects first.
                    subjects.remove(subject)
                    subjects.append(subject)
    assert statuses[200] > size(10, full=20), statuses
    assert statuses[201] > size(10, full=20), statuses
    run_projections()
    parked = ParkedEvent.objects.exclude(stream=parked_stream)
    assert [(row.checkpoint.name, row.type, row.message) for row in parked] == []


def send(client: APIClient, operation: Operation, body: Any, subject: dict[str, str]) -> int:
    answer = client.generic(
        operation.method.upper(),
        operation.path.format_map(operation.in_path | subject),
        json.dumps(body),
        content_type="application/json",
        headers={"If-Match": "*"},
    )
    return answer.status_code


def extreme_bodies(operation: Operation) -> Iterator[Any]:
    """Yield bodies of ``operation`` that each have one extreme value, and the others of its
    example."""
    schema = operation.documented["requestBody"]["content"]["application/json"]["schema"]
    for path, field in fields_of(schema):
        for value in extremes_of(field):
            yield replaced(operation.body, path, value)


def fields_of(
    schema: dict[str, Any], path: tuple[str | int, ...] = ()
) -> Iterator[tuple[tuple[str | int, ...], dict[str, Any]]]:
    """Yield the path and the schema of each field that holds one value."""
    if "$ref" in schema:
        schema = document()["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    for part in schema.get("anyOf", schema.get("allOf", ())):
        yield from fields_of(part, path)
    match schema:
        case {"properties": properties}:
            for name, field in properties.items():
                yield from fields_of(field, (*path, name))
        case {"type": "array", "items": items}:
            yield from fields_of(items, (*path, 0))
        case {"type": "integer" | "number" | "string"}:
            yield path, schema


def extremes_of(field: dict[str, Any]) -> tuple[Any, ...]:
    match field:
        case {"type": "integer" | "number"}:
            return INTEGERS
        case {"format": "date-time"}:
            return TIMES
        case {"format": "duration"}:
            return DURATIONS
        case {"pattern": pattern} if "15" in pattern:
            return AMOUNTS
        case {"maxLength": length}:
            return tuple(letter * length for letter in LETTERS)
        case _:
            return ()


def replaced(body: Any, path: tuple[str | int, ...], value: Any) -> Any:
    """Return a copy of ``body`` with ``value`` at ``path``, which may be new."""
    copied = copy.deepcopy(body)
    place = copied
    for name, next_name in pairwise(path):
        if isinstance(place, dict) and not place.get(name):
            place[name] = [{}] if isinstance(next_name, int) else {}
        place = place[name]
    if isinstance(place, list):
        place[:] = [value]
    else:
        place[path[-1]] = value
    return copied


# --- Sums ----------------------------------------------------------------------------------------
pytestmark = pytest.mark.usefixtures("db")


def give(command_type: type[Command], **payload: Any) -> Any:
    envelope = {"user_id": kit.USER, "timestamp": kit.NOW}
    return kit.dispatch(command_type.model_validate({**envelope, **payload}))


def stocked(units: int, **fields: Any) -> StockItem:
    """Return a product with so many units, which takes thousands of commands otherwise."""
    product = kit.registered_product(0, **fields)
    received = c.ReceiveStock(user_id=kit.USER, product_id=product.pk, quantity=1)
    with outbox.commit():
        item = StockItem.load_all([product.pk])[product.pk]
        item.receive(units, now=kit.NOW)
        save([item], caused_by=received)
    return product


def nothing_is_parked() -> bool:
    run_projections()
    return not ParkedEvent.objects.exists()


def test_the_payments_of_an_order_add_up_to_what_its_columns_hold(
    customer: Any, subtests: pytest.Subtests
) -> None:
    for kind in ("authorized", "captured"):
        order = kit.placed_order(customer, (kit.registered_product(), 1))
        give(c.RecordPayment, order_id=order.pk, payment_id="first", kind=kind, amount=LARGEST)
        for amount in (LARGEST, "0.01"):
            with subtests.test(kind, amount=amount), pytest.raises(errors.AmountTooLargeError):
                give(
                    c.RecordPayment,
                    order_id=order.pk,
                    payment_id="second",
                    kind=kind,
                    amount=amount,
                )
    assert nothing_is_parked()
    assert OrderSummary.live.filter(captured=Decimal(LARGEST)).count() == 1


def test_a_captured_authorization_leaves_room_for_another(customer: Any) -> None:
    order = kit.placed_order(customer, (kit.registered_product(), 1))
    payment = {"order_id": order.pk, "payment_id": "first", "amount": LARGEST}
    give(c.RecordPayment, kind="authorized", **payment)
    give(c.RecordPayment, kind="captured", **payment)
    give(c.RecordPayment, kind="authorized", **{**payment, "payment_id": "second"})
    assert nothing_is_parked()


def test_a_line_costs_less_than_the_limit_whatever_the_discount(customer: Any) -> None:
    product, other = kit.registered_product(), kit.registered_product()
    order = kit.placed_order(
        customer,
        (product, 2),
        adjustments=[{"kind": "discount", "label": "Spring", "amount": "39.80"}],
    )
    [line_id] = kit.stored(order.stream).lines
    cancelled = [{"line_id": line_id, "quantity": 1}]
    give(c.CancelOrderItems, order_id=order.pk, items=cancelled, reason="Less will do")
    assert kit.stored(order.stream).total == 0

    with pytest.raises(errors.AmountTooLargeError):
        give(
            c.AddOrderItem,
            order_id=order.pk,
            product_id=other.pk,
            quantity=10,
            unit_price="100000000000000.00",
            price_reason="Test",
        )
    assert nothing_is_parked()


def test_the_units_of_a_product_are_counted_in_32_bits(customer: Any) -> None:
    product = stocked(MOST_UNITS - 1)
    order = kit.placed_order(customer, (product, 2), auto_confirm=True)
    give(c.UpdateOrderStatus, order_id=order.pk, status="shipped")
    about = {"product_id": product.pk}
    give(c.ReceiveStock, quantity=3, **about)
    full = StockItem.objects.get(pk=product.pk)
    assert full.on_hand == MOST_UNITS

    with pytest.raises(errors.TooManyUnitsError, match="2,147,483,647"):
        give(c.ReceiveStock, quantity=1, **about)
    with pytest.raises(errors.TooManyUnitsError):
        give(c.AdjustStock, delta=1, reason="found", **about)
    [shipment_id] = kit.stored(order.stream).shipments
    with pytest.raises(errors.TooManyUnitsError):
        give(
            c.FailDelivery,
            order_id=order.pk,
            shipment_id=shipment_id,
            outcome="returned_to_sender",
        )
    give(c.AdjustStock, delta=-1, reason="damage", **about)
    assert nothing_is_parked()
    assert InventoryLevel.live.get(product_id=product.pk).on_hand == MOST_UNITS - 1


def test_no_more_units_are_reserved_or_oversold_than_can_be_counted(customer: Any) -> None:
    product = kit.registered_product(0, backorderable=True)
    moved = c.ReceiveStock(user_id=kit.USER, product_id=product.pk, quantity=1)
    with outbox.commit():
        item = StockItem.load_all([product.pk])[product.pk]
        item._raise_event(
            e.StockReserved(
                timestamp=kit.NOW,
                product_id=product.pk,
                order_id=kit.uuid7(),
                line_id=kit.uuid7(),
                quantity=MOST_UNITS - 1,
            )
        )
        save([item], caused_by=moved)

    kit.placed_order(customer, (product, 1))
    with pytest.raises(errors.TooManyUnitsError):
        kit.placed_order(customer, (product, 1))
    assert Order.objects.count() == 1
    assert nothing_is_parked()
    assert InventoryLevel.live.get(product_id=product.pk).available == -MOST_UNITS
