"""The real order against the machine of `tests/lifecycle.py`, in every state.

In each reachable state of a small order, each move is tried on a real order: an allowed move has
the machine's result, and any other move is refused and changes nothing.
"""

from collections.abc import Callable
from copy import deepcopy
from decimal import Decimal
from uuid import UUID

import pytest

from ordering_write.domain import commands as c
from ordering_write.domain import events as e
from ordering_write.domain.errors import DomainError
from ordering_write.domain.events import LIVE, OrderStatus
from ordering_write.models import Order, OrderItem, Shipment
from tests.kit import NOW
from tests.lifecycle import Line, Money, Move, State, moves, reachable, state_of
from tests.proof import IS_PROOF

RANK = list(OrderStatus)
# More than any order costs.
PLENTY = Decimal(1000)
PRICE = Decimal(10)


def test_the_state_machine_keeps_its_invariants():
    ends = (OrderStatus.CANCELLED, OrderStatus.COMPLETED)
    goes_to: dict[State, set[State]] = {}
    for state in reachable(2, most=3):
        allowed = moves(state, most=3)
        goes_to[state] = set(allowed.values())
        check_ledger(state)
        for move, after in allowed.items():
            check_step(state, move, after)
    # Every order can reach its end.
    finished = {state for state in goes_to if state.status in ends}
    while more := {s for s, nexts in goes_to.items() if s not in finished and nexts & finished}:
        finished |= more
    assert finished == goes_to.keys()


@pytest.mark.proof
def test_an_order_agrees_with_the_state_machine_in_every_state():
    orders = [((2, 1), 3)] if IS_PROOF else [((1, 1), 1), ((2,), 2)]
    for units, most in orders:
        print("{} states, {} transitions".format(*check_all(*units, most=most)))


@pytest.mark.parametrize(
    "guard",
    [
        "may_confirm",
        "may_complete",
        "may_cancel",
        "may_expire",
        "may_hold",
        "may_edit",
        "may_pack",
        "refuse_if_on_hold",
    ],
)
def test_an_order_without_a_guard_disagrees_with_the_state_machine(guard, monkeypatch):
    monkeypatch.setattr(Order, guard, lambda *_args, **_kwargs: None)

    with pytest.raises(AssertionError):
        check_all(1, most=2)


def check_all(*units: int, most: int) -> tuple[int, int]:
    """Try every move in every state; return the numbers of states and transitions."""
    states = transitions = 0
    for state in reachable(*units, most=most):
        allowed = moves(state, most=most)
        states += 1
        transitions += len(allowed)
        for move, after in allowed.items():
            order = real_order(state)
            CALLS[move[0]](order, *move[1:])
            assert state_of(order) == after, (state, move)
            assert order.status == after.status, (state, move)
            check_step(state, move, after)
        unmoved = real_order(state)
        for move in moves_to_try(state, most) - allowed.keys():
            assert refuses(unmoved, move), (state, move)
            assert not unmoved.raised_events, (state, move)
        assert state_of(unmoved) == state
    return states, transitions


def refuses(order: Order, move: Move) -> bool:
    try:
        CALLS[move[0]](order, *move[1:])
    except DomainError:
        return True
    return False


def moves_to_try(state: State, most: int) -> set[Move]:
    """Return the moves to try in this state. No payment is among them: none is ever refused."""
    order_moves = [
        "confirm",
        "start_processing",
        "expire",
        "cancel",
        "hold",
        "release_hold",
        "complete",
    ]
    line_moves = ["unpack", "dispatch", "deliver", "fail", "resend"]
    result = {(name, 0, 0) for name in order_moves}
    for number, line in enumerate(state.lines):
        result |= {(name, number, 0) for name in line_moves}
        result |= {(name, number, units) for name in COUNTED for units in range(1, most + 2)}
        result |= {(name, number, 1) for name in RETURNS}
        result |= {
            ("change_quantity", number, wanted)
            for wanted in (line.ordered - 1, line.ordered + 1)
            if wanted <= most
        }
    return result


COUNTED = ("cancel_items", "pack")
RETURNS = ("request_return", "receive_return", "reject_return")


# --- A real order in a state of the machine ----------------------------------------------------
def real_order(state: State) -> Order:
    order = Order(
        id=UUID(int=1),
        customer_id=UUID(int=2),
        order_number="2026-000001",
        currency="EUR",
        version=1,
        expires_at=NOW,
        confirmed_at=NOW if state.confirmed else None,
        processing_at=NOW if state.picking else None,
        completed_at=NOW if state.completed else None,
        delivered_at=NOW,
        hold_reason="other" if state.held else "",
        status=state.status,
        payments=deepcopy(PAYMENTS[state.money]),
        captured=PLENTY if state.money == Money.CAPTURED else Decimal(0),
    )
    for number, line in enumerate(state.lines):
        add_line(order, number, line)
    return order


PAYMENTS = {
    Money.NONE: {},
    Money.AUTHORIZED: {"p": {"authorized": str(PLENTY)}},
    Money.CAPTURED: {"p": {"captured": str(PLENTY)}},
    Money.GIVEN_BACK: {"p": {"authorized": str(PLENTY), "voided": str(PLENTY)}},
}


def add_line(order: Order, number: int, line: Line) -> None:
    row = OrderItem(
        id=line_id(number),
        number=number,
        product_id=UUID(int=3),
        sku=f"SAMPLE-{number}",
        unit_price=PRICE,
        ordered=line.ordered,
        cancelled=line.cancelled,
        packed=line.packed,
        shipped=line.shipped,
        delivered=line.delivered,
        failed=line.failed,
        return_requested=line.requested,
        returned=line.returned,
    )
    row.line_total = PRICE * row.owed
    order.lines[row.id] = row
    order.total += row.line_total
    for status, units in (("packed", line.packed), ("dispatched", line.in_transit)):
        if units:
            key = UUID(int=100 + 10 * number + len(order.shipments))
            items = [{"line_id": str(row.id), "quantity": units}]
            order.shipments[key] = Shipment(id=key, status=status, items=items)
    for index in range(line.requested):
        order.returns[str(UUID(int=200 + 10 * number + index))] = {str(row.id): 1}


def line_id(number: int) -> UUID:
    return UUID(int=10 + number)


# --- The moves of the machine on a real order --------------------------------------------------
def shipments(order: Order, number: int, status: str) -> list[UUID]:
    """Return the ids of the line's shipments in this status, or an unknown id without any."""
    line = str(line_id(number))
    ids = [
        shipment.id
        for shipment in order.shipments.values()
        if shipment.status == status and shipment.items[0]["line_id"] == line
    ]
    return ids or [UUID(int=999)]


def requested_return(order: Order, number: int) -> UUID:
    line = str(line_id(number))
    return UUID(next((key for key, units in order.returns.items() if line in units), str(line)))


def units_of(number: int, units: int) -> list[c.LineQuantity]:
    return [c.LineQuantity(line_id=line_id(number), quantity=units)]


def pay(kind: e.PaymentKind) -> Callable[[Order, int, int], None]:
    return lambda order, _number, _units: order.record_payment(
        "p", kind, PLENTY, happened_at=NOW, at=NOW
    )


def unpack(order: Order, number: int, _units: int) -> None:
    for shipment_id in shipments(order, number, "packed"):
        order.void_shipment(shipment_id, now=NOW)


def send(order: Order, number: int, _units: int) -> None:
    for shipment_id in shipments(order, number, "packed"):
        order.dispatch_shipment(shipment_id, now=NOW)


def arrive(order: Order, number: int, _units: int) -> None:
    for shipment_id in shipments(order, number, "dispatched"):
        order.deliver(shipment_id, at=NOW)


def get_lost(order: Order, number: int, *, resend: bool = False) -> None:
    for shipment_id in shipments(order, number, "dispatched"):
        order.fail_delivery(shipment_id, e.DeliveryFailure.LOST, resend=resend, at=NOW)


def request_return(order: Order, number: int, units: int) -> None:
    item = c.ReturnedLine(line_id=line_id(number), quantity=units, reason="other")
    order.request_return([item], return_id=UUID(int=300), now=NOW)


def receive_return(order: Order, number: int, units: int) -> None:
    item = c.ReceivedLine(line_id=line_id(number), restock=units)
    order.receive_return(requested_return(order, number), [item], now=NOW)


def pack(order: Order, number: int, units: int) -> None:
    order.pack(units_of(number, units), shipment_id=UUID(int=400), payment_required=True, now=NOW)


CALLS: dict[str, Callable[[Order, int, int], None]] = {
    "confirm": lambda order, *_: order.confirm(now=NOW),
    "start_processing": lambda order, *_: order.start_processing(now=NOW),
    "expire": lambda order, *_: order.expire(now=NOW),
    "cancel": lambda order, *_: order.cancel("Not needed", now=NOW),
    "hold": lambda order, *_: order.hold(e.HoldReason.OTHER, now=NOW),
    "release_hold": lambda order, *_: order.release_hold(now=NOW),
    "complete": lambda order, *_: order.complete(now=NOW),
    "authorize": pay(e.PaymentKind.AUTHORIZED),
    "capture": pay(e.PaymentKind.CAPTURED),
    "void": pay(e.PaymentKind.VOIDED),
    "refund": lambda order, *_: order.settle_refund(UUID(int=500), amount=PLENTY, at=NOW),
    "cancel_items": lambda order, number, units: order.cancel_items(
        units_of(number, units), "Not needed", now=NOW
    ),
    "change_quantity": lambda order, number, wanted: order.change_quantity(
        line_id(number), wanted, now=NOW
    ),
    "pack": pack,
    "unpack": unpack,
    "dispatch": send,
    "deliver": arrive,
    "fail": lambda order, number, _: get_lost(order, number),
    "resend": lambda order, number, _: get_lost(order, number, resend=True),
    "request_return": request_return,
    "receive_return": receive_return,
    "reject_return": lambda order, number, _: order.reject_return(
        requested_return(order, number), "Too late", now=NOW
    ),
}


# --- What holds in the machine -----------------------------------------------------------------
def check_ledger(state: State) -> None:
    for line in state.lines:
        assert min(line.open, line.in_transit, line.cancelled, line.returned) >= 0
        assert line.requested + line.returned <= line.delivered


def check_step(before: State, move: Move, after: State) -> None:
    if any(line.shipped for line in before.lines):
        assert after.status != OrderStatus.CANCELLED
    if before.status in (OrderStatus.CANCELLED, OrderStatus.COMPLETED):
        assert after.status == before.status
    # Units to be sent again are as if they had never left.
    if move[0] != "resend":
        assert RANK.index(after.status) >= RANK.index(before.status)
    assert after.status in LIVE or not after.held
