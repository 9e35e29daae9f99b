"""The shares of adjustments for the units that are owed, and the rest of a line with a charge."""

from decimal import Decimal
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from ordering_write.domain.prices import DiscountShare, LinePrice, Surcharge
from ordering_write.domain.pricing import rest
from ordering_write.domain.shares import PartlyOwed, discount_shares, surcharge_share

ZERO, CENT = Decimal(0), Decimal("0.01")
A, B, CHARGE = UUID(int=1), UUID(int=2), UUID(int=3)


@st.composite
def partly_owed(draw) -> PartlyOwed:
    ordered = draw(st.integers(1, 9))
    return PartlyOwed(
        net=draw(st.integers(0, 999)) * CENT,
        ordered=ordered,
        credited=draw(st.integers(0, ordered - 1)),
    )


def owed_after(part: PartlyOwed, change: Decimal) -> Decimal:
    return PartlyOwed(part.net + change, part.ordered, part.credited).owed_net("EUR")


@settings(deadline=None)
@given(first=partly_owed(), second=partly_owed(), charge=st.integers(0, 99), data=st.data())
def test_a_discount_lowers_the_owed_price_by_its_amount(first, second, charge, data):
    lines, charges = {A: first, B: second}, {CHARGE: PartlyOwed(charge * CENT)}
    parts = {**lines, **charges}
    owed = sum(part.owed_net("EUR") for part in parts.values())
    amount = data.draw(st.integers(0, int(owed / CENT))) * CENT

    shares = discount_shares(amount, lines, charges, "EUR")

    assert all(0 < share <= parts[part_id].net for part_id, share in shares.items())
    after = sum(owed_after(part, -shares.get(part_id, ZERO)) for part_id, part in parts.items())
    assert after == owed - amount
    # The charge gets only what exceeds the lines.
    owed_lines = sum(part.owed_net("EUR") for part in lines.values())
    assert shares.get(CHARGE, 0) == max(amount - owed_lines, 0)


@settings(deadline=None)
@given(line=partly_owed(), amount=st.integers(1, 999))
def test_a_charge_raises_the_owed_price_by_its_amount(line, amount):
    share = surcharge_share(amount * CENT, line, "EUR")

    assert owed_after(line, share) == line.owed_net("EUR") + amount * CENT
    assert owed_after(line, share - CENT) < owed_after(line, share)


@settings(deadline=None)
@given(data=st.data())
def test_the_parts_of_the_rest_of_a_line_add_up(data):
    list_value, surcharge = data.draw(st.integers(0, 99)), data.draw(st.integers(1, 99))
    discount = data.draw(st.integers(0, list_value + surcharge))
    ordered = data.draw(st.integers(1, 9))
    line = LinePrice(
        line_id=A,
        list_value=list_value * CENT,
        discounts=(DiscountShare(label="Sample", amount=discount * CENT),),
        surcharges=(Surcharge(label="Sample", amount=surcharge * CENT),),
        net=(list_value + surcharge - discount) * CENT,
    )

    for credited in range(ordered + 1):
        part = rest(line, credited=credited, ordered=ordered, currency="EUR")
        [discount_share] = part.discounts
        assert part.surcharges is not None
        [surcharge_part] = part.surcharges
        parts = (part.list_value, part.net, discount_share.amount, surcharge_part.amount)
        assert min(parts) >= 0
        assert part.list_value + surcharge_part.amount - discount_share.amount == part.net
        owed = Decimal(ordered - credited) / ordered
        assert abs(surcharge_part.amount - line.surcharge * owed) <= 2 * CENT
