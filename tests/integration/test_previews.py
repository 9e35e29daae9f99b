"""Previews of commands: what their pages cost, whatever the command reads and changes."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

import pytest
from django.core.cache import cache
from django.test import Client

from config.accounts.models import User
from ordering_read.admin.labels import command_slug
from ordering_write.domain import commands as c
from ordering_write.domain.commands import Command
from tests import kit
from tests.kit_admin import (
    CUSTOMERS,
    INVENTORY,
    ORDERS,
    list_url,
    logged_in,
    run_projections,
    statements_of,
)
from tests.kit_walks import Step, Walk


def fields_of(payload: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the fields of a form with this payload; a row is named by its line or its number."""
    for name, value in payload.items():
        match value:
            case Mapping():
                yield from fields_of(value, f"{prefix}{name}-")
            case [Mapping(), *_]:
                for number, item in enumerate(value, 1):
                    row = {key: part for key, part in item.items() if key != "line_id"}
                    yield from fields_of(row, f"{prefix}{name}-{item.get('line_id', number)}-")
            case None:
                continue
            case _:
                yield prefix + name, value


def statements(client: Client, page: str, key: UUID | None, command: Command) -> list[str]:
    """Return the statements of the preview of ``command``, in a process with empty caches."""
    about = "new" if key is None else f"{key}/commands"
    identity = {ORDERS: "order_id", INVENTORY: "product_id", CUSTOMERS: "customer_id"}[page]
    payload = {
        name: value for name, value in command.payload().items() if key is None or name != identity
    }
    url = list_url(page, f"{about}/{command_slug(type(command))}/")
    fields = {**dict(fields_of(payload)), "in_place": "1"}
    answers: list[Any] = []
    cache.clear()
    found = statements_of(lambda: answers.append(client.post(url, fields)))
    # The button of a preview: the command isn't refused.
    assert 'id="confirm"' in answers[0].text, type(command).__name__
    return found


def test_a_preview_takes_at_most_ten_statements(
    db: None, admin_user: User, subtests: pytest.Subtests
) -> None:
    client = logged_in(admin_user)
    walk = Walk()
    other = kit.registered_product(100, sku="OTHER-1")
    run_projections()
    customer, product = walk.customer, walk.product

    def preview(page: str, key: UUID | None, command: Command) -> None:
        with subtests.test(type(command).__name__):
            found = statements(client, page, key, command)
            assert len(found) <= 10, "\n".join(found)

    def preview_of_order(kind: type[Command]) -> None:
        preview(ORDERS, walk.order.pk, walk.command(Step(kind, part=0, units=1)))

    kinds: Sequence[type[Command]] = (c.AddOrderItem, c.ChangeItemQuantity, c.ChangeShippingAddress)
    for kind in kinds:
        preview_of_order(kind)
    kinds = (c.RecordPayment, c.ConfirmOrder, c.AddNote, c.CreateShipment)
    for kind in kinds:
        kit.dispatch(walk.command(Step(kind, part=0, units=1)))
        walk.order = kit.stored(walk.order.stream)
    run_projections()
    kinds = (c.DispatchShipment, c.RedactNote, c.CancelOrderItems, c.CancelOrder)
    for kind in kinds:
        preview_of_order(kind)
    user_id = admin_user.pk
    receive = c.ReceiveStock(user_id=user_id, product_id=product.pk, quantity=1)
    preview(INVENTORY, product.pk, receive)
    change = c.ChangeCustomerDetails(user_id=user_id, customer_id=customer.pk, name="Kim Sample")
    preview(CUSTOMERS, customer.pk, change)
    register = c.RegisterCustomer(user_id=user_id, name="Kim", email="kim@example.com")
    preview(CUSTOMERS, None, register)
    preview(ORDERS, None, kit.create_order(customer, (product, 1), (other, 1)))
