"""A crash at every statement and COMMIT of commands, workers, policies, rebuilds and retries: after
a repetition everything is as if there had been no crash."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, count
from typing import Any

import pytest
from django.db import transaction

from config.databases import prepared
from config.workers import tasks
from ordering_read.engine import generations
from ordering_read.engine.rebuild import rebuild
from ordering_read.engine.verify import verify
from ordering_read.models import Projection
from ordering_read.projections.order_view import OrderProjection
from ordering_read.projections.sales_by_day import SalesByDayProjection
from ordering_write import log
from ordering_write.domain import commands as c
from ordering_write.domain.commands import Command
from ordering_write.domain.events import DomainEvent
from ordering_write.log import verification
from ordering_write.models import CommandRecord, EventPending, Order, OutboxEvent, Timer
from ordering_write.policies import timers
from ordering_write.ports.carrier import Tracking
from tests import kit
from tests.kit_crashes import DEATHS, Death, LostConnection, ProcessDeath, crash_everywhere
from tests.kit_invariants import check_everything, check_log, end_leases, let_workers_finish
from tests.kit_kinds import KINDS, LATER, Shop
from tests.kit_policies import (
    DAY,
    Carrier,
    Doubter,
    Gateway,
    Postman,
    later_event_types,
    plug,
    run_policies,
)
from tests.kit_projections import blocking, retry
from tests.proof import IS_PROOF, size

pytestmark = [pytest.mark.proof, pytest.mark.usefixtures("committed")]

# Each way to write is covered: new aggregates, several aggregates, rows of lines and of parcels.
SOME_KINDS = [
    (c.CreateOrder, LostConnection),
    (c.CancelOrder, ProcessDeath),
]
ALL_KINDS = [(kind, death_type) for kind in KINDS for death_type in DEATHS]

# Points from one crash to the next, for acts of many statements: each point in `make proof`.
PACE = size(47, full=1)
SLOW_PACE = size(151, full=1)
some_deaths = pytest.mark.parametrize("death_type", DEATHS[: size(1, full=2)])


def test_a_program_that_never_got_the_answer_to_a_commit_can_go_on_at_once() -> None:
    def work() -> None:
        with transaction.atomic(using="read"):
            prepared.fetch("read", "SELECT 1", [])

    def act() -> None:
        try:
            work()
        finally:
            work()

    points = crash_everywhere(lambda: (act, work), LostConnection)

    assert points[-1].endswith("after COMMIT")


# --- Commands ----------------------------------------------------------------------------------
@pytest.mark.parametrize(("kind", "death_type"), ALL_KINDS if IS_PROOF else SOME_KINDS)
def test_a_command_takes_effect_once(kind: type[Command], death_type: type[Death]) -> None:
    def prepare() -> tuple[Callable[[], Any], Callable[[], Any]]:
        command = Shop(kind).command(kind)
        return lambda: kit.dispatch(command), lambda: check_effect(command)

    points = crash_everywhere(prepare, death_type)

    assert any(point.endswith("before COMMIT") for point in points)
    assert any(point.endswith("after COMMIT") for point in points)
    log.sequence()
    check_log()


def check_effect(command: Command) -> None:
    events = kit.dispatch(command)
    assert events
    assert events.replayed
    assert CommandRecord.objects.filter(pk=command.command_id).count() == 1
    stored = OutboxEvent.objects.filter(command_id=command.command_id)
    assert stored.count() == len(events)
    [commit_id] = stored.values_list("commit_id", flat=True).distinct()
    assert EventPending.objects.filter(commit_id=commit_id).count() == 1
    for stream in {event.recorded.stream for event in events}:
        assert list(verification.verify(stream=stream, progress=lambda _: None)) == []


# --- Projections -------------------------------------------------------------------------------
@some_deaths
def test_a_worker_applies_each_event_once(death_type: type[Death]) -> None:
    shop = Shop(c.CancelOrder)
    let_workers_finish()

    def prepare() -> tuple[Callable[[], Any], Callable[[], Any]]:
        order = kit.placed_order(shop.customer, (shop.product, 1))
        kit.dispatch(kit.cancel(order))
        return tasks.project_all, let_workers_finish

    points = crash_everywhere(prepare, death_type, pace=PACE)

    assert len(points) > size(1, full=60)
    check_everything()


def rebuild_and_look() -> None:
    """Rebuild, and look after the workers; a crash may have left a generation half made."""
    for name in REBUILT:
        rebuild(name)


# Rows that belong to streams, and rows that mix them.
REBUILT = ("order_view", "sales_by_day")


@some_deaths
def test_a_rebuild_makes_the_same_rows(death_type: type[Death]) -> None:
    kit.placed_order(Shop(c.CancelOrder).customer, (kit.registered_product(), 1))
    let_workers_finish()

    def prepare() -> tuple[Callable[[], Any], Callable[[], Any]]:
        return rebuild_and_look, check_after_rebuild

    points = crash_everywhere(prepare, death_type, pace=SLOW_PACE)

    assert any("COPY" in point for point in points) or not IS_PROOF
    check_everything()


def check_after_rebuild() -> None:
    let_workers_finish()
    if IS_PROOF:
        check_everything()
    for name in REBUILT:
        building = Projection.objects.filter(name=name, status=Projection.Status.BUILDING)
        assert not building.exists()


@some_deaths
@pytest.mark.parametrize("act", ["roll_back", "discard_former", "verify"][: size(1, full=3)])
def test_readers_are_served_whole_rows(act: str, death_type: type[Death]) -> None:
    shop = Shop(c.CancelOrder)
    let_workers_finish()

    def prepare() -> tuple[Callable[[], Any], Callable[[], Any]]:
        let_workers_finish()
        generations.discard_expired()
        if not Projection.objects.filter(name="order_view", status="retired").exists():
            rebuild("order_view")
        kit.dispatch(kit.cancel(kit.placed_order(shop.customer, (shop.product, 1))))
        return ACTS[act], check_after_rebuild

    crash_everywhere(prepare, death_type, pace=SLOW_PACE)

    check_everything()


def discard_former_once() -> None:
    try:
        generations.discard_former("order_view")
    except generations.NoFormerGenerationError:
        # The crash came after the last step.
        assert Projection.objects.filter(name="order_view").count() <= 2


ACTS: dict[str, Callable[[], Any]] = {
    "roll_back": lambda: generations.roll_back("order_view"),
    "discard_former": discard_former_once,
    "verify": lambda: verify("order_view", repaired_by="operator"),
}


# --- Parked events -----------------------------------------------------------------------------
@some_deaths
def test_a_retry_applies_parked_events_once(
    death_type: type[Death], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop(c.CancelOrder)
    let_workers_finish()

    def prepare() -> tuple[Callable[[], Any], Callable[[], Any]]:
        order = kit.placed_order(shop.customer, (shop.product, 1))
        with refusing(monkeypatch):
            let_workers_finish()
        kit.dispatch(kit.cancel(order))
        let_workers_finish()
        return lambda: retry(blocking()), let_workers_finish

    points = crash_everywhere(prepare, death_type, pace=PACE)

    assert points
    check_everything()


@pytest.mark.parametrize("death_type", DEATHS[::-1][: size(1, full=2)])
def test_a_worker_parks_an_event_once(
    death_type: type[Death], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop(c.CancelOrder)
    let_workers_finish()

    def prepare() -> tuple[Callable[[], Any], Callable[[], Any]]:
        order = kit.placed_order(shop.customer, (shop.product, 1))

        def act() -> None:
            with refusing(monkeypatch):
                tasks.project_all()
            # A lost connection is no failure of a projection.
            errors = Projection.objects.exclude(error="").values_list("error", flat=True)
            assert {error.partition(":")[0] for error in errors} <= {"OperationalError"}

        def check() -> None:
            with refusing(monkeypatch):
                let_workers_finish()
            assert blocking(stream=order.stream).count() == 2
            retry(blocking())

        return act, check

    # A failing batch is undone by its savepoint, and nothing else of the transaction.
    at = "" if IS_PROOF else "ROLLBACK TO"
    points = crash_everywhere(prepare, death_type, pace=size(5, full=1), at=at)

    assert points
    check_everything()


@contextmanager
def refusing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let two projections refuse all events: one by streams, and one that mixes them."""
    with monkeypatch.context() as patch:
        for projection in (OrderProjection, SalesByDayProjection):
            patch.setattr(projection, "apply", refuse)
        yield


def refuse(_projector: Any, _batch: Sequence[DomainEvent], _projection_id: int) -> None:
    raise ValueError("no such colour")


# --- Policies ----------------------------------------------------------------------------------
def cancel_paid(shop: Shop) -> None:
    """Cancel an order after a capture and an authorization: a refund is paid, the rest is void."""
    shop.give(c.RecordPayment)
    shop.give(c.RecordPayment, kind="authorized", payment_id="payment-2")
    shop.give(c.CancelOrder)


def pay(shop: Shop) -> None:
    """Pay an order, which is confirmed."""
    shop.give(c.RecordPayment)


def expire(_shop: Shop) -> None:
    """Leave an order unpaid until its time is over; the shop doubts it meanwhile."""


def pack(shop: Shop) -> None:
    """Pack an authorized order, whose parcel is booked."""
    shop.give(c.RecordPayment, kind="authorized")
    shop.give(c.ConfirmOrder)
    shop.give(c.CreateShipment)


def send(shop: Shop) -> None:
    """Dispatch an authorized order: it is captured and tracked, and completed in the end."""
    pack(shop)
    shop.give(c.DispatchShipment)


def exchange(shop: Shop) -> None:
    """Exchange goods for cheaper ones: the order is placed, and the difference refunded."""
    shop.give(c.RecordPayment)
    for kind in (c.ConfirmOrder, c.CreateShipment, c.DispatchShipment, c.ConfirmDelivery):
        shop.give(kind)
    shop.give(c.RequestReturn, exchange=True)
    shop.give(c.ReceiveReturn)


STORIES = (cancel_paid, pay, expire, pack, send, exchange)
ADAPTERS: dict[str, Any] = {"payment": Gateway, "carrier": Carrier, "notifier": Postman}


@pytest.mark.parametrize("death_type", DEATHS[: size(1, full=2)])
@pytest.mark.parametrize("story", STORIES[: size(1, full=6)])
def test_a_policy_acts_once(
    story: Callable[[Shop], None], death_type: type[Death], settings: Any
) -> None:
    settings.CONFIRM_WHEN_PAID, settings.CAPTURE_ON = True, "dispatch"
    settings.REFUND_CREDIT, settings.COMPLETE_AFTER_DAYS = "cancelled_and_returned", 14
    adapters = ADAPTERS | ({"risk": Doubter} if story is expire else {})
    plug(settings, **adapters)
    Carrier.answers = {"track": Tracking(delivered_at=LATER + DAY)}
    turns = count()

    def work() -> None:
        # The leases of a worker that died are over.
        end_leases()
        run_policies(LATER + 60 * DAY + timers.LEASE * next(turns))

    def tell() -> Shop:
        shop = Shop(c.CancelOrder)
        story(shop)
        return shop

    def events_of(shop: Shop) -> list[str]:
        # Policies that are due at the same time act in any order.
        orders = Order.objects.filter(customer_id=shop.customer.pk)
        return sorted(event for order in orders for event in later_event_types(order))

    def keys() -> int:
        return len(set(chain.from_iterable(adapter.keys() for adapter in adapters.values())))

    undisturbed = tell()
    work()
    expected, keys_of_one = events_of(undisturbed), keys()
    assert set(expected) & ENDS[story.__name__], expected

    def prepare() -> tuple[Callable[[], Any], Callable[[], Any]]:
        shop = tell()

        def check() -> None:
            assert events_of(shop) == expected
            assert not Timer.objects.exists()

        return work, check

    points = crash_everywhere(prepare, death_type, pace=PACE)

    assert len(points) > size(1, full=20)
    # Other systems were asked again with the same key only.
    orders = 2 + len(points)
    assert keys() == keys_of_one * orders
    log.sequence()
    check_log()


# An event that only the policies of a story can have caused.
ENDS = {
    "cancel_paid": {"RefundSettled"},
    "pay": {"OrderStatusChanged"},
    "expire": {"OrderCancelled"},
    "pack": {"TrackingUpdated"},
    "send": {"ShipmentDelivered"},
    "exchange": {"OrderReplaced"},
}
