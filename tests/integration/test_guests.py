"""Orders that name the customer by name and e-mail address."""

from functools import partial
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pydantic import ValidationError
from rest_framework.test import APIClient

from config.accounts.models import User
from config.http.input.validation import errors_of
from ordering_write.bus import get_command_bus
from ordering_write.domain import commands as c
from ordering_write.domain import errors
from ordering_write.models import Customer, Identifier, Order, StockItem
from tests import kit
from tests.integration.test_admin_commands import hidden_fields
from tests.kit_admin import ORDERS, list_url, logged_in, run_projections
from tests.parallel import at_once

GUEST = {"name": "Kim Example", "email": "kim@example.com"}


@pytest.fixture
def product(db: None) -> StockItem:
    return kit.registered_product(sku="LAMP-1")


def guest_order(product: StockItem, **fields: Any) -> c.CreateOrder:
    """Return the command by which a guest orders one unit."""
    payload = {
        "user_id": kit.USER,
        "timestamp": kit.NOW,
        "customer": GUEST,
        "items": [{"product_id": product.pk, "quantity": 1, "unit_price": "19.90"}],
        "shipping_address": kit.ADDRESS,
    }
    return c.CreateOrder.model_validate({**payload, **fields})


def test_a_new_guest_becomes_a_customer_with_the_order(product: StockItem) -> None:
    created, *others = kit.dispatch(guest_order(product))

    [registered] = [event for event in others if event.type == "CustomerRegistered"]
    assert created.type == "OrderCreated"
    assert (registered.name, registered.email) == tuple(GUEST.values())
    assert created.customer_id == registered.customer_id
    assert created.customer.name == "Kim Example"
    assert created.recorded.actor.on_behalf_of == str(registered.customer_id)
    kit.check_rows_equal_log()


def test_a_guest_with_the_address_of_a_customer_is_that_customer(
    product: StockItem, subtests: pytest.Subtests
) -> None:
    customer = kit.registered_customer(name="Kim Old", email="kim@example.com")
    for spelling in ("kim@example.com", "KIM@Example.com", "kim\u00ad@example.com"):
        with subtests.test(ascii(spelling)):
            guest = {"name": "Kim New", "email": spelling}
            created = kit.dispatch(guest_order(product, customer=guest))[0]
            assert created.customer_id == customer.pk
            assert created.customer.name == "Kim Old"
    assert Customer.objects.count() == 1


def test_the_address_of_an_erased_customer_makes_a_new_one(product: StockItem) -> None:
    customer = kit.registered_customer(**GUEST)
    kit.dispatch(c.EraseCustomer(user_id=kit.USER, customer_id=customer.pk, reason="Asked for it"))

    assert kit.dispatch(guest_order(product))[0].customer_id != customer.pk


def test_a_new_guest_can_be_registered_no_second_time(product: StockItem) -> None:
    created = kit.dispatch(guest_order(product))[0]

    with pytest.raises(errors.DuplicateEmailError):
        kit.registered_customer(email="KIM@example.com")
    identifier = Identifier.objects.get(kind=Identifier.Kind.EMAIL)
    assert identifier.owner_id == created.customer_id


def test_a_refused_order_of_a_guest_registers_nobody(product: StockItem) -> None:
    items = [{"product_id": product.pk, "quantity": 11, "unit_price": "19.90"}]

    with pytest.raises(errors.InsufficientInventoryError):
        kit.dispatch(guest_order(product, items=items))
    get_command_bus().preview(guest_order(product))

    assert not Customer.objects.exists()
    assert not Identifier.objects.filter(kind=Identifier.Kind.EMAIL).exists()


def test_a_blocked_customer_can_not_order_as_a_guest(product: StockItem) -> None:
    customer = kit.registered_customer(**GUEST)
    block = c.BlockCustomer(user_id=kit.USER, customer_id=customer.pk, reason="Unpaid bills")
    kit.dispatch(block)

    with pytest.raises(errors.CustomerBlockedError):
        kit.dispatch(guest_order(product))


def test_a_customers_own_login_can_not_order_for_a_guest(
    product: StockItem, customer_user: User
) -> None:
    client = APIClient()
    client.force_authenticate(customer_user)
    body = {
        "customer": GUEST,
        "items": [{"product_id": str(product.pk), "quantity": 1, "unit_price": "19.90"}],
        "shipping_address": kit.ADDRESS,
    }

    answer = client.post("/api/v1/orders", body, format="json")

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "#/customer")


def test_a_clerk_orders_for_a_guest_over_http(product: StockItem, clerk: User) -> None:
    client = APIClient()
    client.force_authenticate(clerk)
    body = {
        "customer": GUEST,
        "items": [{"product_id": str(product.pk), "quantity": 1, "unit_price": "19.90"}],
        "shipping_address": kit.ADDRESS,
    }
    key = {"Idempotency-Key": "guest-1"}

    answers = [client.post("/api/v1/orders", body, format="json", headers=key) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    assert Order.objects.get().customer_id == Customer.objects.get().pk


def test_a_clerk_orders_for_a_guest_in_the_admin(product: StockItem, clerk: User) -> None:
    run_projections()
    client, url = logged_in(clerk), list_url(ORDERS, "new/create_order/")
    fields = {
        "customer-name": "Kim Example",
        "customer-email": "kim@example.com",
        "items-1-product_id": product.sku,
        "items-1-quantity": "1",
        "metadata": "gift=yes",
        **{f"shipping_address-{name}": text for name, text in kit.ADDRESS.items()},
    }

    form = client.get(url)
    answer = client.post(url, {**hidden_fields(form), **fields, "confirm": "1"})

    assert answer.status_code == 302, answer.text
    order = Order.objects.get()
    assert order.metadata == {"gift": "yes"}
    assert order.customer_id == Customer.objects.get(email="kim@example.com").pk


def test_an_order_names_its_customer_once(product: StockItem, subtests: pytest.Subtests) -> None:
    wrong: dict[str, tuple[dict[str, Any], str, str]] = {
        "no customer": ({"customer": None}, "#/customer_id", "missing"),
        "both": ({"customer_id": UUID(int=5)}, "#/customer_id", "customer-twice"),
        "no address": ({"customer": {"name": "Kim"}}, "#/customer/email", "missing"),
        "no name": ({"customer": {**GUEST, "name": " "}}, "#/customer/name", "string-too-short"),
    }
    for name, (fields, pointer, code) in wrong.items():
        with subtests.test(name):
            with pytest.raises(ValidationError) as refusal:
                guest_order(product, **fields)
            [mistake] = errors_of(refusal.value)
            assert (mistake["pointer"], mistake["code"]) == (pointer, code)


def test_a_guest_takes_two_statements_more_than_a_customer(product: StockItem) -> None:
    customer = kit.registered_customer()
    numbers = {}
    for name, fields in {
        "customer": {"customer": None, "customer_id": customer.pk},
        "guest": {},
    }.items():
        with CaptureQueriesContext(connection) as queries:
            kit.dispatch(guest_order(product, **fields))
        numbers[name] = len(queries)
    # The address is claimed, its owner is read, the customer is written in place of read.
    assert numbers["guest"] == numbers["customer"] + 2


def test_parallel_orders_of_a_new_guest_make_one_customer(committed: None) -> None:
    product = kit.registered_product(20)

    results = at_once([partial(kit.dispatch, guest_order(product)) for _ in range(8)])

    customers = {events[0].customer_id for events in results}
    assert customers == set(Customer.objects.values_list("pk", flat=True))
    assert len(customers) == 1
    kit.check_rows_equal_log()
