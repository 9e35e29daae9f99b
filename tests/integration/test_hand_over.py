"""Handing over units on the database, and what readers see of it."""

from typing import Any

import pytest

from config.accounts.models import User
from config.accounts.roles import Role
from ordering_read.engine import live
from ordering_read.models.fulfilment import QueuedOrder
from ordering_read.queries import get_query_bus
from ordering_read.queries.fulfilment import GetFulfilmentQueue
from ordering_read.queries.inventory import GetProduct
from ordering_read.queries.orders import GetOrderById
from ordering_write.domain import commands as c
from ordering_write.domain.errors import AddressMissingError, ExceedsStockError, ShopOnlyError
from ordering_write.domain.events import OrderStatus
from ordering_write.domain.values import Address
from ordering_write.models import Customer, Order, StockItem
from tests import kit
from tests.integration.test_read_api import ROOT, client_of
from tests.kit_admin import ORDERS, list_url, logged_in, row_url, run_action

pytestmark = pytest.mark.django_db(databases=["default", "read"])

ask = get_query_bus().dispatch


@pytest.fixture
def ebook() -> StockItem:
    return kit.registered_product(10, sku="EBOOK", requires_shipping=False)


def confirmed(customer: Customer, *lines: tuple[StockItem, int], **fields: Any) -> Order:
    return kit.placed_order(customer, *lines, auto_confirm=True, **fields)


def hand_over(order: Order, quantity: int) -> Any:
    items = [{"line_id": list(kit.stored(order.stream).lines)[-1], "quantity": quantity}]
    command = {"user_id": kit.USER, "timestamp": kit.NOW, "order_id": order.pk, "items": items}
    return kit.dispatch(c.HandOverItems.model_validate(command))


def show() -> None:
    live.run(*live.PROJECTIONS.names())


def test_handed_over_units_leave_the_stock(customer: Customer, ebook: StockItem) -> None:
    order = confirmed(customer, (ebook, 3))
    events = hand_over(order, 2)
    assert [event.type for event in events] == ["ItemsHandedOver", "StockDispatched"]
    kit.dispatch(kit.move(order, OrderStatus.SHIPPED))

    show()
    shown = ask(GetOrderById(order_id=order.pk))
    [line] = shown.items
    assert (shown.status, shown.fulfilment_status) == ("delivered", "fulfilled")
    assert (line.requires_shipping, line.shipped, line.delivered, line.open) == (False, 3, 3, 0)
    product = ask(GetProduct(product_id=ebook.pk))
    assert (product.on_hand, product.reserved, product.requires_shipping) == (7, 0, False)
    kit.check_rows_equal_log()


def test_units_that_are_not_in_stock_cannot_be_handed_over(customer: Customer) -> None:
    key = kit.registered_product(1, sku="KEY", requires_shipping=False, backorderable=True)
    order = confirmed(customer, (key, 2))
    with pytest.raises(ExceedsStockError, match="2 units of KEY were asked for, 1 are in stock"):
        hand_over(order, 2)
    hand_over(order, 1)


def test_a_line_keeps_what_its_product_said_when_it_was_ordered(
    customer: Customer, ebook: StockItem
) -> None:
    order = confirmed(customer, (ebook, 1))
    policy = {"user_id": kit.USER, "product_id": ebook.pk}
    kit.dispatch(c.SetStockPolicy(requires_shipping=True, **policy))
    assert kit.dispatch(c.SetStockPolicy(requires_shipping=True, **policy)) == []
    hand_over(order, 1)
    [line] = kit.stored(confirmed(customer, (ebook, 1)).stream).lines.values()
    assert line.requires_shipping


def test_the_shop_and_not_a_customer_says_that_a_line_is_picked_up(customer: Customer) -> None:
    lamp = kit.registered_product(10)
    items = [{"product_id": lamp.pk, "quantity": 1, "unit_price": "19.90"}]
    items[0]["requires_shipping"] = False
    hand_over(confirmed(customer, items=items), 1)
    with pytest.raises(ShopOnlyError) as refusal:
        kit.placed_order(customer, items=items, customer_scope=customer.pk)
    assert refusal.value.pointer == "#/items/0/requires_shipping"


# --- Without an address ------------------------------------------------------------------------
def test_an_order_that_requires_no_shipping_needs_no_address(
    customer: Customer, ebook: StockItem
) -> None:
    order = confirmed(customer, (ebook, 1), shipping_address=None)
    hand_over(order, 1)
    show()

    assert ask(GetOrderById(order_id=order.pk)).shipping_address is None
    assert ask(GetOrderById(order_id=order.pk, version=1)).shipping_address is None
    for role, path in (
        (Role.AUDITOR, f"{ROOT}/orders/{order.pk}"),
        (Role.WAREHOUSE, f"{ROOT}/fulfilment-queue"),
    ):
        assert client_of(role).get(path).status_code == 200
    kit.check_rows_equal_log()


def test_lines_that_require_shipping_need_an_address(customer: Customer, ebook: StockItem) -> None:
    lamp = kit.registered_product(10)
    with pytest.raises(AddressMissingError) as refusal:
        confirmed(customer, (ebook, 1), (lamp, 1), shipping_address=None)
    assert refusal.value.pointer == "#/shipping_address"

    order = kit.placed_order(customer, (ebook, 1), shipping_address=None)
    envelope = {"user_id": kit.USER, "order_id": order.pk}
    more = {**envelope, "quantity": 1, "unit_price": "19.90"}
    kit.dispatch(c.AddOrderItem(product_id=ebook.pk, **more))
    with pytest.raises(AddressMissingError, match="has no shipping address; set one first"):
        kit.dispatch(c.AddOrderItem(product_id=lamp.pk, **more))
    address = Address(**kit.ADDRESS)
    [changed] = kit.dispatch(c.ChangeShippingAddress(shipping_address=address, **envelope))
    assert changed.from_address is None
    kit.dispatch(c.AddOrderItem(product_id=lamp.pk, **more))
    show()
    shown = ask(GetOrderById(order_id=order.pk)).shipping_address
    assert shown is not None
    assert shown.city == "Sampleton"


def test_screens_show_orders_without_an_address(
    customer: Customer, ebook: StockItem, warehouse: User
) -> None:
    order = confirmed(customer, (ebook, 1), shipping_address=None)
    show()
    client = logged_in(warehouse)

    assert "no shipping" in client.get(row_url(ORDERS, order.pk)).text
    assert "no shipping" in client.get(list_url("ordering_read/queuedorder")).text
    printed = run_action(
        client, "ordering_read/queuedorder", "print_pick_list", *QueuedOrder.live.all()
    )
    assert "EBOOK" in client.get(printed["Location"]).text, "its units are handed over"


def test_a_customer_without_an_address_is_erased(customer: Customer, ebook: StockItem) -> None:
    order = confirmed(customer, (ebook, 1), shipping_address=None)
    hand_over(order, 1)
    kit.dispatch(kit.move(order, OrderStatus.COMPLETED))
    kit.dispatch(c.EraseCustomer(user_id=kit.USER, customer_id=customer.pk, reason="Asked for it"))
    show()
    assert ask(GetOrderById(order_id=order.pk)).customer_name == "[erased]"
    kit.check_rows_equal_log()


def test_the_queue_shows_what_is_to_be_handed_over(customer: Customer, ebook: StockItem) -> None:
    order = confirmed(customer, (kit.registered_product(5), 1), (ebook, 2))
    hand_over(order, 1)
    show()

    [queued] = ask(GetFulfilmentQueue()).items

    assert queued.open_units == 2
    assert [(line.requires_shipping, line.open) for line in queued.lines] == [(True, 1), (False, 1)]
    hand_over(order, 1)
    show()
    assert ask(GetFulfilmentQueue()).items[0].open_units == 1


def test_the_timeline_says_what_was_handed_over(customer: Customer, ebook: StockItem) -> None:
    order = confirmed(customer, (ebook, 2))
    hand_over(order, 2)
    show()

    answer = client_of(Role.CUSTOMER, customer_id=customer.pk).get(
        f"{ROOT}/orders/{order.pk}/timeline"
    )

    assert answer.json()["results"][-1]["sentence"] == "2 × Sample handed over"
