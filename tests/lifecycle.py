"""The lifecycle of an order as a small state machine: the oracle for the real Order.

It knows units only: no events, no time, and of money just its stage. ``moves`` lists the moves that
a state allows, with the state after each; ``reachable`` walks through all states of a small order.
``tests/unit/test_lifecycle.py`` compares the real Order with it.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

from ordering_write.domain.events import LIVE, OrderStatus
from ordering_write.models import Order

S = OrderStatus
PACKABLE = (S.CONFIRMED, S.PROCESSING, S.PARTIALLY_SHIPPED)


class Money(IntEnum):
    """The stage of the one payment of an order."""

    NONE = 0
    AUTHORIZED = 1
    CAPTURED = 2
    GIVEN_BACK = 3


@dataclass(frozen=True)
class Line:
    """The units of one line."""

    ordered: int
    cancelled: int = 0
    packed: int = 0
    shipped: int = 0
    delivered: int = 0
    failed: int = 0
    requested: int = 0
    returned: int = 0

    @property
    def open(self) -> int:
        return self.ordered - self.cancelled - self.packed - self.shipped

    @property
    def in_transit(self) -> int:
        return self.shipped - self.delivered - self.failed


@dataclass(frozen=True)
class State:
    """An order. It is cancelled when every unit is."""

    lines: tuple[Line, ...]
    confirmed: bool = False
    picking: bool = False
    held: bool = False
    completed: bool = False
    money: Money = Money.NONE

    @property
    def status(self) -> OrderStatus:
        if all(line.cancelled == line.ordered for line in self.lines):
            return S.CANCELLED
        if self.completed:
            return S.COMPLETED
        if not self.confirmed:
            return S.PENDING
        if not any(line.shipped for line in self.lines):
            return S.PROCESSING if self.picking else S.CONFIRMED
        if any(line.open + line.packed for line in self.lines):
            return S.PARTIALLY_SHIPPED
        arrived = any(line.delivered for line in self.lines)
        return S.DELIVERED if arrived and not self.in_transit else S.SHIPPED

    @property
    def in_transit(self) -> int:
        return sum(line.in_transit for line in self.lines)

    def settled(self) -> "State":
        """Return the same state, without a hold when nothing is left to hold."""
        return self if self.status in LIVE else replace(self, held=False)

    def each(self, change: Any) -> "State":
        return replace(self, lines=tuple(change(line) for line in self.lines))

    def with_line(self, number: int, **changes: int) -> "State":
        lines = list(self.lines)
        lines[number] = replace(lines[number], **changes)
        return replace(self, lines=tuple(lines))


# The name of a move, the number of a line, and a number of units.
Move = tuple[str, int, int]


def moves(state: State, *, most: int) -> dict[Move, State]:
    """Return the moves that ``state`` allows, with the state after each. Lines grow to ``most``."""
    found = {(name, 0, 0): after for name, after in _whole_order(state)}
    for number, line in enumerate(state.lines):
        for name, units, after in _one_line(state, number, line, most):
            found[name, number, units] = after
    return {move: after.settled() for move, after in found.items()}


def _whole_order(state: State) -> Iterator[tuple[str, State]]:
    status = state.status
    if status == S.PENDING and not state.held:
        yield "confirm", replace(state, confirmed=True)
    if status == S.CONFIRMED and not state.held:
        yield "start_processing", replace(state, picking=True)
    if status == S.PENDING and state.money in (Money.NONE, Money.GIVEN_BACK):
        yield "expire", state.each(lambda line: replace(line, cancelled=line.ordered))
    if status in (S.PENDING, S.CONFIRMED, S.PROCESSING):
        yield "cancel", state.each(lambda line: replace(line, cancelled=line.ordered, packed=0))
    if status in LIVE and not state.held:
        yield "hold", replace(state, held=True)
    if state.held:
        yield "release_hold", replace(state, held=False)
    expected = any(line.requested for line in state.lines)
    if status in (S.SHIPPED, S.DELIVERED) and not state.in_transit and not expected:
        yield "complete", replace(state, completed=True)
    # Payments and refunds are facts, recorded in every status.
    if state.money == Money.NONE:
        yield "authorize", replace(state, money=Money.AUTHORIZED)
    if state.money in (Money.NONE, Money.AUTHORIZED):
        yield "capture", replace(state, money=Money.CAPTURED)
    if state.money == Money.AUTHORIZED:
        yield "void", replace(state, money=Money.GIVEN_BACK)
    if state.money == Money.CAPTURED:
        yield "refund", replace(state, money=Money.GIVEN_BACK)


def _one_line(state: State, number: int, line: Line, most: int) -> Iterator[tuple[str, int, State]]:
    status = state.status
    if status in LIVE:
        for units in range(1, line.open + 1):
            after = state.with_line(number, cancelled=line.cancelled + units)
            yield "cancel_items", units, after
    if status in (S.PENDING, S.CONFIRMED):
        for wanted in (line.ordered - 1, line.ordered + 1):
            if max(1, line.cancelled + 1) <= wanted <= most:
                yield "change_quantity", wanted, state.with_line(number, ordered=wanted)
    is_paid = state.money in (Money.AUTHORIZED, Money.CAPTURED)
    if status in PACKABLE and not state.held and is_paid:
        for units in range(1, line.open + 1):
            after = state.with_line(number, packed=line.packed + units)
            yield "pack", units, replace(after, picking=True)
    if line.packed:
        yield "unpack", 0, state.with_line(number, packed=0)
        if not state.held:
            after = state.with_line(number, packed=0, shipped=line.shipped + line.packed)
            yield "dispatch", 0, after
    if line.in_transit:
        yield "deliver", 0, state.with_line(number, delivered=line.delivered + line.in_transit)
        yield "fail", 0, state.with_line(number, failed=line.failed + line.in_transit)
        yield "resend", 0, state.with_line(number, shipped=line.shipped - line.in_transit)
    if line.delivered > line.requested + line.returned:
        yield "request_return", 1, state.with_line(number, requested=line.requested + 1)
    if line.requested:
        after = state.with_line(number, requested=line.requested - 1)
        yield "reject_return", 1, after
        yield "receive_return", 1, after.with_line(number, returned=line.returned + 1)


def reachable(*units: int, most: int) -> Iterator[State]:
    """Yield every state that an order with a line for each of ``units`` can reach."""
    start = State(tuple(Line(ordered) for ordered in units))
    seen, waiting = {start}, deque([start])
    while waiting:
        state = waiting.popleft()
        yield state
        for after in moves(state, most=most).values():
            if after not in seen:
                seen.add(after)
                waiting.append(after)


def state_of(order: Order) -> State:
    """Return the state of the machine that a real order is in."""
    rows = order.lines.values()
    has_refund = order.refunded or any("voided" in kinds for kinds in order.payments.values())
    money = Money.NONE
    if has_refund:
        money = Money.GIVEN_BACK
    elif order.captured:
        money = Money.CAPTURED
    elif order.authorized:
        money = Money.AUTHORIZED
    return State(
        lines=tuple(
            Line(
                ordered=row.ordered,
                cancelled=row.cancelled,
                packed=row.packed,
                shipped=row.shipped,
                delivered=row.delivered,
                failed=row.failed,
                requested=row.return_requested,
                returned=row.returned,
            )
            for row in rows
        ),
        confirmed=order.confirmed_at is not None,
        picking=order.processing_at is not None,
        held=bool(order.hold_reason),
        completed=order.completed_at is not None,
        money=money,
    )
