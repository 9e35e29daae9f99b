"""The validation of commands, and the fingerprint of their payload."""

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError
from uuid_utils.compat import uuid7

from ordering_write.bus import CommandBus, fingerprint, get_command_bus
from ordering_write.domain import commands
from ordering_write.domain.commands import (
    CancelOrder,
    Command,
    CreateOrder,
    ReceiveStock,
    RegisterCustomer,
    RegisterStockItem,
    UpdateOrderStatus,
)
from ordering_write.domain.errors import NoHandlerFoundError
from ordering_write.domain.events import OrderStatus
from ordering_write.domain.values import Money
from ordering_write.handlers import handler_of
from tests.kit import ADDRESS, NOW, USER

ITEM = {"product_id": str(uuid7()), "quantity": 1, "unit_price": "19.90"}
ORDER = {"customer_id": str(uuid7()), "items": [ITEM], "shipping_address": ADDRESS}


def order(**changes):
    return CreateOrder(user_id=USER, **{**ORDER, **changes})


def item(**changes):
    return order(items=[{**ITEM, **changes}])


def address(**changes):
    return order(shipping_address={**ADDRESS, **changes})


def customer(**changes):
    return RegisterCustomer(
        user_id=USER, **{"name": "Robin Sample", "email": "robin@example.com", **changes}
    )


def test_an_order_needs_a_customer_items_and_an_address():
    placed = order()
    assert placed.items[0].unit_price == Decimal("19.90")
    assert placed.currency is None
    assert placed.shipping_address.line2 == ""


def test_a_quantity_is_a_whole_number_from_1_to_10000(subtests: pytest.Subtests) -> None:
    for quantity in [0, -1, 10_001, True, "1", 1.0, 1.5, Decimal(1), None]:
        with subtests.test(quantity=quantity), pytest.raises(ValidationError):
            item(quantity=quantity)


def test_the_smallest_and_the_largest_quantity(subtests: pytest.Subtests) -> None:
    for quantity in [1, 10_000]:
        with subtests.test(quantity=quantity):
            assert item(quantity=quantity).items[0].quantity == quantity


def test_a_price_is_written_as_plain_digits(subtests: pytest.Subtests) -> None:
    cases = [
        *("-1", "+1", "1e3", "1_000", "1,5", ".5", "5.", "", " 1", "NaN", "Infinity", "1.00001"),
        *("1" * 16, "\u0661\u0662", "\uff11\uff12", 1.5, True, None),
        *(Decimal("NaN"), Decimal(-1), Decimal("1e400")),
    ]
    for price in cases:
        with subtests.test(price=price), pytest.raises(ValidationError):
            item(unit_price=price)


def test_a_price_may_be_text_or_an_exact_number(subtests: pytest.Subtests) -> None:
    prices: list[Any] = ["0", "19.9", "19.90", 19, Decimal("19.9"), "9" * 15 + ".9999"]
    for price in prices:
        with subtests.test(price=price):
            assert item(unit_price=price).items[0].unit_price == Decimal(price)


def test_an_order_has_1_to_200_lines():
    assert len(order(items=[ITEM] * 200).items) == 200
    for number in (0, 201):
        with pytest.raises(ValidationError):
            order(items=[ITEM] * number)


def test_an_address_with_a_wrong_field_is_refused(subtests: pytest.Subtests) -> None:
    cases: list[dict[str, Any]] = [
        *({"name": ""}, {"name": "   "}, {"name": "x" * 201}, {"line1": ""}, {"city": ""}),
        *({"country": "XX"}, {"country": "es"}, {"country": "ESP"}, {"postal_code": "x" * 21}),
        *({"city": "a\x00b"}, {"city": "a\nb"}, {"city": "a\u202eb"}, {"city": "\ud800"}),
        *({"planet": "Earth"}, {"name": None}, {"name": 5}),
    ]
    for changes in cases:
        with subtests.test(changes=changes), pytest.raises(ValidationError):
            address(**changes)


def test_text_is_trimmed_and_composed():
    assert address(city="  Co\u0301rdoba ").shipping_address.city == "C\u00f3rdoba"


def test_an_address_without_a_required_field_is_refused(subtests: pytest.Subtests) -> None:
    for missing in ["name", "line1", "city", "country"]:
        with subtests.test(missing=missing), pytest.raises(ValidationError, match=missing):
            order(shipping_address={k: v for k, v in ADDRESS.items() if k != missing})


def test_an_email_without_name_or_domain_is_refused(subtests: pytest.Subtests) -> None:
    for email in ["", "robin", "robin@", "@example.com", "a b@example.com"]:
        with subtests.test(email=email), pytest.raises(ValidationError):
            customer(email=email)


def test_an_email_with_an_odd_or_long_domain_is_refused(subtests: pytest.Subtests) -> None:
    for email in ["robin@example", "robin@example.com\n.", "x" * 250 + "@e.com"]:
        with subtests.test(email=email), pytest.raises(ValidationError):
            customer(email=email)


def test_currencies_are_those_of_iso_4217_that_have_units(subtests: pytest.Subtests) -> None:
    for currency in ["EURO", "eur", "XAU", "", 978]:
        with subtests.test(currency=currency), pytest.raises(ValidationError):
            order(currency=currency)


def test_a_tag_of_small_letters_digits_and_dashes_is_accepted(subtests: pytest.Subtests) -> None:
    for tag in ["gift", "vip-2", "a" * 40]:
        with subtests.test(tag=tag):
            assert order(tags=[tag]).tags == [tag]


def test_any_other_tag_is_refused(subtests: pytest.Subtests) -> None:
    for tag in ["", "Gift", "a b", "-a", "a-", "a" * 41, "ñ"]:
        with subtests.test(tag=tag), pytest.raises(ValidationError):
            order(tags=[tag])


def test_a_tax_rate_outside_0_to_1000_is_refused(subtests: pytest.Subtests) -> None:
    for rate in ["-1", "1001", "0.00001", "NaN"]:
        with subtests.test(rate=rate):
            adjustment = {"kind": "tax", "label": "VAT", "amount": "1", "rate": rate}
            with pytest.raises(ValidationError):
                order(adjustments=[adjustment])


def test_unknown_fields_are_refused():
    for build in (order, item, customer):
        with pytest.raises(ValidationError, match="surprise"):
            build(surprise=1)


def test_stock_and_order_commands_refuse_values_out_of_bounds():
    good = {"user_id": USER, "sku": "LAMP-1", "name": "Lamp", "on_hand": 0}
    RegisterStockItem(**good)
    for bad in ({"on_hand": -1}, {"sku": ""}, {"list_price": "-1"}, {"reorder_point": True}):
        with pytest.raises(ValidationError):
            RegisterStockItem(**{**good, **bad})
    for quantity in (0, 1_000_001, True, "1"):
        with pytest.raises(ValidationError):
            ReceiveStock(user_id=USER, product_id=uuid7(), quantity=quantity)
    for changes in ({"reason": ""}, {"reason": "x" * 501}, {"reason_code": "whim"}):
        with pytest.raises(ValidationError):
            CancelOrder(**{"user_id": USER, "order_id": uuid7(), "reason": "Why", **changes})
    with pytest.raises(ValidationError):
        UpdateOrderStatus(user_id=USER, order_id=uuid7(), status="lost")


def test_a_command_is_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        order().note = "Something else"


# --- Money ------------------------------------------------------------------------------------
def test_money_is_rounded_half_up_to_the_minor_unit(subtests: pytest.Subtests) -> None:
    cases = [
        *(("2.5", "JPY", "3"), ("2.4", "JPY", "2"), ("0.005", "EUR", "0.01")),
        *(("0.0049", "EUR", "0.00"), ("0.0005", "KWD", "0.001"), ("1", "KWD", "1.000")),
        ("19.9", "EUR", "19.90"),
    ]
    for amount, currency, rounded in cases:
        with subtests.test(amount=amount, currency=currency):
            assert str(Money.of(Decimal(amount), currency).amount) == rounded


# --- The envelope -----------------------------------------------------------------------------
def test_a_fingerprint_depends_on_the_payload_only():
    first, later = order(timestamp=NOW), order(timestamp=NOW + timedelta(days=1))
    assert first.command_id != later.command_id
    assert fingerprint(first) == fingerprint(later)
    assert fingerprint(first) != fingerprint(order(note="Another one"))


def test_the_payload_holds_nothing_of_the_envelope():
    assert not set(order().payload()) & set(Command.model_fields)


def test_every_command_has_a_handler():
    command_types = {
        value
        for value in vars(commands).values()
        if isinstance(value, type) and issubclass(value, Command) and value is not Command
    }
    assert set(get_command_bus().commands) == command_types


def test_each_status_needs_its_own_permission(subtests: pytest.Subtests) -> None:
    cases = [
        (OrderStatus.CONFIRMED, "confirm_order"),
        (OrderStatus.PROCESSING, "process_order"),
        (OrderStatus.SHIPPED, "ship_order"),
        (OrderStatus.DELIVERED, "deliver_order"),
        (OrderStatus.COMPLETED, "complete_order"),
        (OrderStatus.CANCELLED, "cancel_order"),
    ]
    for status, permission in cases:
        with subtests.test(status=status, permission=permission):
            command = UpdateOrderStatus(user_id=USER, order_id=uuid7(), status=status)
            assert handler_of(UpdateOrderStatus).needed_permission(command).codename == permission


def test_a_command_without_a_handler_is_refused():
    with pytest.raises(NoHandlerFoundError, match="No handler is registered for RegisterCustomer"):
        CommandBus().dispatch(customer())


def test_a_repeat_of_an_order_is_recognised_across_an_upgrade():
    """The fingerprint of a payload without later fields is that of the release before them."""
    item = {"product_id": UUID(int=3), "quantity": 2, "unit_price": "19.90"}
    command = CreateOrder(
        user_id=UUID(int=1), customer_id=UUID(int=2), items=[item], shipping_address=ADDRESS
    )
    former = "162fa3f4c88022f3b7b3636448c2afae5adc9390a85c7461c2cdc635caeb8add"
    assert fingerprint(command) == former
