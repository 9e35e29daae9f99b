"""Everything at once, at random: commands of all kinds, parallel clients and workers, deaths,
rebuilds, promotions, parked events and jumps of the clock, with the lifecycle as the oracle."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine
from pydantic import ValidationError

from config.workers import tasks
from ordering_read.engine import generations
from ordering_read.engine.rebuild import rebuild
from ordering_read.models import Projection
from ordering_read.projections.order_view import OrderProjection
from ordering_read.projections.sales_by_day import SalesByDayProjection
from ordering_read.projector import registered
from ordering_write.domain import commands as c
from ordering_write.domain.commands import Command
from ordering_write.domain.errors import (
    ConcurrentUpdateError,
    DomainError,
    IdempotencyInFlightError,
    IdempotencyKeyReusedError,
)
from ordering_write.domain.events import DomainEvent
from ordering_write.policies import timers
from ordering_write.subscriptions import lease
from tests import kit
from tests.databases import empty_databases
from tests.kit_crashes import LostConnection, ProcessDeath, act_until
from tests.kit_invariants import check_everything, end_leases, is_level, let_workers_finish
from tests.kit_kinds import KINDS, Shop
from tests.kit_moves import KINDS as MOVE_KINDS
from tests.kit_moves import NAMES, commands_of, may_race
from tests.kit_projections import blocking, retry
from tests.kit_statements import Session, observer
from tests.lifecycle import Line, Move, State, moves, state_of
from tests.parallel import at_once
from tests.proof import size

pytestmark = [pytest.mark.proof, pytest.mark.usefixtures("committed")]

# In parts, so that a stopped proof goes on after the last one.
PARTS, RUNS, STEPS = size(1, full=40), size(2, full=50), size(15, full=50)
# The most units of a line.
MOST = 3
MOST_ORDERS = 3
# Their effects are moves of the oracle, or they end a customer or a product.
_APART = {*MOVE_KINDS, c.CreateOrder, c.EraseCustomer, c.DiscontinueStockItem}
OTHER_KINDS = [kind for kind in KINDS if kind not in _APART]

numbers = st.integers(min_value=0, max_value=1_000)
GIVEN_UP = (ConcurrentUpdateError, IdempotencyInFlightError)

deaths = st.sampled_from([None, None, ProcessDeath, LostConnection])


class Machine(RuleBasedStateMachine):
    """A shop of up to three orders, and what clients, workers and operators do."""

    session: Session
    # Streams whose events the poisoned projections refuse, and the seconds by which clocks are off.
    poisoned: set[str] = set()
    offset = timedelta()

    def __init__(self) -> None:
        super().__init__()
        empty_databases()
        self.shops: list[Shop] = []
        self.given: list[Command] = []
        Machine.poisoned.clear()
        Machine.offset = timedelta()

    @initialize()
    def open(self) -> None:
        self.place()

    @precondition(lambda self: len(self.shops) < MOST_ORDERS)
    @rule()
    def place(self) -> None:
        self.shops.append(Shop(c.CancelOrder))

    # --- Clients -------------------------------------------------------------------------------
    @rule(order=numbers, choice=numbers, death=deaths, point=st.integers(1, 16))
    def make_a_move(self, order: int, choice: int, death: Any, point: int) -> None:
        """Give the commands of a move that the oracle allows; the client may die, and repeats."""
        shop, state = self._shop(order)
        allowed = moves(state, most=MOST)
        if not allowed:
            return
        move = sorted(allowed)[choice % len(allowed)]
        for command in commands_of(move, kit.stored(shop.order.stream)):
            if death:
                act_until(death(point), partial(kit.dispatch, command), self.session)
            assert self._give(command), move
        assert self._state(shop) == allowed[move], (state, move)

    @rule(order=numbers, choice=numbers, units=st.integers(1, MOST))
    def make_a_wrong_move(self, order: int, choice: int, units: int) -> None:
        shop, state = self._shop(order)
        wrong = sorted(NAMES - {name for name, *_ in moves(state, most=MOST)})
        move = wrong[choice % len(wrong)], 0, units
        [command, *_] = commands_of(move, kit.stored(shop.order.stream))
        with pytest.raises(DomainError):
            kit.dispatch(command)
        assert self._state(shop) == state, move

    @rule(order=numbers, kind=st.sampled_from(OTHER_KINDS))
    def give_another_command(self, order: int, kind: type[Command]) -> None:
        shop, state = self._shop(order)
        try:
            self._give(shop.command(kind))
        except ValidationError:
            # The order lacks the part that the command is about.
            return
        except DomainError:
            assert self._state(shop) == state, kind
            return
        with_line = replace(state, lines=(*state.lines, Line(1)))
        possible = [state, with_line, *moves(state, most=MOST).values()]
        assert self._state(shop) in possible, (kind, state)

    @rule(order=numbers, choices=st.tuples(numbers, numbers))
    def race(self, order: int, choices: tuple[int, int]) -> None:
        """Make two moves at once: the result is that of one after the other."""
        shop, state = self._shop(order)
        allowed = sorted(moves(state, most=MOST))
        if not allowed:
            return
        first, second = (allowed[choice % len(allowed)] for choice in choices)
        pair, stored = (first, second), kit.stored(shop.order.stream)
        if not may_race(pair, stored):
            return
        results = at_once(
            [
                partial(kit.dispatch, command)
                for move in pair
                for command in commands_of(move, stored)
            ]
        )
        for result in results:
            assert isinstance(result, (list, DomainError)), result
        if any(isinstance(result, GIVEN_UP) for result in results):
            return
        accepted = [not isinstance(result, DomainError) for result in results]
        possible = [serially(state, pair, turns) for turns in ((0, 1), (1, 0))]
        assert (accepted, self._state(shop)) in possible, (state, pair)

    @precondition(lambda self: self.given)
    @rule(choice=numbers)
    def repeat_a_command(self, choice: int) -> None:
        command = self.given[choice % len(self.given)]
        assert kit.dispatch(command).replayed

    @precondition(lambda self: self.given)
    @rule(choice=numbers)
    def use_a_key_again(self, choice: int) -> None:
        key = self.given[choice % len(self.given)].command_id
        with pytest.raises(IdempotencyKeyReusedError):
            kit.dispatch(c.RegisterCustomer(command_id=key, name="Other", email="o@example.com"))

    # --- Workers -------------------------------------------------------------------------------
    @rule(death=deaths, point=st.integers(1, 80))
    def work(self, death: Any, point: int) -> None:
        """Let a worker take a turn, which it may not survive. No other wake-up comes through."""
        states = self._states()
        self._perhaps_dying(tasks.project_all, death, point)
        self._check_policies(states)

    @rule()
    def wake_two_workers(self) -> None:
        assert at_once([tasks.project_all, tasks.project_all]) == [None, None]

    @rule()
    def wait_for_leases(self) -> None:
        end_leases()

    @rule(hours=st.sampled_from([-1, 1, 24 * 365]))
    def move_the_clock(self, hours: int) -> None:
        Machine.offset += timedelta(hours=hours)

    # --- Operators -----------------------------------------------------------------------------
    @rule(name=st.sampled_from(sorted(registered())), death=deaths, point=st.integers(1, 150))
    def rebuild(self, name: str, death: Any, point: int) -> None:
        def act() -> None:
            try:
                rebuild(name)
            except generations.IncompleteError:
                assert Machine.poisoned

        self._perhaps_dying(act, death, point)

    @rule(name=st.sampled_from(sorted(registered())), death=deaths, point=st.integers(1, 30))
    def roll_back(self, name: str, death: Any, point: int) -> None:
        if Projection.objects.filter(name=name, status=Projection.Status.RETIRED).exists():
            self._perhaps_dying(partial(generations.roll_back, name), death, point)

    @rule(order=numbers)
    def poison(self, order: int) -> None:
        """Let two projections refuse the next events of an order."""
        Machine.poisoned.add(self._shop(order)[0].order.stream)

    @rule()
    def heal(self) -> None:
        Machine.poisoned.clear()
        retry(blocking())

    # --- The end -------------------------------------------------------------------------------
    def teardown(self) -> None:
        states = self._states()
        let_workers_finish()
        self.heal()
        for unfinished in Projection.objects.filter(status=Projection.Status.BUILDING):
            # Refused if an event was parked before it was healed; the next one begins anew.
            with suppress(generations.IncompleteError):
                rebuild(unfinished.name)
        self._check_policies(states)
        assert is_level()
        check_everything()

    def _perhaps_dying(self, act: Callable[[], Any], death: Any, point: int) -> None:
        if death:
            act_until(death(point), act, self.session)
        else:
            act()

    def _give(self, command: Command) -> Sequence[DomainEvent]:
        events = kit.dispatch(command)
        self.given.append(command)
        return list(events)

    def _shop(self, number: int) -> tuple[Shop, State]:
        shop = self.shops[number % len(self.shops)]
        return shop, self._state(shop)

    def _state(self, shop: Shop) -> State:
        order = kit.stored(shop.order.stream)
        state = state_of(order)
        assert order.status == state.status
        return state

    def _states(self) -> list[State]:
        return [self._state(shop) for shop in self.shops]

    def _check_policies(self, states: Sequence[State]) -> None:
        """Check that no policy has moved an order, but for the expiry of unpaid ones."""
        for before, after in zip(states, self._states(), strict=True):
            assert after in (before, moves(before, most=MOST).get(("expire", 0, 0)))


def serially(
    state: State, pair: tuple[Move, Move], turns: tuple[int, int]
) -> tuple[list[bool], State]:
    """Return which of two moves, one after the other, the oracle allows, and the state after."""
    accepted = [False, False]
    for turn in turns:
        after = moves(state, most=MOST).get(pair[turn])
        if after is not None:
            accepted[turn], state = True, after
    return accepted, state


class Clock(datetime):
    """The clock of the policies, which operators move."""

    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return kit.NOW + Machine.offset


def refusing(apply: Callable[..., None]) -> Callable[..., None]:
    """Return ``apply`` of a projection, which refuses the events of poisoned streams."""

    def apply_or_refuse(projector: Any, batch: Sequence[DomainEvent], projection_id: int) -> None:
        if any(event.recorded.stream in Machine.poisoned for event in batch):
            raise ValueError("no such colour")
        apply(projector, batch, projection_id)

    return apply_or_refuse


@pytest.mark.parametrize("part", range(PARTS))
def test_nothing_is_lost_or_done_twice(
    part: int, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.PAYMENT_BEFORE_PACKING = True
    for module in (lease, timers):
        monkeypatch.setattr(module, "datetime", Clock)
    for projection in (OrderProjection, SalesByDayProjection):
        monkeypatch.setattr(projection, "apply", refusing(projection.apply))
    # No shrinking: it takes hours with a database, and a run of 50 steps is readable.
    options = hypothesis.settings(
        max_examples=RUNS,
        stateful_step_count=STEPS,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
        deadline=None,
        database=None,
    )
    with observer() as session:
        Machine.session = session
        run_machine(hypothesis.seed(part)(Machine), settings=options)
