"""Taxes and discounts of lines and charges: given by clients, or asked from the tax port."""

from decimal import Decimal
from typing import Any

import pytest
from rest_framework.test import APIClient

from config.accounts.models import User
from config.tax_rates import TaxRate
from ordering_read.admin.order_page import template_context
from ordering_read.projections.order_view import fold_order
from ordering_read.queries import get_query_bus
from ordering_read.queries.orders import GetOrderById
from ordering_write import log
from ordering_write.bus import get_command_bus
from ordering_write.domain import commands as c
from ordering_write.domain import events as e
from ordering_write.domain.errors import (
    InvalidAmountError,
    ShopOnlyError,
    UnknownTaxClassError,
)
from ordering_write.models import Order, StockItem
from tests.kit import (
    ADDRESS,
    NOW,
    USER,
    check_rows_equal_log,
    create_order,
    dispatch,
    placed_order,
    registered_customer,
    registered_product,
)

pytestmark = pytest.mark.usefixtures("db")

IVA = {"label": "IVA 21 %", "jurisdiction": "ES", "rate": "21"}
RATES = (
    TaxRate("ES", "", "", "IVA 21 %", Decimal(21)),
    TaxRate("ES", "", "food", "IVA 4 %", Decimal(4)),
    TaxRate("PT", "", "", "IVA 23 %", Decimal(23)),
)


@pytest.fixture
def fixed_rates(settings: Any) -> None:
    """Let the shop be Spanish, with prices that include the taxes."""
    settings.TAX_RATES = RATES
    settings.PRICES_INCLUDE_TAX = True
    settings.PORTS = settings.PORTS | {"tax": "ordering_write.ports.fixed_rates.FixedRates"}


def detail(order: Order, **fields: Any) -> Any:
    query = GetOrderById(order_id=order.pk, **fields or {"consistency": "strong"})
    return get_query_bus().dispatch(query)


def tax_lines(order: Order, **fields: Any) -> list[tuple[str, str, str]]:
    """Return the label, base and amount of each tax of the whole order."""
    return [(tax.label, str(tax.base), str(tax.amount)) for tax in detail(order, **fields).taxes]


def item(product: StockItem, quantity: int = 1, price: str = "19.90", **fields: Any) -> Any:
    return {"product_id": product.pk, "quantity": quantity, "unit_price": price, **fields}


def give(command: Any, order: Order, **fields: Any) -> Any:
    return dispatch(command(user_id=USER, timestamp=NOW, order_id=order.pk, **fields))


# --- Given by the client -----------------------------------------------------------------------
def test_a_line_has_a_discount_and_taxes_of_its_own(customer):
    lines = [
        item(registered_product(), 2, discount="9.80", taxes=[IVA]),
        item(registered_product(), taxes=[{"label": "Books 4 %", "rate": "4", "included": True}]),
        item(registered_product(), taxes=[{"label": "Fee", "amount": "0.35"}]),
    ]
    order = placed_order(customer, items=lines)

    shown = detail(order)

    first, second, third = shown.items
    assert (first.list_value, first.discount, first.line_total) == (
        Decimal("39.80"),
        Decimal("9.80"),
        Decimal("30.00"),
    )
    [tax] = first.taxes
    assert tax.model_dump() == {
        "label": "IVA 21 %",
        "jurisdiction": "ES",
        "rate": Decimal(21),
        "included": False,
        "base": Decimal("30.00"),
        "amount": Decimal("6.30"),
    }
    [included] = second.taxes
    assert (included.base, included.amount, included.included) == (
        Decimal("19.13"),
        Decimal("0.77"),
        True,
    )
    assert [tax.amount for tax in third.taxes] == [Decimal("0.35")]
    assert shown.total_amount == Decimal("76.45")
    assert shown.sums.model_dump() == {
        "list_value": Decimal("79.60"),
        "discount": Decimal("9.80"),
        "charges": 0,
        "tax": Decimal("6.65"),
        "included_tax": Decimal("0.77"),
        "goodwill": 0,
    }
    check_rows_equal_log()


def test_a_charge_has_a_discount_and_taxes_of_its_own(customer):
    shipping = {"kind": "shipping", "label": "Parcel", "amount": "10.00", "discount": "2.00"}
    order = placed_order(
        customer, (registered_product(), 1), adjustments=[{**shipping, "taxes": [IVA]}]
    )

    shown = detail(order)

    [charge] = shown.charges
    assert (charge.list_value, charge.discount, charge.total) == (
        Decimal("10.00"),
        Decimal("2.00"),
        Decimal("8.00"),
    )
    assert [tax.amount for tax in charge.taxes] == [Decimal("1.68")]
    assert shown.total_amount == Decimal("29.58")
    parcel, discount = shown.adjustments
    assert (discount.kind, discount.part_id) == ("discount", parcel.adjustment_id)


def test_given_taxes_follow_the_quantity(customer):
    lines = [
        item(registered_product(), 1, "10.00", taxes=[{"label": "Given", "amount": "2.10"}]),
        item(registered_product(), 1, "10.00", taxes=[IVA | {"included": True}]),
    ]
    order = placed_order(customer, items=lines)
    first, second = (line.line_id for line in detail(order).items)

    for quantity, amounts in ((3, ["6.30", "5.21"]), (1, ["2.10", "1.74"])):
        for line_id in (first, second):
            give(c.ChangeItemQuantity, order, line_id=line_id, new_quantity=quantity)

        assert [str(tax.amount) for tax in detail(order).taxes] == amounts
    check_rows_equal_log()


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"discount": "19.91"}, "#/items/0/discount"),
        ({"discount": "1.001"}, "#/items/0/discount"),
        ({"taxes": [{"label": "Tax", "amount": "1.001"}]}, "#/items/0/taxes/0/amount"),
        (
            {"taxes": [{"label": "Tax", "amount": "19.91", "included": True}]},
            "#/items/0/taxes/0/amount",
        ),
        (
            {"discount": "15.00", "taxes": [{"label": "Tax", "amount": "5", "included": True}]},
            "#/items/0/taxes/0/amount",
        ),
    ],
)
def test_impossible_amounts_of_a_line_are_refused(customer, fields, pointer):
    with pytest.raises(InvalidAmountError) as refusal:
        dispatch(create_order(customer, items=[item(registered_product(), **fields)]))
    assert refusal.value.pointer == pointer


def test_a_tax_needs_a_rate_or_an_amount_and_only_charges_have_taxes(customer):
    product = registered_product()
    for bad in (
        {"items": [item(product, taxes=[{"label": "Tax"}])]},
        {"items": [item(product, taxes=[])]},
        {
            "items": [item(product)],
            "adjustments": [
                {"kind": "discount", "label": "Spring", "amount": "1.00", "taxes": [IVA]}
            ],
        },
    ):
        with pytest.raises(ValueError, match=r"rate or an amount|at least 1|Only a charge"):
            create_order(customer, **bad)


@pytest.mark.parametrize(("name", "value"), [("discount", "1.00"), ("taxes", [IVA])])
def test_customers_give_no_discounts_and_no_taxes(customer, name: str, value: Any):
    line = item(registered_product()) | {name: value}
    order = create_order(customer, items=[line], customer_scope=customer.pk)
    with pytest.raises(ShopOnlyError) as refusal:
        dispatch(order)
    assert refusal.value.pointer == f"#/items/0/{name}"


def test_prices_include_given_taxes_if_the_shop_says_so(customer, settings: Any):
    settings.PRICES_INCLUDE_TAX = True
    order = placed_order(customer, items=[item(registered_product(), taxes=[IVA])])

    assert order.total == Decimal("19.90")
    assert tax_lines(order) == [("IVA 21 %", "16.45", "3.45")]


# --- Asked from the port -------------------------------------------------------------------------
def test_taxes_follow_class_quantity_and_address(customer, fixed_rates):
    lamp, olives = registered_product(), registered_product(tax_class="food")
    shipping = {"kind": "shipping", "label": "Parcel", "amount": "6.05"}
    order = placed_order(customer, (lamp, 1), (olives, 1), adjustments=[shipping])
    assert order.total == Decimal("45.85")
    assert tax_lines(order) == [("IVA 21 %", "21.45", "4.50"), ("IVA 4 %", "19.13", "0.77")]

    line_id = detail(order).items[1].line_id
    give(c.ChangeItemQuantity, order, line_id=line_id, new_quantity=2)
    assert tax_lines(order) == [("IVA 21 %", "21.45", "4.50"), ("IVA 4 %", "38.27", "1.53")]

    give(c.AddOrderItem, order, product_id=olives.pk, quantity=1, unit_price="19.90")
    assert tax_lines(order)[1] == ("IVA 4 %", "57.40", "2.30")

    portugal = ADDRESS | {"country": "PT"}
    [changed] = give(c.ChangeShippingAddress, order, shipping_address=portugal)
    assert changed.price is not None
    assert tax_lines(order) == [("IVA 23 %", "69.64", "16.01")]
    # An earlier version still has the taxes of its time.
    assert tax_lines(order, version=4)[0] == ("IVA 21 %", "21.45", "4.50")
    assert detail(order).total_amount == Decimal("85.65")
    check_rows_equal_log()


def test_a_change_of_address_says_no_price_if_the_taxes_stay(customer, fixed_rates):
    order = placed_order(customer, (registered_product(), 1))

    [changed] = give(c.ChangeShippingAddress, order, shipping_address=ADDRESS | {"line1": "Other"})

    assert (changed.price, changed.total) == (None, None)


def test_added_taxes_change_the_total_with_the_address(customer, fixed_rates, settings: Any):
    settings.PRICES_INCLUDE_TAX = False
    settings.PORTS = dict(settings.PORTS)
    order = placed_order(customer, (registered_product(), 1))
    assert order.total == Decimal("24.08")

    [changed] = give(c.ChangeShippingAddress, order, shipping_address=ADDRESS | {"country": "US"})

    assert (changed.total_before.amount, changed.total.amount) == (
        Decimal("24.08"),
        Decimal("19.90"),
    )
    assert tax_lines(order) == []


def test_taxes_of_the_client_replace_those_of_the_port(customer, fixed_rates):
    exempt = {"label": "Exempt", "rate": "0"}
    order = placed_order(
        customer, items=[item(registered_product(), taxes=[exempt]), item(registered_product())]
    )
    assert tax_lines(order) == [("Exempt", "19.90", "0.00"), ("IVA 21 %", "16.45", "3.45")]

    tax = {"kind": "tax", "label": "VAT", "amount": "4.18"}
    of_the_order = placed_order(customer, (registered_product(), 1), adjustments=[tax])
    assert tax_lines(of_the_order) == [("VAT", "19.90", "4.18")]


def test_taxes_stay_as_they_were_when_the_shop_asks_no_more(customer, fixed_rates, settings: Any):
    order = placed_order(customer, (registered_product(), 1))
    settings.PORTS = settings.PORTS | {"tax": "ordering_write.ports.tax.NoTax"}
    [line] = detail(order).items

    give(c.ChangeItemQuantity, order, line_id=line.line_id, new_quantity=2)

    assert tax_lines(order) == [("IVA 21 %", "32.89", "6.91")]


def test_a_dry_run_says_the_taxes_that_the_order_then_has(customer, fixed_rates):
    command = create_order(customer, (registered_product(), 1))

    preview = get_command_bus().preview(command)

    [would_be] = [event for event in preview.would_emit if event.type == "OrderItemAdded"]
    [added] = [event for event in dispatch(command) if isinstance(event, e.OrderItemAdded)]
    fields, _personal = added.encode()
    [line], [previewed_line] = fields["price"]["lines"], would_be.fields["price"]["lines"]
    assert previewed_line["taxes"] == line["taxes"] != []


def test_only_the_adapter_reads_the_address_of_an_edited_order(
    customer, settings: Any, monkeypatch: Any
):
    order = placed_order(customer, (registered_product(), 1))
    [line] = detail(order).items

    def refuse(stream: str) -> None:
        raise AssertionError(f"{stream} is read")

    monkeypatch.setattr(log, "read_stream", refuse)

    give(c.ChangeItemQuantity, order, line_id=line.line_id, new_quantity=2)

    settings.PORTS = settings.PORTS | {"tax": "ordering_write.ports.fixed_rates.FixedRates"}
    settings.TAX_RATES = RATES
    with pytest.raises(AssertionError, match="is read"):
        give(c.ChangeItemQuantity, order, line_id=line.line_id, new_quantity=3)


def test_the_page_of_an_order_adds_up_as_printed(customer, fixed_rates):
    lines = [
        item(registered_product(), 2, discount="4.80"),
        item(registered_product(), taxes=[IVA]),
    ]
    shipping = {"kind": "shipping", "label": "Parcel", "amount": "6.05", "discount": "1.21"}
    given = {"label": "Packing 10 %", "rate": "10", "included": False}
    packing = {"kind": "gift_wrap", "label": "Paper", "amount": "2.00", "taxes": [given]}
    order = placed_order(customer, items=lines, adjustments=[shipping, packing])
    give(c.GrantGoodwill, order, amount="0.89", reason="late")

    events: Any = log.read_stream(order.stream)
    page = template_context(*fold_order(events), with_personal=True)

    first, second = page["money_rows"].split("</tr>")[:-1]
    assert '<td class="number">39.80</td>' in first
    assert "<bdi>4.80 of the discount below</bdi>" in first
    assert "<bdi>IVA 21 % included, on 28.93: 6.07</bdi>" in first
    assert "<bdi>IVA 21 % included, on 16.45: 3.45</bdi>" in second
    rows = [*page["sums"], ("Total", page["order"].total_amount), *page["included_taxes"]]
    assert [(label, str(amount)) for label, amount in rows] == [
        ("Discount", "-6.01"),
        ("Parcel", "6.05"),
        ("Paper", "2.00"),
        ("Packing 10 %, on 2.00", "0.20"),
        ("Goodwill", "-0.89"),
        ("Total", "61.05"),
        ("IVA 21 % included, on 49.38", "10.36"),
    ]


# --- Tax classes of products ---------------------------------------------------------------------
def test_a_product_has_a_tax_class(customer, fixed_rates):
    product = registered_product(tax_class="food")
    first = placed_order(customer, (product, 1))

    command = {"user_id": USER, "product_id": product.pk}
    [changed] = dispatch(c.SetTaxClass(tax_class=None, **command))

    assert changed.tax_class is None
    assert dispatch(c.SetTaxClass(tax_class=None, **command)) == []
    assert detail(first).items[0].tax_class == "food"
    assert tax_lines(placed_order(customer, (product, 1))) == [("IVA 21 %", "16.45", "3.45")]
    check_rows_equal_log()


def test_a_tax_class_without_rates_is_refused(fixed_rates):
    product = registered_product()
    with pytest.raises(UnknownTaxClassError, match="no rates for toys; the tax classes are food"):
        dispatch(c.SetTaxClass(user_id=USER, product_id=product.pk, tax_class="toys"))
    with pytest.raises(UnknownTaxClassError):
        registered_product(tax_class="toys")


def test_the_tax_class_is_set_and_shown_over_http(admin_user: User):
    api = APIClient()
    api.force_authenticate(admin_user)
    product = registered_product(tax_class="food")
    address = f"/api/v1/inventory/{product.pk}"

    answer = api.put(f"{address}/tax-class", {"tax_class": "books"}, format="json")

    assert [event["type"] for event in answer.json()["events"]] == ["TaxClassChanged"]
    assert StockItem.objects.get(pk=product.pk).tax_class == "books"


def test_the_database_holds_the_tax_class_of_a_customers_order(fixed_rates):
    customer = registered_customer()
    order = placed_order(
        customer, (registered_product(tax_class="food"), 1), customer_scope=customer.pk
    )
    assert tax_lines(order) == [("IVA 4 %", "19.13", "0.77")]
