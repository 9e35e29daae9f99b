"""Timers: each takes effect once, even if workers are killed, fail, repeat or run concurrently."""

import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any
from uuid import uuid4, uuid5

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection, connections
from django_q.signing import SignedPackage

from config.workers import tasks
from config.workers.broker import ProjectionBroker
from ordering_write import log, policies
from ordering_write.domain import commands as c
from ordering_write.domain.errors import ConcurrentUpdateError, ReservedCommandIdError
from ordering_write.domain.events import PaymentKind, PaymentRecorded
from ordering_write.domain.service_ids import is_service_id
from ordering_write.models import (
    CommandRecord,
    OutboxEvent,
    Timer,
)
from ordering_write.policies import SUBSCRIPTION, timers
from ordering_write.policies.models import PolicyCheckpoint, PolicyParkedEvent
from tests import kit
from tests.acceptance.service import wait_until
from tests.kit import NOW
from tests.kit_crashes import Crash
from tests.kit_policies import (
    HOUR,
    Gateway,
    Postman,
    give,
    later_event_types,
    new_order,
    plug,
    run_policies,
)
from tests.proof import size

pytestmark = pytest.mark.usefixtures("db")

ORDERS = size(12, full=30)


def timer(policy: str) -> Timer:
    return Timer.objects.get(policy=policy)


def order_with_refund_request() -> Any:
    """Return an order with a requested refund."""
    order = new_order()
    give(c.RecordPayment, order, payment_id="pay-1", kind="captured", amount="39.80")
    give(c.RequestRefund, order, amount="5.00", reason="late")
    return order


# --- Once --------------------------------------------------------------------------------------
def test_an_event_sets_each_timer_once_and_a_timer_stays_until_it_has_fired():
    order = new_order(reserve_for=HOUR)

    SUBSCRIPTION.set_timers()
    SUBSCRIPTION.set_timers()

    assert Counter(Timer.objects.values_list("policy", flat=True)) == {
        "expire_unpaid": 1,
        "tell_customers": 1,
    }
    assert timer("expire_unpaid").due_at == NOW + HOUR
    assert timer("expire_unpaid").stream == order.stream
    assert policies.run_due(now=NOW) == 1
    assert policies.run_due(now=NOW) == 0
    assert timer("expire_unpaid").tries == 0


def test_a_timer_that_fires_again_changes_nothing(settings: Any):
    plug(settings, payment=Gateway)
    order = order_with_refund_request()
    SUBSCRIPTION.set_timers()
    again = list(Timer.objects.all())
    run_policies(NOW)
    before = later_event_types(order)
    assert before[-1] == "RefundSettled"

    # Stands for a worker that was killed after its commands and before it deleted the timer.
    for repeated in again:
        repeated.save(force_insert=True)
    run_policies(NOW)

    assert later_event_types(order) == before
    assert not Timer.objects.exists()


def test_a_policy_that_acted_before_with_another_payload_has_acted(settings: Any):
    settings.RESERVE_FOR_HOURS = 1
    order = new_order()
    SUBSCRIPTION.set_timers()
    [again] = Timer.objects.filter(policy="expire_unpaid")
    run_policies(NOW + HOUR)
    record = CommandRecord.objects.get(pk=again.pk)
    CommandRecord.objects.filter(pk=again.pk).update(fingerprint="of another payload")

    again.save(force_insert=True)
    run_policies(NOW + HOUR)
    CommandRecord.objects.all().delete()
    again.save(force_insert=True)
    run_policies(NOW + HOUR)

    assert later_event_types(order) == ["OrderCancelled"]
    assert record.type == "ExpireOrder"
    assert not Timer.objects.exists()


def test_nobody_takes_the_id_of_a_command_that_a_policy_will_give(settings: Any):
    settings.RESERVE_FOR_HOURS = 1
    order = new_order()
    SUBSCRIPTION.set_timers()
    for policy_timer in Timer.objects.all():
        with pytest.raises(ReservedCommandIdError):
            give(c.AddNote, order, text="Mine", command_id=policy_timer.pk)

    run_policies(NOW + HOUR)

    assert later_event_types(order) == ["OrderCancelled"]


def test_the_ids_of_a_policy_s_steps_are_reserved_too(settings: Any):
    plug(settings, payment=Gateway)
    order = new_order()
    for number in (1, 2):
        give(
            c.RecordPayment,
            order,
            payment_id=f"pay-{number}",
            kind="authorized",
            amount="39.80",
        )
    give(c.CancelOrder, order, reason="Not needed")

    run_policies(NOW)

    ids = [
        event.recorded.command_id
        for event in log.read_stream(order.stream)
        if isinstance(event, PaymentRecorded) and event.kind == PaymentKind.VOIDED
    ]
    assert len(set(ids)) == 2
    assert all(map(is_service_id, ids))


def timer_of_an_earlier_release(policy: str) -> Timer:
    """Return the timer of ``policy`` with an id as earlier releases derived it."""
    former = timer(policy)
    Timer.objects.all().delete()
    former.id = uuid5(former.event_id, policy)
    former.save(force_insert=True)
    return former


def test_a_timer_of_an_earlier_release_gives_the_command_of_that_release(settings: Any):
    settings.RESERVE_FOR_HOURS = 1
    order = new_order()
    SUBSCRIPTION.set_timers()
    former = timer_of_an_earlier_release("expire_unpaid")

    for _ in range(2):
        policies.run_due(now=NOW + HOUR)
        assert later_event_types(order) == ["OrderCancelled"]
        former.save(force_insert=True)

    assert CommandRecord.objects.get(pk=former.pk).type == "ExpireOrder"


def test_a_policy_reports_a_command_of_somebody_else_with_its_id(settings: Any):
    settings.RESERVE_FOR_HOURS = 1
    order = new_order()
    SUBSCRIPTION.set_timers()
    former = timer_of_an_earlier_release("expire_unpaid")
    give(c.AddNote, order, text="Mine", command_id=former.pk)

    for pruned in (False, True):
        if pruned:
            CommandRecord.objects.all().delete()
        Timer.objects.update(tries=timers.TRIES - 1, parked_at=None, leased_until=None)
        policies.run_due(now=NOW + HOUR)
        [parked] = policies.parked_timers()
        assert parked.error.startswith("ForeignCommandError: Somebody else")
    assert later_event_types(order) == ["NoteAdded"]


@pytest.mark.proof
def test_many_workers_fire_each_timer_once(committed: None, settings: Any):
    plug(settings, notifier=Postman)
    for _ in range(ORDERS):
        new_order(reserve_for=HOUR)
    SUBSCRIPTION.set_timers()

    def work() -> None:
        policies.run_due(now=NOW + HOUR)
        connections.close_all()

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert len(Postman.requests) == len(set(Postman.keys())) == ORDERS
    assert OutboxEvent.objects.filter(type="OrderCancelled").count() == ORDERS
    assert not Timer.objects.exists()


# --- Killed ------------------------------------------------------------------------------------
def test_a_timer_that_kills_its_workers_is_parked(
    committed: None, settings: Any, monkeypatch: pytest.MonkeyPatch
):
    plug(settings, notifier=Postman)
    new_order()
    SUBSCRIPTION.set_timers()

    def kill(*_args: Any, **_kwargs: Any) -> None:
        raise Crash

    monkeypatch.setattr(Postman, "send", kill)
    now = NOW
    for _ in range(timers.TRIES):
        with pytest.raises(Crash):
            policies.run_due(now=now)
        assert policies.run_due(now=now + timers.LEASE / 2) == 0
        now += timers.LEASE

    policies.run_due(now=now)

    given_up = timer("tell_customers")
    assert given_up.parked_at == now
    assert "was killed" in given_up.error


# --- Failing -----------------------------------------------------------------------------------
def test_a_failing_timer_is_retried_with_growing_pauses_and_then_parked(
    settings: Any, caplog: pytest.LogCaptureFixture
):
    plug(settings, payment=Gateway)
    Gateway.answers["refund"] = ConnectionError("the gateway is away\nits secrets")
    order = order_with_refund_request()
    SUBSCRIPTION.set_timers()

    now, pauses = NOW, []
    while timer("pay_refunds").parked_at is None:
        policies.run_due(now=now)
        waiting = timer("pay_refunds")
        assert waiting.error == "ConnectionError: the gateway is away"
        if waiting.leased_until and waiting.parked_at is None:
            assert policies.run_due(now=waiting.leased_until - timedelta(seconds=1)) == 0
            pauses.append(waiting.leased_until - now)
            now = waiting.leased_until

    assert pauses[:3] == [timedelta(seconds=1), timedelta(seconds=2), timedelta(seconds=4)]
    assert max(pauses) == HOUR
    assert len(pauses) == timers.TRIES - 1
    levels = [line.levelname for line in caplog.records if line.name == timers.__name__]
    assert levels == ["WARNING", "ERROR"]
    assert len(set(Gateway.keys())) == 1

    Gateway.answers.clear()
    assert policies.run_due(now=now + 2 * HOUR) == 0
    assert policies.retry() == 1
    run_policies(now)
    assert later_event_types(order)[-1] == "RefundSettled"


def test_a_failing_timer_delays_no_other(settings: Any):
    plug(settings, payment=Gateway, notifier=Postman)
    Gateway.answers["refund"] = ConnectionError("the gateway is away")
    order_with_refund_request()

    run_policies(NOW)

    assert len(Postman.requests) == 1


def test_a_timer_whose_command_loses_a_race_is_retried(monkeypatch: pytest.MonkeyPatch):
    order = new_order(reserve_for=HOUR)
    SUBSCRIPTION.set_timers()
    with monkeypatch.context() as patch:
        patch.setattr(timers, "get_command_bus", Contended)
        policies.run_due(now=NOW + HOUR)
    assert later_event_types(order) == []

    run_policies(NOW + HOUR + timedelta(seconds=1))

    assert later_event_types(order) == ["OrderCancelled"]


class Contended:
    """A bus on which every command loses its race."""

    def dispatch(self, command: c.Command) -> None:
        raise ConcurrentUpdateError


def test_a_database_outage_is_no_failure_of_a_timer(settings: Any, monkeypatch: pytest.MonkeyPatch):
    plug(settings, notifier=Postman)
    Postman.answers["send"] = OperationalError("the database is away")
    new_order()
    SUBSCRIPTION.set_timers()

    with pytest.raises(OperationalError):
        policies.run_due(now=NOW)

    Postman.answers.clear()
    assert timer("tell_customers").error == ""
    run_policies(NOW + timers.LEASE)
    assert not Timer.objects.exists()


def test_a_worker_gives_back_timers_that_it_has_no_time_for(monkeypatch: pytest.MonkeyPatch):
    for _ in range(3):
        new_order()
    SUBSCRIPTION.set_timers()
    monkeypatch.setattr(timers, "_BATCH_SECONDS", -1.0)

    assert policies.run_due(now=NOW, seconds=0.01) == 0

    assert set(Timer.objects.values_list("tries", "leased_until")) == {(0, None)}


def test_timers_of_a_removed_policy_stay():
    new_order()
    SUBSCRIPTION.set_timers()
    Timer.objects.filter(policy="tell_customers").update(policy="tell_by_pigeon")

    run_policies(NOW)

    assert list(Timer.objects.values_list("policy", flat=True)) == ["tell_by_pigeon"]
    assert policies.policy_statuses()[-1].name == "tell_by_pigeon"


def test_an_unreadable_event_parks_the_stream_of_its_order_only():
    bad, good = new_order(), new_order()
    spoil_or_restore(bad.stream, '{"nonsense": 1}')

    run_policies(NOW)

    assert policies.status().parked_streams == 1
    out = StringIO()
    call_command("policies", stdout=out)
    [parked] = policies.parked_events()
    assert f"parked: OrderCreated {parked.event_id} ({bad.stream}, " in out.getvalue()
    assert not Timer.objects.exists()
    spoil_or_restore(bad.stream, None)
    # At least OrderCreated; most policies ignore the events of its lines.
    assert policies.retry() >= 1
    assert policies.status().parked_streams == 0
    assert set(Timer.objects.values_list("stream", flat=True)) == {bad.stream}
    assert later_event_types(good) == []


_KEPT: dict[str, Any] = {}


def spoil_or_restore(stream: str, data: str | None) -> None:
    """Replace the data of the first event of ``stream``; None restores them."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("SELECT data::text FROM event WHERE stream = %s AND version = 1", [stream])
        before = _KEPT.setdefault(stream, cursor.fetchone()[0])
        cursor.execute(
            "UPDATE event SET data = %s WHERE stream = %s AND version = 1", [data or before, stream]
        )
        cursor.execute("SET session_replication_role = DEFAULT")


# --- The workers -------------------------------------------------------------------------------
@pytest.fixture
def broker() -> Any:
    broker = ProjectionBroker("orders")
    yield broker
    if broker._listener is not None:
        broker._listener.close()


def handed_out(broker: ProjectionBroker) -> list[tuple[str, ...]]:
    return [SignedPackage.loads(task)["args"] for _id, task in broker.dequeue() or []]


def test_the_broker_hands_out_the_policies_when_the_log_has_grown(
    committed: None, broker: ProjectionBroker
):
    new_order()

    assert handed_out(broker).count(("policies", "policies")) == 1
    # The worker has some time to begin.
    assert not SUBSCRIPTION.lease().behind

    tasks.run("policies")

    assert not Timer.objects.exists()
    assert policies.status().lag_events == 0
    assert not SUBSCRIPTION.lease().behind


def test_the_broker_hands_out_the_policies_when_a_timer_is_due(committed: None):
    new_order(timestamp=datetime.now(UTC), reserve_for=timedelta(seconds=2))
    SUBSCRIPTION.run()
    assert not SUBSCRIPTION.lease().behind

    wait_until(lambda: SUBSCRIPTION.lease().behind)

    tasks.run("policies")
    assert OutboxEvent.objects.filter(type="OrderCancelled").exists()


def test_a_lost_runner_of_the_policies_is_replaced(monkeypatch: pytest.MonkeyPatch):
    new_order()
    assert SUBSCRIPTION.lease().behind
    PolicyCheckpoint.objects.update(leased_until=datetime.now(UTC) - timedelta(seconds=1))

    assert SUBSCRIPTION.lease().behind
    SUBSCRIPTION.run()

    assert not Timer.objects.exists()


def test_one_run_fires_the_timers_that_follow_from_its_own_commands(settings: Any):
    plug(settings, payment=Gateway, notifier=Postman)
    order = new_order()
    give(c.RecordPayment, order, payment_id="pay-1", kind="captured", amount="39.80")
    kit.dispatch(kit.cancel(order))

    SUBSCRIPTION.run(seconds=60)

    assert later_event_types(order)[2:] == ["RefundRequested", "RefundSettled"]
    assert [str(notice.kind) for notice in Postman.calls("send")] == [
        "placed",
        "cancelled",
        "refunded",
    ]


def test_the_task_of_the_orm_broker_runs_the_policies():
    order = new_order(reserve_for=HOUR)

    tasks.project_all()

    assert later_event_types(order) == ["OrderCancelled"]


def test_idle_policies_cost_one_statement(django_assert_num_queries: Any):
    new_order()
    SUBSCRIPTION.run()
    head = log.head()

    with django_assert_num_queries(1):
        assert not SUBSCRIPTION.lease(head=head).behind


# --- What an operator sees ---------------------------------------------------------------------
def test_the_command_lists_the_policies(settings: Any):
    plug(settings, payment=Gateway)
    Gateway.answers["refund"] = ConnectionError("the gateway is away")
    order_with_refund_request()
    new_order(reserve_for=timedelta(days=365), timestamp=datetime.now(UTC))
    SUBSCRIPTION.run()
    out = StringIO()

    call_command("policies", stdout=out)

    lines = {line.split()[0]: line.split() for line in out.getvalue().splitlines() if line}
    assert lines["expire_unpaid"][1:5] == ["1", "0", "0", "0"]
    assert lines["pay_refunds"][1:5] == ["0", "1", "1", "0"]
    assert "ConnectionError: the gateway is away" in out.getvalue()
    call_command("policies", fail_over=60, stdout=out)
    with pytest.raises(CommandError, match="--fail-over must be 0 or more"):
        call_command("policies", fail_over=float("nan"))

    Timer.objects.update(parked_at=datetime.now(UTC))
    with pytest.raises(CommandError, match="parked"):
        call_command("policies", fail_over=60, stdout=out)
    call_command("policies", retry=True, stdout=out)
    assert "2 events and timers" in out.getvalue()
    call_command("policies", fail_over=60, stdout=out)


def skip(skipped_id: Any, reason: str = "Paid out by hand") -> str:
    out = StringIO()
    call_command("policies", "--skip", str(skipped_id), "--reason", reason, stdout=out)
    return out.getvalue()


def test_a_parked_timer_is_skipped_for_good(settings: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LOGNAME", "robin")
    plug(settings, payment=Gateway)
    order = order_with_refund_request()
    SUBSCRIPTION.set_timers()
    refund = timer("pay_refunds")
    for wrong in (refund.pk, uuid4()):
        # This timer isn't parked yet, and the other one doesn't exist.
        with pytest.raises(CommandError, match="neither an event nor a timer"):
            skip(wrong)
    Timer.objects.filter(pk=refund.pk).update(parked_at=NOW, error="ConnectionError: away")
    with pytest.raises(CommandError, match="--reason: String should have at least 1 character"):
        skip(refund.pk, reason=" ")

    assert f"{refund.pk} is skipped." in skip(refund.pk)

    skipped = timer("pay_refunds")
    assert (skipped.skipped_by, skipped.skip_reason) == ("command line (robin)", "Paid out by hand")
    with pytest.raises(CommandError, match="neither an event nor a timer"):
        skip(refund.pk)
    assert policies.retry() == 0
    run_policies(NOW)
    assert "RefundSettled" not in later_event_types(order)
    out = StringIO()
    call_command("policies", fail_over=10**9, stdout=out)
    assert "parked:" not in out.getvalue()
    assert f"skipped: pay_refunds {refund.pk} ({order.stream}), by command" in out.getvalue()


def test_a_parked_event_is_skipped_and_the_events_behind_it_are_applied():
    order = new_order()
    spoil_or_restore(order.stream, '{"nonsense": 1}')
    kit.dispatch(kit.cancel(order))
    SUBSCRIPTION.set_timers()
    [bad] = policies.parked_events()
    waiting = PolicyParkedEvent.objects.filter(category="waiting").latest("version")
    with pytest.raises(CommandError, match="retry or skip that one"):
        skip(waiting.event_id)

    output = skip(bad.event_id, reason="No notice is needed")

    assert f"skipped: {bad}, by command line" in output
    with pytest.raises(CommandError, match="skipped already"):
        skip(bad.event_id)
    assert policies.status().parked_streams == 0
    assert set(Timer.objects.values_list("event_id", flat=True)) == {waiting.event_id}
    assert policies.retry() == 0


def test_the_command_reports_the_lag_of_the_policies():
    new_order()
    status = policies.status()
    assert (status.position, status.lag_events) == (0, log.head())
    with pytest.raises(CommandError, match="behind"):
        call_command("policies", fail_over=0, stdout=StringIO())
