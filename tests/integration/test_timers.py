"""Timers: what is due is done once, whatever is killed, fails, repeats or runs at the same time."""

import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection, connections
from django_q.signing import SignedPackage

from config.workers import tasks
from config.workers.broker import ProjectionBroker
from ordering_write import log, policies
from ordering_write.domain import commands as c
from ordering_write.domain.errors import ConcurrentUpdateError
from ordering_write.models import (
    CommandRecord,
    OutboxEvent,
    Timer,
)
from ordering_write.policies import timers
from ordering_write.policies.models import PolicyCheckpoint, PolicyParkedEvent
from tests import kit
from tests.integration.test_crashes import MOST_POINTS, Crash, Death
from tests.kit import NOW
from tests.kit_policies import HOUR, Gateway, Postman, by, give, new_order, plug, story
from tests.proof import size

pytestmark = pytest.mark.usefixtures("committed")


def timer(policy: str) -> Timer:
    return Timer.objects.get(policy=policy)


def refund_requested() -> Any:
    """An order of which money is to be given back."""
    order = new_order()
    give(c.RecordPayment, order, payment_id="pay-1", kind="captured", amount="39.80")
    give(c.RequestRefund, order, amount="5.00", reason="late")
    return order


# --- Once --------------------------------------------------------------------------------------
def test_what_is_read_is_set_once_and_what_is_set_is_kept_until_it_is_done():
    order = new_order(reserve_for=HOUR)

    policies.SUBSCRIPTION.set_timers()
    policies.SUBSCRIPTION.set_timers()

    assert Counter(Timer.objects.values_list("policy", flat=True)) == {
        "expire_unpaid": 1,
        "review_risk": 1,
        "tell_customers": 1,
    }
    assert timer("expire_unpaid").due_at == NOW + HOUR
    assert timer("expire_unpaid").stream == order.stream
    assert policies.run_due(now=NOW) == 2
    assert policies.run_due(now=NOW) == 0
    assert timer("expire_unpaid").tries == 0


def test_a_timer_that_fires_again_changes_nothing(settings: Any):
    plug(settings, payment=Gateway)
    order = refund_requested()
    policies.SUBSCRIPTION.set_timers()
    again = list(Timer.objects.all())
    by(NOW)
    told = story(order)
    assert told[-1] == "RefundSettled"

    # As when a worker is killed after what it did and before it could say so.
    for one in again:
        one.save(force_insert=True)
    by(NOW)

    assert story(order) == told
    assert not Timer.objects.exists()


def test_a_command_that_was_given_before_is_not_given_otherwise(settings: Any):
    settings.RESERVE_FOR_HOURS = 1
    order = new_order()
    policies.SUBSCRIPTION.set_timers()
    [again] = Timer.objects.filter(policy="expire_unpaid")
    by(NOW + HOUR)
    record = CommandRecord.objects.get(pk=again.pk)
    CommandRecord.objects.filter(pk=again.pk).update(fingerprint="of another payload")

    again.save(force_insert=True)
    by(NOW + HOUR)

    assert story(order) == ["OrderCancelled"]
    assert record.type == "ExpireOrder"


def test_many_workers_do_each_thing_once(settings: Any):
    plug(settings, notifier=Postman)
    for _ in range(30):
        new_order(reserve_for=HOUR)
    policies.SUBSCRIPTION.set_timers()

    def work() -> None:
        policies.run_due(now=NOW + HOUR)
        connections.close_all()

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert len(Postman.asked) == len(set(Postman.keys())) == 30
    assert OutboxEvent.objects.filter(type="OrderCancelled").count() == 30
    assert not Timer.objects.exists()


# --- Killed ------------------------------------------------------------------------------------
@pytest.mark.proof
def test_a_worker_that_is_killed_at_any_statement_loses_and_doubles_nothing(
    settings: Any, monkeypatch: pytest.MonkeyPatch
):
    plug(settings, payment=Gateway)
    at = NOW
    points = []
    # Every point in `make proof`, every seventh otherwise.
    for number in range(1, MOST_POINTS, size(7, full=1)):
        order, at = refund_requested(), at + HOUR
        death = Death(number)
        run_until(death, at, monkeypatch)
        # The lease of what it had taken is over.
        by(at + timers.LEASE)
        assert story(order) == ["PaymentRecorded", "RefundRequested", "RefundSettled"], death.point
        assert not Timer.objects.exists(), death.point
        if not death.point:
            break
        points.append(death.point)

    assert not death.point, "it has no end"
    assert any("policy_timer" in point for point in points)
    # The gateway was asked again only by the same key, and that when it mattered.
    keys = Counter(Gateway.keys())
    assert len(keys) == len(points) + 1
    assert set(keys.values()) <= {1, 2}
    kit.check_rows_equal_log()


def run_until(death: Death, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the policies do what there is to do on a connection that dies at its point."""
    connection.ensure_connection()
    commit = connection._commit  # type: ignore[attr-defined]

    def wrapped() -> None:
        death.reach("before COMMIT")
        commit()
        death.reach("after COMMIT")

    with monkeypatch.context() as patch, connection.execute_wrapper(death):
        patch.setattr(connection, "_commit", wrapped)
        try:
            by(now)
        except Crash:
            assert death.point
        finally:
            connection.close()
    PolicyCheckpoint.objects.update(leased_until=None)


def test_a_killer_is_given_up(settings: Any, monkeypatch: pytest.MonkeyPatch):
    plug(settings, notifier=Postman)
    new_order()
    policies.SUBSCRIPTION.set_timers()

    def kill(*_args: Any, **_kwargs: Any) -> None:
        raise Crash

    monkeypatch.setattr(Postman, "tell", kill)
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
def test_what_fails_is_tried_again_later_and_later_and_then_parked(
    settings: Any, caplog: pytest.LogCaptureFixture
):
    plug(settings, payment=Gateway)
    Gateway.answers["refund"] = ConnectionError("the gateway is away\nits secrets")
    order = refund_requested()
    policies.SUBSCRIPTION.set_timers()

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
    levels = [one.levelname for one in caplog.records if one.name == timers.__name__]
    assert levels == ["WARNING", "ERROR"]
    assert len(set(Gateway.keys())) == 1

    Gateway.answers.clear()
    assert policies.run_due(now=now + 2 * HOUR) == 0
    assert policies.retry() == 1
    by(now)
    assert story(order)[-1] == "RefundSettled"


def test_what_fails_keeps_nobody_up(settings: Any):
    plug(settings, payment=Gateway, notifier=Postman)
    Gateway.answers["refund"] = ConnectionError("the gateway is away")
    refund_requested()

    by(NOW)

    assert len(Postman.asked) == 1


def test_a_command_that_meets_others_is_tried_again(monkeypatch: pytest.MonkeyPatch):
    order = new_order(reserve_for=HOUR)
    policies.SUBSCRIPTION.set_timers()
    with monkeypatch.context() as patch:
        patch.setattr(timers, "get_command_bus", Contended)
        policies.run_due(now=NOW + HOUR)
    assert story(order) == []

    by(NOW + HOUR + timedelta(seconds=1))

    assert story(order) == ["OrderCancelled"]


class Contended:
    """A bus on which somebody is always first."""

    def dispatch(self, command: c.Command) -> None:
        raise ConcurrentUpdateError


def test_an_outage_of_the_database_is_no_failure_of_a_timer(
    settings: Any, monkeypatch: pytest.MonkeyPatch
):
    plug(settings, notifier=Postman)
    Postman.answers["tell"] = OperationalError("the database is away")
    new_order()
    policies.SUBSCRIPTION.set_timers()

    with pytest.raises(OperationalError):
        policies.run_due(now=NOW)

    Postman.answers.clear()
    assert timer("tell_customers").error == ""
    by(NOW + timers.LEASE)
    assert not Timer.objects.exists()


def test_a_worker_gives_back_what_it_has_no_time_for(monkeypatch: pytest.MonkeyPatch):
    for _ in range(3):
        new_order()
    policies.SUBSCRIPTION.set_timers()
    monkeypatch.setattr(timers, "_BATCH_SECONDS", -1.0)

    assert policies.run_due(now=NOW, seconds=0.01) == 0

    assert set(Timer.objects.values_list("tries", "leased_until")) == {(0, None)}


def test_timers_of_a_policy_that_is_gone_stay():
    new_order()
    policies.SUBSCRIPTION.set_timers()
    Timer.objects.filter(policy="tell_customers").update(policy="tell_by_pigeon")

    by(NOW)

    assert list(Timer.objects.values_list("policy", flat=True)) == ["tell_by_pigeon"]
    assert policies.policy_statuses()[-1].name == "tell_by_pigeon"


def test_an_event_that_can_t_be_read_holds_up_its_order_only():
    bad, good = new_order(), new_order()
    garble(bad.stream, '{"nonsense": 1}')

    by(NOW)

    assert policies.status().parked_streams == 1
    out = StringIO()
    call_command("policies", stdout=out)
    [parked] = policies.parked_events()
    assert f"parked: OrderCreated {parked.event_id} ({bad.stream}, " in out.getvalue()
    assert not Timer.objects.exists()
    garble(bad.stream, None)
    # OrderCreated; the events of its lines are none of the policies' concern but for completing.
    assert policies.retry() >= 1
    assert policies.status().parked_streams == 0
    assert set(Timer.objects.values_list("stream", flat=True)) == {bad.stream}
    assert story(good) == []


_KEPT: dict[str, Any] = {}


def garble(stream: str, data: str | None) -> None:
    """Spoil the first event of ``stream``, or mend it."""
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


def test_the_broker_hands_the_policies_out_when_the_log_has_grown(broker: ProjectionBroker):
    new_order()

    assert handed_out(broker).count(("policies", "policies")) == 1
    # Whoever was given them has some time to begin.
    assert not policies.SUBSCRIPTION.lease().behind

    tasks.run("policies")

    assert not Timer.objects.exists()
    assert policies.status().lag_events == 0
    assert not policies.SUBSCRIPTION.lease().behind


def test_the_broker_hands_the_policies_out_when_a_time_has_come():
    new_order(timestamp=datetime.now(UTC), reserve_for=timedelta(seconds=2))
    policies.SUBSCRIPTION.run()
    assert not policies.SUBSCRIPTION.lease().behind

    ends_at = time.monotonic() + 10
    while not policies.SUBSCRIPTION.lease().behind:
        assert time.monotonic() < ends_at

    tasks.run("policies")
    assert OutboxEvent.objects.filter(type="OrderCancelled").exists()


def test_a_runner_that_did_not_come_back_is_replaced(monkeypatch: pytest.MonkeyPatch):
    new_order()
    assert policies.SUBSCRIPTION.lease().behind
    PolicyCheckpoint.objects.update(leased_until=datetime.now(UTC) - timedelta(seconds=1))

    assert policies.SUBSCRIPTION.lease().behind
    policies.SUBSCRIPTION.run()

    assert not Timer.objects.exists()


def test_one_run_does_what_follows_from_what_it_has_done(settings: Any):
    plug(settings, payment=Gateway, notifier=Postman)
    order = new_order()
    give(c.RecordPayment, order, payment_id="pay-1", kind="captured", amount="39.80")
    kit.dispatch(kit.cancel(order))

    policies.SUBSCRIPTION.run(seconds=60)

    assert story(order)[2:] == ["RefundRequested", "RefundSettled"]
    assert [str(one.news) for one in Postman.calls("tell")] == ["placed", "cancelled", "refunded"]


def test_the_stock_broker_s_task_runs_them_too():
    order = new_order(reserve_for=HOUR)

    tasks.project_all()

    assert story(order) == ["OrderCancelled"]


def test_idle_policies_cost_a_look(django_assert_num_queries: Any):
    new_order()
    policies.SUBSCRIPTION.run()
    head = log.head()

    with django_assert_num_queries(1):
        assert not policies.SUBSCRIPTION.lease(head=head).behind


# --- What an operator sees ---------------------------------------------------------------------
def test_the_command_lists_them(settings: Any):
    plug(settings, payment=Gateway)
    Gateway.answers["refund"] = ConnectionError("the gateway is away")
    refund_requested()
    new_order(reserve_for=timedelta(days=365), timestamp=datetime.now(UTC))
    policies.SUBSCRIPTION.run()
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
    order = refund_requested()
    policies.SUBSCRIPTION.set_timers()
    refund = timer("pay_refunds")
    for wrong in (refund.pk, uuid4()):
        # It isn't given up yet; there is none.
        with pytest.raises(CommandError, match="Neither an event nor a timer"):
            skip(wrong)
    Timer.objects.filter(pk=refund.pk).update(parked_at=NOW, error="ConnectionError: away")
    with pytest.raises(CommandError, match="--reason: String should have at least 1 character"):
        skip(refund.pk, reason=" ")

    assert f"{refund.pk} is skipped." in skip(refund.pk)

    kept = timer("pay_refunds")
    assert (kept.skipped_by, kept.skip_reason) == ("command line (robin)", "Paid out by hand")
    with pytest.raises(CommandError, match="Neither an event nor a timer"):
        skip(refund.pk)
    assert policies.retry() == 0
    by(NOW)
    assert story(order)[-1] == "RefundRequested"
    out = StringIO()
    call_command("policies", fail_over=10**9, stdout=out)
    assert "parked:" not in out.getvalue()
    assert f"skipped: pay_refunds {refund.pk} ({order.stream}), by command" in out.getvalue()


def test_a_parked_event_is_skipped_and_what_waits_behind_it_goes_on():
    order = new_order()
    garble(order.stream, '{"nonsense": 1}')
    kit.dispatch(kit.cancel(order))
    policies.SUBSCRIPTION.set_timers()
    [bad] = policies.parked_events()
    waiting = PolicyParkedEvent.objects.filter(category="waiting").latest("version")
    with pytest.raises(CommandError, match="retry or skip that one"):
        skip(waiting.event_id)

    shown = skip(bad.event_id, reason="Nobody is told of it")

    assert f"skipped: {bad}, by command line" in shown
    with pytest.raises(CommandError, match="skipped already"):
        skip(bad.event_id)
    assert policies.status().parked_streams == 0
    assert set(Timer.objects.values_list("event_id", flat=True)) == {waiting.event_id}
    assert policies.retry() == 0


def test_their_lag_is_seen():
    new_order()
    status = policies.status()
    assert (status.position, status.lag_events) == (0, log.head())
    with pytest.raises(CommandError, match="behind"):
        call_command("policies", fail_over=0, stdout=StringIO())
