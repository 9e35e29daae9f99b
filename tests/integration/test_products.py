"""Products over their life: renamed, priced in several currencies, discontinued."""

from typing import Any

import pytest

from config.accounts.models import User
from ordering_read.engine import live
from ordering_read.queries import get_query_bus
from ordering_read.queries.inventory import GetInventory, GetProduct
from ordering_write.domain import commands as c
from ordering_write.domain.errors import (
    DiscontinuedError,
    MixedCurrencyError,
    PriceMismatchError,
    ProductInactiveError,
)
from ordering_write.domain.events import OrderStatus
from ordering_write.models import Customer, Order, StockItem
from tests import kit
from tests.kit_admin import logged_in, row_url

pytestmark = pytest.mark.django_db(databases=["default", "read"])

ask = get_query_bus().dispatch


@pytest.fixture
def lamp() -> StockItem:
    return kit.registered_product(10, sku="LAMP-1", name="Lantern")


def give(command_type: type[c.Command], **payload: Any) -> Any:
    envelope = {"user_id": kit.USER, "timestamp": kit.NOW}
    return kit.dispatch(command_type.model_validate({**envelope, **payload}))


def shown(product: StockItem) -> Any:
    """Return ``product`` as readers see it."""
    live.run(*live.PROJECTIONS.names())
    return ask(GetProduct(product_id=product.pk))


def order_in(currency: str, price: str, customer: Customer, product: StockItem) -> Order:
    items = [{"product_id": product.pk, "quantity": 1, "unit_price": price}]
    return kit.placed_order(
        customer, currency=currency, items=items, privileges=frozenset(), auto_confirm=True
    )


def test_a_renamed_product_is_found_by_its_new_name_and_orders_keep_the_old(
    customer: Customer, lamp: StockItem
) -> None:
    order = kit.placed_order(customer, (lamp, 1))
    give(c.RenameStockItem, product_id=lamp.pk, name="Desk light")

    assert shown(lamp).name == "Desk light"
    assert [row.sku for row in ask(GetInventory(q="desk")).items] == ["LAMP-1"]
    assert not ask(GetInventory(q="lantern")).items
    [line] = kit.stored(order.stream).lines.values()
    assert line.name == "Lantern"
    kit.check_rows_equal_log()


def test_a_product_is_sold_at_the_list_price_in_the_currency_of_the_order(
    customer: Customer, lamp: StockItem
) -> None:
    give(c.SetListPrice, product_id=lamp.pk, list_price="3000", currency="JPY")
    give(c.SetListPrice, product_id=lamp.pk, list_price="6.125", currency="KWD")

    for currency, price in (("EUR", "19.90"), ("JPY", "3000"), ("KWD", "6.125")):
        order_in(currency, price, customer, lamp)
    with pytest.raises(PriceMismatchError, match="The list price is 3000, not 19"):
        order_in("JPY", "19", customer, lamp)
    with pytest.raises(MixedCurrencyError, match="sold in EUR, not in USD"):
        order_in("USD", "19.90", customer, lamp)

    product = shown(lamp)
    prices = [(str(price.amount), price.currency) for price in product.prices]
    assert prices == [("19.90", "EUR"), ("3000", "JPY"), ("6.125", "KWD")]
    assert (str(product.list_price), product.currency) == ("19.90", "EUR")
    kit.check_rows_equal_log()


def test_a_discontinued_product_is_not_ordered_and_what_is_reserved_is_sent(
    customer: Customer, lamp: StockItem
) -> None:
    order = kit.placed_order(customer, (lamp, 2))
    other = kit.placed_order(customer, (kit.registered_product(), 1))
    give(c.DiscontinueStockItem, product_id=lamp.pk)

    with pytest.raises(ProductInactiveError, match="LAMP-1 isn't sold any more"):
        kit.placed_order(customer, (lamp, 1))
    added = {"product_id": lamp.pk, "quantity": 1, "unit_price": "19.90"}
    with pytest.raises(ProductInactiveError):
        give(c.AddOrderItem, order_id=other.pk, **added)
    line = {"order_id": order.pk, "line_id": next(iter(kit.stored(order.stream).lines))}
    with pytest.raises(DiscontinuedError):
        give(c.ChangeItemQuantity, **line, new_quantity=3)
    give(c.ChangeItemQuantity, **line, new_quantity=1)
    give(c.ConfirmOrder, order_id=order.pk)
    kit.dispatch(kit.move(order, OrderStatus.SHIPPED))

    product = shown(lamp)
    assert (product.on_hand, product.discontinued_at) == (9, kit.NOW)
    give(c.ReinstateStockItem, product_id=lamp.pk)
    kit.placed_order(customer, (lamp, 1))
    assert shown(lamp).discontinued_at is None
    kit.check_rows_equal_log()


def test_a_discontinued_product_is_reordered_for_promised_units_only(
    customer: Customer, lamp: StockItem
) -> None:
    give(c.SetStockPolicy, product_id=lamp.pk, reorder_point=20, backorderable=True)
    assert shown(lamp).is_low
    give(c.DiscontinueStockItem, product_id=lamp.pk)
    assert not shown(lamp).is_low
    give(c.ReinstateStockItem, product_id=lamp.pk)
    kit.placed_order(customer, (lamp, 11))
    give(c.DiscontinueStockItem, product_id=lamp.pk)
    assert shown(lamp).is_low


def test_the_page_of_a_product_shows_prices_and_expected_units(
    lamp: StockItem, warehouse: User
) -> None:
    give(c.SetListPrice, product_id=lamp.pk, list_price="3000", currency="JPY")
    give(c.ExpectStock, product_id=lamp.pk, quantity=5, at="2099-03-01T12:00:00Z")
    shown(lamp)

    page = logged_in(warehouse).get(row_url("ordering_read/inventorylevel", lamp.pk)).text

    assert "3000 JPY" in page
    assert "5 on 2099-03-01" in page
