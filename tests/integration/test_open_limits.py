"""A customer can have so many open orders, and so many units in them."""

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from config.accounts.models import User
from ordering_write.domain import commands as c
from ordering_write.domain import errors
from ordering_write.domain.commands import Privilege
from ordering_write.models import Customer, Order, StockItem
from tests import kit

BOUND: dict[str, Any] = {"privileges": frozenset()}


@pytest.fixture
def lamp(db: None) -> StockItem:
    return kit.registered_product(100)


def place(customer: Customer, lamp: StockItem, units: int, **fields: Any) -> Order:
    return kit.placed_order(customer, (lamp, units), **{**BOUND, **fields})


def give(command_type: type[c.Command], order: Order, **payload: Any) -> Any:
    envelope = {"user_id": kit.USER, "timestamp": kit.NOW, "order_id": order.pk}
    return kit.dispatch(command_type.model_validate({**envelope, **payload}))


def test_a_customer_has_at_most_so_many_open_orders(
    settings: Any, customer: Customer, lamp: StockItem
) -> None:
    settings.MAX_OPEN_ORDERS = 2
    first = place(customer, lamp, 1)
    place(customer, lamp, 1)
    with pytest.raises(errors.TooManyOpenOrdersError, match="at most 2 open orders; there are 2"):
        place(customer, lamp, 1)
    place(kit.registered_customer(), lamp, 1)

    kit.dispatch(kit.cancel(first))
    place(customer, lamp, 1)


def test_a_customer_has_at_most_so_many_units_that_wait_to_be_sent(
    settings: Any, customer: Customer, lamp: StockItem
) -> None:
    settings.MAX_OPEN_UNITS = 10
    order = place(customer, lamp, 6, auto_confirm=True)
    with pytest.raises(errors.TooManyOpenUnitsError, match=r"at most 10 units .* 6, and 5 more"):
        place(customer, lamp, 5)
    place(customer, lamp, 4)
    with pytest.raises(errors.TooManyOpenUnitsError):
        place(customer, lamp, 1)

    give(c.UpdateOrderStatus, order, status="shipped")
    place(customer, lamp, 6)


def test_editing_an_order_is_bound_too(settings: Any, customer: Customer, lamp: StockItem) -> None:
    settings.MAX_OPEN_UNITS = 10
    settings.MAX_OPEN_ORDERS = 1
    order = place(customer, lamp, 8)
    [line_id] = kit.stored(order.stream).lines
    rights = {"privileges": {Privilege.ANY_PRICE}}
    added = {"product_id": lamp.pk, "unit_price": "19.90", **rights}
    with pytest.raises(errors.TooManyOpenUnitsError):
        give(c.AddOrderItem, order, quantity=3, **added)
    with pytest.raises(errors.TooManyOpenUnitsError):
        give(c.ChangeItemQuantity, order, line_id=line_id, new_quantity=11, **rights)

    give(c.ChangeItemQuantity, order, line_id=line_id, new_quantity=7, **rights)
    give(c.AddOrderItem, order, quantity=3, **added)
    kit.check_rows_equal_log()


def test_zero_means_no_limit_and_the_privilege_exceeds_the_limits(
    settings: Any, customer: Customer, lamp: StockItem
) -> None:
    settings.MAX_OPEN_ORDERS = settings.MAX_OPEN_UNITS = 0
    place(customer, lamp, 5)
    place(customer, lamp, 5)
    settings.MAX_OPEN_ORDERS = settings.MAX_OPEN_UNITS = 1
    place(customer, lamp, 5, privileges={Privilege.ANY_VOLUME})


def test_a_user_who_is_not_bound_needs_no_more_statements(
    settings: Any, customer: Customer, lamp: StockItem
) -> None:
    numbers = []
    for privileges in (frozenset({Privilege.ANY_VOLUME}), frozenset()):
        command = kit.create_order(customer, (lamp, 1), privileges=privileges)
        with CaptureQueriesContext(connections["default"]) as queries:
            kit.dispatch(command)
        numbers.append(len(queries))
    unbound, bound = numbers
    assert bound == unbound + 1


def test_a_customer_is_bound_over_http_by_default(
    customer_user: User, customer: Customer, db: None
) -> None:
    product = kit.registered_product(1_000_000)
    item = {"product_id": str(product.pk), "quantity": 10_000, "unit_price": "19.90"}
    body = {"customer_id": str(customer.pk), "shipping_address": kit.ADDRESS}
    client = APIClient()
    client.force_authenticate(customer_user)

    refused = client.post("/api/v1/orders", {**body, "items": [item] * 3}, format="json")

    assert (refused.status_code, refused.json()["code"]) == (409, "too_many_open_units")
    accepted = client.post("/api/v1/orders", {**body, "items": [item] * 2}, format="json")
    assert accepted.status_code == 201


@pytest.mark.usefixtures("committed")
def test_orders_at_once_do_not_exceed_a_limit_together(settings: Any) -> None:
    settings.MAX_OPEN_ORDERS = 3
    customer, lamp = kit.registered_customer(), kit.registered_product(100)
    outcomes: Counter[str] = Counter()
    begin = threading.Barrier(8)

    def at_once(act: Callable[[], object]) -> None:
        begin.wait(timeout=30)
        try:
            act()
            outcomes["placed"] += 1
        except errors.TooManyOpenOrdersError:
            outcomes["refused"] += 1
        finally:
            connections.close_all()

    threads = [
        threading.Thread(target=at_once, args=[lambda: place(customer, lamp, 1)]) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)

    assert outcomes == {"placed": 3, "refused": 5}
