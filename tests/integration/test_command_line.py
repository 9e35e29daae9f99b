"""`manage.py command` dispatches any command."""

import getpass
import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.core.management.base import CommandParser

from ordering_write.bus import get_command_bus
from ordering_write.domain.commands import Command
from ordering_write.management.commands import command
from ordering_write.models import CommandRecord, Customer, Order, StockItem
from tests import kit

pytestmark = pytest.mark.usefixtures("db")


def give(*arguments: str) -> str:
    output = StringIO()
    call_command("command", *arguments, stdout=output)
    return output.getvalue()


def refusal_of(*arguments: str) -> str:
    with pytest.raises(CommandError) as caught:
        give(*arguments)
    return str(caught.value)


@pytest.fixture
def order(customer: Customer) -> Order:
    return kit.placed_order(customer, (kit.registered_product(10), 2))


def test_an_order_can_be_named_by_its_number(order):
    output = give("CancelOrder", "--order-id", order.order_number, "--reason", "Mistake")
    assert output.splitlines()[0] == f"OrderCancelled: order-{order.pk}, version 3"
    order.refresh_from_db()
    assert order.status == "cancelled"
    record = CommandRecord.objects.get(type="CancelOrder")
    assert record.channel == "cli"
    assert record.actor == {"type": "cli", "id": getpass.getuser(), "label": ""}


def test_a_product_can_be_named_by_its_sku(tmp_path: Path, customer):
    # This SKU could be taken for a number.
    kit.registered_product(10, sku="4711")
    give("ReceiveStock", "--product-id", "4711", "--quantity", "5", "--reference", "17")
    assert StockItem.objects.get().on_hand == 15

    file = tmp_path / "order.json"
    file.write_text(
        json.dumps(
            {
                "customer_id": str(customer.pk),
                "items": [{"product_id": "4711", "quantity": 2, "unit_price": "19.90"}],
                "shipping_address": kit.ADDRESS,
                "currency": "USD",
            }
        )
    )
    give("CreateOrder", "--json", str(file), "--currency", "EUR", "--tags", '["gift"]')
    placed = Order.objects.get()
    assert (placed.currency, placed.tags) == ("EUR", ["gift"])


def test_a_named_user_has_their_own_rights(order, clerk, auditor):
    cancel = ("CancelOrder", "--order-id", str(order.pk), "--reason", "Mistake", "--as")
    assert (
        refusal_of(*cancel, "auditor") == "This needs the permission ordering_write.cancel_order."
    )
    assert refusal_of(*cancel, "nobody") == "There is no user nobody."
    give(*cancel, "clerk")
    assert CommandRecord.objects.get(type="CancelOrder").user_id == clerk.pk


def test_a_customer_can_change_their_own_orders_only(order, make_user):
    make_user("Customer", customer_id=kit.registered_customer().pk, username="other")
    cancel = ("CancelOrder", "--order-id", order.order_number, "--reason", "x", "--as", "other")
    assert refusal_of(*cancel) == "Order not found"


def test_a_dry_run_prints_the_preview(order):
    output = give("CancelOrder", "--order-id", order.order_number, "--reason", "x", "--dry-run")
    preview = json.loads(output)
    assert preview["status_after"] == "cancelled"
    assert preview["would_emit"][0]["type"] == "OrderCancelled"
    order.refresh_from_db()
    assert order.status == "pending"


def test_a_command_without_effect_is_reported(order):
    tag = ("TagOrder", "--order-id", order.order_number, "--tag", "gift")
    assert give(*tag).startswith("OrderTagged")
    assert give(*tag) == "Nothing had to be done.\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["CancelOrder", "--reason", "x"], "#/order_id: Field required"),
        (["CancelOrder", "--order-id", "1999-1"], "#/order_id: There is no order number 1999-1."),
        (["ReceiveStock", "--product-id", "x"], "#/product_id: There is no SKU x."),
        (["ReceiveStock", "--quantity", "many"], "#/quantity: many is not JSON."),
        (["CreateOrder", "--json", "/nowhere"], "/nowhere: No such file or directory."),
    ],
)
def test_invalid_arguments_are_refused_with_a_reason(arguments, message):
    assert refusal_of(*arguments).splitlines()[0] == message


def test_a_refusal_is_printed_with_its_reason(order):
    status = ("UpdateOrderStatus", "--order-id", order.order_number, "--status", "delivered")
    assert (
        refusal_of(*status) == f"Order {order.order_number} is pending; it can't become delivered."
    )


@pytest.mark.parametrize("text", ['{"user_id": "x"}', "[]", "{", '{"name": 1, "name": 2}'])
def test_a_file_must_hold_fields_only(tmp_path: Path, text: str):
    file = tmp_path / "body.json"
    file.write_text(text)
    assert refusal_of("RegisterCustomer", "--json", str(file))


def test_the_help_of_every_command_names_its_fields() -> None:
    parser = CommandParser()
    command.Command().add_arguments(parser)
    subparsers: Any
    [subparsers] = [action for action in parser._actions if action.dest == "command_name"]
    missing = [
        f"{command_type.__name__}: {name}"
        for command_type in get_command_bus().commands
        for name in [*(command_type.model_fields.keys() - Command.model_fields.keys()), "dry_run"]
        if f"--{name.replace('_', '-')}" not in _help(subparsers, command_type)
    ]
    assert missing == []


def _help(subparsers: Any, command_type: type[Command]) -> str:
    text: str = subparsers.choices[command_type.__name__].format_help()
    return text
