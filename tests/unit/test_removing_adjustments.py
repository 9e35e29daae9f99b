"""Discounts, charges, taxes and goodwill that are removed from an order."""

from decimal import Decimal
from uuid import uuid4

import pytest

from ordering_write.domain.errors import (
    AdjustmentNotFoundError,
    PriceRiseError,
)
from tests.kit import NOW
from tests.kit_money import ZERO, adjustment, order_of
from tests.unit.test_adjusting import adjust, an_order
from tests.unit.test_money import (
    cancel_units,
    lose,
)


@pytest.mark.parametrize("kind", ["discount", "fee", "shipping", "tax"])
def test_an_adjustment_of_the_placement_can_be_removed(kind):
    _, order = order_of([(2, 4_950), (1, 990)], {kind: 1_000}, "EUR")
    [added_id] = order.adjustments_by_id

    order.remove_adjustment(added_id, now=NOW)

    assert (order.total, order.adjustments) == (Decimal("108.90"), [])


def test_a_later_adjustment_can_be_removed(subtests: pytest.Subtests) -> None:
    for kind in ("discount", "fee"):
        for line in (None, 0):
            with subtests.test(kind=kind, line=str(line)):
                order = an_order((3, 4_951), (1, 990), discount=777, tax=999)
                cancel_units(order, 1)
                total = order.total
                added_id = adjust(order, kind, 501, line)

                order.remove_adjustment(added_id, now=NOW)

                assert order.total == total


def test_goodwill_can_be_removed_until_a_unit_has_shipped() -> None:
    order = an_order((2, 4_950))
    refund_id = uuid4()
    order.grant_goodwill(Decimal("5.00"), "Late", refund_id=refund_id, now=NOW)
    [goodwill] = order.adjustments_by_id

    order.remove_adjustment(goodwill, now=NOW)
    assert (order.total, order.goodwill) == (Decimal("99.00"), ZERO)

    order.grant_goodwill(Decimal("5.00"), "Late", refund_id=uuid4(), now=NOW)
    [goodwill] = order.adjustments_by_id
    lose(order, 1)
    with pytest.raises(PriceRiseError):
        order.remove_adjustment(goodwill, now=NOW)


def test_a_discount_stays_once_its_units_have_shipped() -> None:
    order = an_order((1, 5_000), (1, 5_000), discount=1_000)
    [discount] = order.adjustments_by_id
    lose(order, 1)
    in_transit = an_order((1, 5_000), discount=1_000)
    [other] = in_transit.adjustments_by_id
    in_transit.ship_everything(shipment_id=uuid4(), now=NOW)

    # The lost unit costs nothing any more, whatever its price.
    order.remove_adjustment(discount, now=NOW)
    with pytest.raises(PriceRiseError, match=r"can't rise from 40\.00 to 50\.00"):
        in_transit.remove_adjustment(other, now=NOW)


def test_a_charge_is_removed_with_its_discount() -> None:
    order = an_order((1, 5_000))
    shipping = adjustment(order, "shipping", Decimal("10.00"))
    order.adjust(shipping.model_copy(update={"discount": order.money(Decimal("4.00"))}))
    assert order.total == Decimal("56.00")

    order.remove_adjustment(next(iter(order.adjustments_by_id)), now=NOW)

    assert (order.total, order.adjustments) == (Decimal("50.00"), [])


def test_a_discount_is_on_the_charges_of_lines_too() -> None:
    order = an_order((1, 0))
    adjust(order, "fee", 16_608, 0)

    adjust(order, "discount", 608)

    assert order.total == Decimal("160.00")


def test_a_charge_is_removed_with_its_share_of_a_later_discount() -> None:
    order = an_order((2, 1_000), shipping=500)
    cancel_units(order, 1)
    adjust(order, "discount", 1_200)
    assert order.total == Decimal("3.00")
    [shipping] = [key for key, item in order.adjustments_by_id.items() if item.kind == "shipping"]

    order.remove_adjustment(shipping, now=NOW)

    assert (order.total, order.present_price.charges) == (ZERO, ())


def test_an_unknown_adjustment_is_refused() -> None:
    order = an_order((1, 5_000), fee=100)

    with pytest.raises(AdjustmentNotFoundError, match="has no such adjustment"):
        order.remove_adjustment(uuid4(), now=NOW)
    with pytest.raises(AdjustmentNotFoundError, match="has no adjustment"):
        an_order((1, 5_000)).remove_adjustment(uuid4(), now=NOW)
