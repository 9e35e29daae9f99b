"""Prices of order lines: who may set them, rounding, totals, and the ports behind them."""

from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from uuid_utils.compat import uuid7

from ordering_write.domain.commands import AddOrderItem, Adjustment, Privilege
from ordering_write.domain.errors import (
    InvalidAmountError,
    MixedCurrencyError,
    PriceMismatchError,
    PriceReasonMissingError,
    ProductInactiveError,
    UnknownOrderError,
)
from ordering_write.domain.events import OrderAdjustmentAdded, OrderCreated, OrderItemAdded
from ordering_write.domain.prices import Tax
from ordering_write.domain.values import MINOR_UNITS, Money, quantize
from ordering_write.models import Order
from ordering_write.ports.catalog import CatalogEntry
from ordering_write.ports.pricing import Quote
from tests.kit import (
    USER,
    check_rows_equal_log,
    create_order,
    dispatch,
    placed_order,
    registered_customer,
    registered_product,
)
from tests.proof import size

pytestmark = pytest.mark.usefixtures("db")

LIST_ONLY: frozenset[str] = frozenset()
OVERRIDE = frozenset({Privilege.OVERRIDE_PRICE})
ANY = frozenset({Privilege.ANY_PRICE})


@pytest.fixture
def port(settings: Any) -> Callable[[str, type], None]:
    """Return a function that plugs an adapter in: ``port("tax", Adapter)``."""

    def use(name, adapter):
        path = f"{__name__}.{adapter.__name__}"
        settings.PORTS = {**settings.PORTS, name: path}

    return use


def ordered_line(customer, product, price="19.90", *, reason=None, **fields):
    """Place an order of one unit at ``price``, and return its line."""
    item = {"product_id": product.pk, "quantity": 1, "unit_price": price, "price_reason": reason}
    events = dispatch(create_order(customer, items=[item], **fields))
    return next(event for event in events if isinstance(event, OrderItemAdded))


# --- Privileges ----------------------------------------------------------------------------------
@pytest.mark.parametrize("privileges", [LIST_ONLY, OVERRIDE, ANY, None])
def test_every_user_may_order_at_the_list_price(customer, privileges):
    line = ordered_line(customer, registered_product(), privileges=privileges, reason="As always")
    assert (line.price_source, line.price_reason) == ("list", None)


def test_another_price_without_a_privilege_is_refused_with_both_prices(customer):
    with pytest.raises(PriceMismatchError) as refusal:
        ordered_line(customer, registered_product(), "18.00", privileges=LIST_ONLY, reason="Please")
    assert refusal.value.members() == {
        "errors": [
            {
                "pointer": "#/items/0/unit_price",
                "detail": "The list price is 19.90, not 18.00.",
                "code": "price-mismatch",
            }
        ],
        "sent": "18.00",
        "expected": "19.90",
    }


def test_a_product_without_a_list_price_needs_a_privilege(customer):
    product = registered_product(list_price=None)
    with pytest.raises(PriceMismatchError, match="has no list price; ask the shop"):
        ordered_line(customer, product, privileges=LIST_ONLY)
    assert ordered_line(customer, product, privileges=ANY).price_source == "client"
    line = ordered_line(customer, product, privileges=OVERRIDE, reason="Made to measure")
    assert line.price_source == "override"


def test_an_overridden_price_needs_a_reason(customer):
    product = registered_product()
    with pytest.raises(PriceReasonMissingError) as refusal:
        ordered_line(customer, product, "18.00", privileges=OVERRIDE)
    assert str(refusal.value) == "The list price is 19.90 EUR. Another price needs a reason."
    assert refusal.value.pointer == "#/items/0/price_reason"
    line = ordered_line(customer, product, "18.00", privileges=OVERRIDE, reason="A scratch")
    assert (line.price_source, line.price_reason) == ("override", "A scratch")
    assert line.unit_price == Money.of(Decimal("18.00"), "EUR")


def test_a_user_with_any_price_needs_no_reason(customer):
    assert (
        ordered_line(customer, registered_product(), "18.00", privileges=ANY).price_source
        == "client"
    )


@pytest.mark.parametrize("privileges", [LIST_ONLY, OVERRIDE, ANY, None])
def test_a_customer_never_sets_a_price(customer, privileges):
    with pytest.raises(PriceMismatchError):
        ordered_line(
            customer,
            registered_product(),
            "18.00",
            privileges=privileges,
            customer_scope=customer.pk,
            reason="Mine",
        )


def test_a_product_sold_in_another_currency_is_refused(customer):
    dollars = registered_product(currency="USD")
    with pytest.raises(MixedCurrencyError, match="sold in USD, not in EUR"):
        ordered_line(customer, dollars, privileges=LIST_ONLY)
    assert ordered_line(customer, dollars, privileges=ANY).price_source == "client"


def test_an_added_line_follows_the_price_rules_of_a_new_order(customer):
    order = placed_order(customer, (registered_product(), 1))

    def add(price, *, currency="EUR", reason=None, privileges=LIST_ONLY):
        return dispatch(
            AddOrderItem(
                user_id=USER,
                order_id=order.pk,
                product_id=registered_product(currency=currency).pk,
                quantity=2,
                unit_price=price,
                price_reason=reason,
                privileges=privileges,
            )
        )[0]

    assert add("19.90").price_source == "list"
    assert add("18.00", privileges=ANY).price_source == "client"
    line = add("18.00", privileges=OVERRIDE, reason="A scratch")
    assert (line.price_source, line.price_reason) == ("override", "A scratch")
    for error, fields in (
        (PriceMismatchError, {}),
        (PriceReasonMissingError, {"privileges": OVERRIDE}),
        (MixedCurrencyError, {"currency": "USD"}),
    ):
        with pytest.raises(error):
            add("18.00", **fields)
    order.refresh_from_db()
    assert order.total == Decimal("131.70")
    check_rows_equal_log()


# --- Ports ---------------------------------------------------------------------------------------
class HalfPrice:
    """Half the list price, and a discount on top."""

    def quote(self, *, customer_id, currency, items):
        halves = [Money.of(item.product.price.amount / 2, currency) for item in items]
        discount = Adjustment(kind="discount", label="Spring", amount=Decimal("1.00"))
        return Quote(unit_prices=halves, adjustments=[discount])


class TenPercent:
    """A tax of a tenth on lines and charges."""

    def taxes(self, draft):
        tenth = Tax(label="Tax", rate=Decimal(10))
        return {part.part_id: [tenth] for part in draft.parts}

    def tax_classes(self):
        return None


class TooLargeDiscount:
    """A discount of more than anything costs."""

    def quote(self, *, customer_id, currency, items):
        discount = Adjustment(kind="discount", label="All", amount=Decimal("1000.00"))
        return Quote(unit_prices=[item.product.price for item in items], adjustments=[discount])


class SoldOut:
    """A catalogue that doesn't sell lamps any more, and never sold chairs."""

    def get(self, products):
        return {
            pk: CatalogEntry(sku=f"X-{product.sku}", name="Catalogue", is_active=False)
            for pk, product in products.items()
            if product.sku == "LAMP"
        }


class Renamed:
    """A catalogue with names of its own."""

    def get(self, products):
        return {
            pk: CatalogEntry(sku=f"X-{product.sku}", name="As in the catalogue")
            for pk, product in products.items()
        }


def test_prices_and_discounts_come_from_the_pricing_port(customer, port):
    port("pricing", HalfPrice)
    product = registered_product(list_price="20.00")
    with pytest.raises(PriceMismatchError, match=r"^The list price is 10\.00, not 20\.00\.$"):
        ordered_line(customer, product, "20.00", privileges=LIST_ONLY)
    items = [{"product_id": product.pk, "quantity": 3, "unit_price": "10.00"}]
    order = placed_order(customer, items=items, privileges=LIST_ONLY)
    assert order.total == Decimal("29.00")
    check_rows_equal_log()


def test_a_pricing_port_can_accept_client_prices(customer, settings):
    settings.PORTS = {
        **settings.PORTS,
        "pricing": "ordering_write.ports.pricing.AcceptClientPrice",
    }
    line = ordered_line(customer, registered_product(), "1.23", customer_scope=customer.pk)
    assert line.price_source == "client"


def test_taxes_come_from_the_tax_port(customer, port):
    port("tax", TenPercent)
    shipping = {"kind": "shipping", "label": "Parcel", "amount": "4.90"}
    events = dispatch(create_order(customer, (registered_product(), 2), adjustments=[shipping]))
    [parcel] = [event for event in events if isinstance(event, OrderAdjustmentAdded)]
    amounts = [tax.amount for part in parts_of(parcel.price) for tax in part.taxes]
    assert amounts == [Decimal("3.98"), Decimal("0.49")]
    assert Order.objects.get(pk=parcel.order_id).total == Decimal("49.17")


def parts_of(price):
    return (*price.lines, *price.charges)


def test_a_discount_of_the_pricing_port_below_zero_is_refused(customer, port):
    port("pricing", TooLargeDiscount)
    with pytest.raises(InvalidAmountError, match="less than nothing"):
        ordered_line(customer, registered_product())


@pytest.mark.parametrize("sku", ["LAMP", "CHAIR"])
def test_a_product_that_the_catalogue_does_not_sell_is_refused(customer, port, sku):
    port("catalog", SoldOut)
    with pytest.raises(ProductInactiveError) as refusal:
        ordered_line(customer, registered_product(sku=sku))
    assert (str(refusal.value), refusal.value.pointer) == (
        f"{sku} isn't sold any more.",
        "#/items/0/product_id",
    )


def test_a_line_keeps_the_catalogue_name_of_its_product(customer, port):
    port("catalog", Renamed)
    line = ordered_line(customer, registered_product(sku="LAMP"))
    assert (line.sku, line.name) == ("X-LAMP", "As in the catalogue")


# --- Replacing an order --------------------------------------------------------------------------
def test_an_order_can_replace_one_of_the_same_customer(customer):
    product = registered_product()
    first = placed_order(customer, (product, 1))
    [created, *_] = dispatch(create_order(customer, (product, 1), replaces_order_id=first.pk))
    assert isinstance(created, OrderCreated)
    assert created.replaces_order_id == first.pk
    other = registered_customer()
    for unknown, orderer in ((uuid7(), customer), (first.pk, other)):
        with pytest.raises(UnknownOrderError) as refusal:
            dispatch(create_order(orderer, (product, 1), replaces_order_id=unknown))
        assert str(refusal.value) == f"The customer has no order {unknown}."
        assert refusal.value.pointer == "#/replaces_order_id"


# --- Rounding ------------------------------------------------------------------------------------
@given(
    amount=st.decimals(0, 10**9, allow_nan=False, allow_infinity=False, places=6),
    currency=st.sampled_from(["JPY", "EUR", "KWD"]),
)
@settings(max_examples=200, deadline=None)
def test_amounts_are_rounded_half_up_to_the_minor_unit(amount, currency):
    places = {"JPY": 0, "EUR": 2, "KWD": 3}[currency]
    rounded = Money.of(amount, currency).amount
    assert rounded == amount.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    assert quantize(rounded, currency) == rounded
    assert rounded.as_tuple().exponent == MINOR_UNITS[currency].as_tuple().exponent


@st.composite
def lines_of_a_currency(draw):
    currency = draw(st.sampled_from(["JPY", "EUR", "KWD"]))
    unit = MINOR_UNITS[currency]
    price = st.integers(0, 10**8).map(lambda number: number * unit)
    lines = st.lists(st.tuples(price, st.integers(1, 10_000)), min_size=1, max_size=5)
    return currency, draw(lines)


@pytest.fixture(scope="module")
def customer_and_product(module_db: None) -> Any:
    return registered_customer(), registered_product(on_hand=10**6)


@pytest.mark.proof
@given(currency_and_lines=lines_of_a_currency())
@settings(max_examples=size(10, full=30), deadline=None)
def test_the_total_is_exactly_the_sum_of_its_lines(customer_and_product, currency_and_lines):
    currency, lines = currency_and_lines
    customer, product = customer_and_product
    items = [
        {"product_id": product.pk, "quantity": quantity, "unit_price": f"{price:f}"}
        for price, quantity in lines
    ]
    events = dispatch(create_order(customer, items=items, currency=currency, user_id=USER))
    line_totals = [event.line_total for event in events if isinstance(event, OrderItemAdded)]
    amounts = [price * quantity for price, quantity in lines]
    assert [money.amount for money in line_totals] == amounts
    assert {money.currency for money in line_totals} == {currency}
    order = Order.objects.get(pk=events[0].order_id)
    assert order.total == sum(amounts)
