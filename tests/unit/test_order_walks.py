"""Random walks through the life of an order: the invariants hold after every step."""

from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st
from uuid_utils.compat import uuid7

from ordering_write.domain.errors import DomainError
from ordering_write.domain.events import OrderStatus
from ordering_write.models import Order
from tests.kit import NOW, placed, state

RANK = list(OrderStatus)
MOVES = st.sampled_from(OrderStatus)
QUANTITIES = st.lists(st.integers(1, 10_000), min_size=1, max_size=5)


@settings(deadline=None)
@drawn(quantities=QUANTITIES, moves=st.lists(MOVES, max_size=12))
def test_no_walk_breaks_the_ledger_or_goes_back(quantities, moves):
    past = placed(*quantities)
    order = Order.fold(past)
    for status in moves:
        before = OrderStatus(order.status)
        had_shipped = any(line.shipped for line in order.lines.values())
        try:
            order.move_to(status, now=NOW, shipment_id=uuid7())
        except DomainError:
            assert order.status == before
        check_ledger(order)
        check_step(before, OrderStatus(order.status), had_shipped=had_shipped)
    assert state(Order.fold([*past, *order.pending_events])) == state(order)


def check_ledger(order: Order) -> None:
    for line in order.lines.values():
        assert line.open == line.ordered - line.cancelled - line.packed - line.shipped
        assert line.open >= 0
        assert line.delivered + line.failed <= line.shipped
        assert line.return_requested + line.returned <= line.delivered
        assert min(line.cancelled, line.packed, line.shipped, line.delivered) >= 0


def check_step(before: OrderStatus, after: OrderStatus, *, had_shipped: bool) -> None:
    assert not (had_shipped and after == OrderStatus.CANCELLED)
    assert RANK.index(after) >= RANK.index(before)
    if before in (OrderStatus.COMPLETED, OrderStatus.CANCELLED):
        assert after == before
