"""Identifiers that people type are the same however they are spelled, in every command."""

from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from pydantic import ValidationError
from rest_framework.test import APIClient

from config.accounts.models import User
from ordering_read.engine import live
from ordering_read.projector import registered
from ordering_write.domain import commands as c
from ordering_write.domain import errors
from ordering_write.domain.commands import Command
from ordering_write.models import Customer, Identifier, Order
from tests import kit
from tests.unit.test_text import INVISIBLE, SPELLINGS

pytestmark = pytest.mark.usefixtures("db")


def give(command_type: type[Command], order: Order, /, **payload: Any) -> Any:
    envelope = {"user_id": kit.USER, "timestamp": kit.NOW, "order_id": order.pk}
    return kit.dispatch(command_type.model_validate({**envelope, **payload}))


def test_another_spelling_of_a_sku_is_the_same_sku(subtests: pytest.Subtests) -> None:
    kit.registered_product(sku="Lamp-1")
    for name, spelling in SPELLINGS.items():
        with subtests.test(name), pytest.raises(errors.DuplicateSkuError):
            kit.registered_product(sku=spelling)
    kit.registered_product(sku="Lamp-2")


def test_another_spelling_of_an_address_is_the_same_customer(subtests: pytest.Subtests) -> None:
    customer = kit.registered_customer(email="Lamp-1@example.com")
    other = kit.registered_customer()
    change = {"user_id": kit.USER, "customer_id": other.pk}
    for name, spelling in SPELLINGS.items():
        email = f"{spelling.strip()}@EXAMPLE.com"
        with subtests.test(name):
            with pytest.raises(errors.DuplicateEmailError):
                kit.registered_customer(email=email)
            with pytest.raises(errors.DuplicateEmailError):
                kit.dispatch(c.ChangeCustomerDetails(email=email, **change))

    own = {"user_id": kit.USER, "customer_id": customer.pk}
    kit.dispatch(c.ChangeCustomerDetails(email="LAMP\u20111@example.com", **own))
    kit.dispatch(c.ChangeCustomerDetails(email="new@example.com", **own))
    kit.registered_customer(email="lamp-1@example.com")
    kit.check_rows_equal_log()


def test_the_address_of_an_erased_customer_is_free_again() -> None:
    customer = kit.registered_customer(email="robin@example.com")
    kit.dispatch(c.EraseCustomer(user_id=kit.USER, customer_id=customer.pk, reason="Asked for"))
    assert not Identifier.objects.filter(owner_id=customer.pk).exists()

    kit.registered_customer(email="ROBIN@example.com")
    another = kit.registered_customer()
    kit.dispatch(c.EraseCustomer(user_id=kit.USER, customer_id=another.pk, reason="Asked for"))


def test_an_address_has_visible_parts(subtests: pytest.Subtests) -> None:
    for email in ("\u200b@example.com", "robin@\u00ad.com", "robin@example.\u2060"):
        with subtests.test(ascii(email)), pytest.raises(ValidationError):
            kit.registered_customer(email=email)


def test_another_spelling_of_a_reference_is_the_same_reference(
    subtests: pytest.Subtests, customer: Customer
) -> None:
    product = kit.registered_product()
    kit.placed_order(customer, (product, 1), external_reference="Lamp-1")
    for name, spelling in SPELLINGS.items():
        with subtests.test(name), pytest.raises(errors.DuplicateReferenceError):
            kit.placed_order(customer, (product, 1), external_reference=spelling)
    # References are unique within a source only.
    other = kit.UUID(int=2)
    kit.placed_order(customer, (product, 1), external_reference="lamp-1", user_id=other)


def test_a_reference_takes_no_statement_of_its_own(customer: Customer) -> None:
    product = kit.registered_product()
    numbers = []
    for reference in (None, "shop-1"):
        command = kit.create_order(customer, (product, 1), external_reference=reference)
        with CaptureQueriesContext(connection) as queries:
            kit.dispatch(command)
        numbers.append(len(queries))
    assert numbers[0] == numbers[1]


def test_another_spelling_of_a_payment_is_the_same_payment(
    subtests: pytest.Subtests, customer: Customer
) -> None:
    order = kit.placed_order(customer, (kit.registered_product(), 1))
    payment = {"kind": "captured", "amount": "19.90"}
    payment |= {"reference": "capture-1"}
    give(c.RecordPayment, order, payment_id="Lamp-1", **payment)
    for name, spelling in SPELLINGS.items():
        with subtests.test(name):
            assert give(c.RecordPayment, order, payment_id=spelling, **payment) == []
    assert kit.stored(order.stream).captured == kit.Decimal("19.90")


def test_another_spelling_of_a_refund_reference_is_the_same_refund(
    subtests: pytest.Subtests, customer: Customer
) -> None:
    order = kit.placed_order(customer, (kit.registered_product(), 1))
    give(c.RecordPayment, order, payment_id="p", kind="captured", amount="19.90")
    refund = {"outcome": "settled", "amount": "5.00"}
    give(c.RecordRefund, order, reference="Lamp-1", **refund)
    for name, spelling in SPELLINGS.items():
        with subtests.test(name):
            assert give(c.RecordRefund, order, reference=spelling, **refund) == []
    assert kit.stored(order.stream).refunded == kit.Decimal("5.00")


def test_a_product_and_an_order_are_found_by_any_spelling_on_the_command_line(
    customer: Customer, capsys: pytest.CaptureFixture[str]
) -> None:
    product = kit.registered_product(sku="Lamp-1")
    order = kit.placed_order(customer, (product, 1))
    number = order.order_number.replace("-", "\u2013")

    call_command("command", "ReceiveStock", "--product-id", "LAMP\u20131", "--quantity", "1")
    call_command("command", "ConfirmOrder", "--order-id", number)

    order.refresh_from_db()
    assert order.status == "confirmed"


def test_lists_and_searches_find_any_spelling(
    subtests: pytest.Subtests, customer: Customer, clerk: User
) -> None:
    product = kit.registered_product(sku="Lamp-1")
    order = kit.placed_order(customer, (product, 1), external_reference="Web-1", po_number="Po-1")
    kit.placed_order(customer, (kit.registered_product(sku="Lamp-2"), 1))
    live.run(*registered())
    client = APIClient()
    client.force_authenticate(clerk)

    def found(path: str, **parameters: str) -> list[str]:
        results = client.get(f"/api/v1/{path}", parameters).json()["results"]
        return [result.get("id") or result["product_id"] for result in results]

    for name, spelling in SPELLINGS.items():
        with subtests.test(name):
            assert found("orders", sku=spelling) == [str(order.pk)]
            assert found("inventory", sku=spelling) == [str(product.pk)]
    for text in ("WEB\u20111", "\uff57eb-1"):
        with subtests.test(ascii(text)):
            assert found("orders", external_reference=text) == [str(order.pk)]
            redirect = client.get("/api/v1/search", {"q": text}).json()["redirect"]
            assert redirect.endswith(str(order.pk))
    for text in ("PO\u20131", "p\u00ado-1"):
        with subtests.test(ascii(text)):
            assert found("orders", po_number=text) == [str(order.pk)]
    for text in (customer.email.upper(), customer.email.replace("@", "\uff20")):
        with subtests.test(ascii(text)):
            redirect = client.get("/api/v1/search", {"q": text}).json()["redirect"]
            assert redirect.endswith(str(customer.pk))


def test_rows_of_a_former_release_are_found_by_their_own_spelling(clerk: User) -> None:
    product = kit.registered_product(sku="Lamp-1")
    order = kit.placed_order(kit.registered_customer(), (product, 1), external_reference="Web-1")
    live.run(*registered())
    with connections["read"].cursor() as cursor:
        cursor.execute("UPDATE order_line_view SET sku_key = ''")
        cursor.execute("UPDATE order_summary SET external_reference_key = ''")
    client = APIClient()
    client.force_authenticate(clerk)

    for parameters in ({"sku": "Lamp-1"}, {"external_reference": "Web-1"}):
        [found] = client.get("/api/v1/orders", parameters).json()["results"]
        assert found["id"] == str(order.pk)


def test_every_required_text_of_a_command_is_visible(subtests: pytest.Subtests) -> None:
    order = {"user_id": kit.USER, "order_id": kit.UUID(int=1)}
    commands: dict[type[Command], dict[str, Any]] = {
        c.RegisterCustomer: {"name": "", "email": "robin@example.com", "user_id": kit.USER},
        c.RegisterStockItem: {"name": "", "sku": "A", "on_hand": 1, "user_id": kit.USER},
        c.CancelOrder: {"reason": "", **order},
        c.AddNote: {"text": "", **order},
        c.ChangeShippingAddress: {"shipping_address": {**kit.ADDRESS, "name": ""}, **order},
    }
    for command_type, payload in commands.items():
        for text in INVISIBLE:
            name = f"{command_type.__name__}: {text!a}"
            with subtests.test(name), pytest.raises(ValidationError):
                command_type.model_validate(_filled(payload, text))


def _filled(payload: Any, text: str) -> Any:
    if isinstance(payload, dict):
        return {name: _filled(value, text) for name, value in payload.items()}
    return text if payload == "" else payload


def test_existing_rows_get_identifiers_and_equal_ones_stay() -> None:
    customer = kit.registered_customer(email="robin@example.com")
    twin = kit.registered_customer()
    product = kit.registered_product(sku="Lamp-1")
    order = kit.placed_order(customer, (product, 1), external_reference="shop-1")
    Customer._base_manager.filter(pk=twin.pk).update(email="robin@example\u00ad.com")
    Identifier._base_manager.all().delete()

    for _ in range(2):
        fill_identifiers()

    owners = set(Identifier.objects.values_list("kind", "owner_id"))
    assert owners == {
        ("email", customer.pk),
        ("sku", product.pk),
        ("reference", order.pk),
    }
    with pytest.raises(errors.DuplicateEmailError):
        kit.registered_customer(email="ROBIN@example.com")
    # The customer without an identifier can still be changed.
    kit.dispatch(c.BlockCustomer(user_id=kit.USER, customer_id=twin.pk, reason="A twin"))


def fill_identifiers() -> None:
    """Run the migration that fills the table, on the tables as they are."""
    migration = import_module("ordering_write.migrations.0021_fill_identifiers")
    with connection.schema_editor() as editor:
        migration.fill(_PlainApps(), editor)


class _PlainApps:
    """Models with managers that write, as migrations have them."""

    def get_model(self, app: str, name: str) -> Any:
        return _PlainModel(apps.get_model(app, name))


class _PlainModel:
    def __init__(self, model: Any) -> None:
        self._model = model
        self.objects = model._base_manager

    def __call__(self, **fields: Any) -> Any:
        return self._model(**fields)
