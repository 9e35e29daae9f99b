"""Monitoring: metrics, readiness and the alarm."""

import logging
import socket
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from smtplib import SMTPServerDisconnected
from typing import Any

import pytest
from django.conf import settings as configured
from django.core import mail
from django.db import OperationalError
from django.db.models.functions import Now
from django.test import Client
from django.utils import timezone
from django_q.models import OrmQ
from knox.models import AuthToken
from prometheus_client.parser import text_string_to_metric_families

from config import processes
from config.accounts.models import User
from config.accounts.roles import Role
from ordering_read.engine import live, status
from ordering_read.engine.freshness import freshness
from ordering_read.engine.rebuild import rebuild
from ordering_read.models import Projection
from ordering_read.projector import registered
from ordering_write import policies, subscriptions
from ordering_write.models import CommandMetric, EventPosition, OutboxEvent
from ordering_write.subscriptions import alarm
from tests import kit
from tests.patience import PATIENCE_SECONDS, on_this_machine

pytestmark = pytest.mark.usefixtures("db")

# The header that Prometheus 3 sends.
ACCEPT = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)

Samples = dict[tuple[str, ...], float]


@pytest.fixture
def scrape(make_user: Callable[..., User]) -> Callable[[], Samples]:
    """Scrapes /metrics as Prometheus does.

    Returns the samples by their names and the values of their labels, in the order of the labels'
    names.
    """
    _, token = AuthToken.objects.create(user=make_user(Role.MONITOR))
    headers = {"Authorization": f"Token {token}", "Accept": ACCEPT}

    def get_samples() -> Samples:
        response = Client().get("/metrics", headers=headers)
        assert response.status_code == 200
        assert response["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        return {
            (sample.name, *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(response.content.decode())
            for sample in family.samples
        }

    return get_samples


def run_all() -> None:
    for name in registered():
        live.run(name)
    policies.SUBSCRIPTION.run()


# --- Metrics -----------------------------------------------------------------------------------
def test_metrics_of_projections(scrape: Callable[[], Samples]) -> None:
    kit.registered_product()
    live.run("order_view")
    samples = scrape()

    assert samples["orders_events_appended_total",] == 2
    for name, position in (("order_view", 2), ("inventory_level", 0)):
        assert samples["orders_projection_position", name] == position
        assert samples["orders_projection_head", name] == 2
        assert samples["orders_projection_lag_events", name] == 2 - position
        assert samples["orders_projection_failed", name] == 0
    assert samples["orders_projection_lag_seconds", "order_view"] == 0
    assert 0 < samples["orders_projection_lag_seconds", "inventory_level"] < 60
    assert samples["orders_projection_batch_seconds_count", "order_view"] == 1
    seconds = samples["orders_projection_batch_seconds_sum", "order_view"]
    assert 0 < seconds == samples["orders_projection_last_batch_seconds", "order_view"] < 60
    assert samples["orders_projection_batch_seconds_count", "inventory_level"] == 0

    kit.registered_product()
    live.run("order_view")
    inventory = Projection.objects.filter(name="inventory_level")
    inventory.update(error="ValueError: no", parked_streams=3)
    samples = scrape()
    assert samples["orders_projection_batch_seconds_count", "order_view"] == 2
    assert samples["orders_projection_batch_seconds_sum", "order_view"] > seconds
    assert samples["orders_projection_failed", "inventory_level"] == 1
    assert samples["orders_projection_parked_streams", "inventory_level"] == 3


def test_metrics_show_the_lag_when_no_worker_runs(
    scrape: Callable[[], Samples],
) -> None:
    kit.registered_product()
    # No sequencer, projection or worker has run.
    assert not EventPosition.objects.exists()

    samples = scrape()

    assert samples["orders_workers",] == 0
    assert samples["orders_events_appended_total",] == 2
    for name in registered():
        assert samples["orders_projection_lag_events", name] == 2
        assert samples["orders_projection_lag_seconds", name] > 0
    assert not EventPosition.objects.exists()
    status.heartbeat()
    assert scrape()["orders_workers",] == 1


def test_metrics_of_a_rebuild(scrape: Callable[[], Samples]) -> None:
    assert ("orders_projection_rebuild_events_done", "order_view") not in scrape()
    Projection.objects.create(
        name="order_view",
        generation=2,
        version=1,
        status=Projection.Status.BUILDING,
        events_done=30,
        events_total=120,
        events_per_second=15.5,
    )

    samples = scrape()

    assert samples["orders_projection_rebuild_events_done", "order_view"] == 30
    assert samples["orders_projection_rebuild_events_total", "order_view"] == 120
    assert samples["orders_projection_rebuild_events_per_second", "order_view"] == 15.5


def test_metrics_of_commands(scrape: Callable[[], Samples]) -> None:
    for outcome, reason, count in (("accepted", "", 5), ("refused", "OrderNotFoundError", 2)):
        CommandMetric.objects.create(
            type="CancelOrder", outcome=outcome, reason=reason, count=count, seconds=count / 4
        )

    samples = scrape()

    accepted = ("accepted", "", "CancelOrder")
    refused = ("refused", "OrderNotFoundError", "CancelOrder")
    assert samples["orders_command_seconds_count", *accepted] == 5
    assert samples["orders_command_seconds_sum", *accepted] == 1.25
    assert samples["orders_command_seconds_count", *refused] == 2


def test_metrics_of_the_queue(scrape: Callable[[], Samples]) -> None:
    assert scrape()["orders_queue_tasks",] == 0
    assert scrape()["orders_queue_oldest_seconds",] == 0
    for minutes in (1, 5, -5):
        # The last task is taken or due later.
        OrmQ.objects.create(key="orders", payload="", lock=Now() - timedelta(minutes=minutes))

    samples = scrape()

    assert samples["orders_queue_tasks",] == 2
    assert 300 <= samples["orders_queue_oldest_seconds",] < 360


def test_the_number_of_queries_of_a_scrape_is_constant(
    scrape: Callable[[], Samples], django_assert_num_queries: Any
) -> None:
    for turn in range(2):
        # Some of the queries authenticate the user.
        with (
            django_assert_num_queries(9, using="default"),
            django_assert_num_queries(5, using="read"),
        ):
            scrape()
        for number in range(5):
            kit.registered_product()
            CommandMetric.objects.create(
                type=f"T{turn}{number}", outcome="accepted", count=1, seconds=1
            )
            OrmQ.objects.create(key="orders", payload="", lock=Now())
        live.run("order_view")


def test_a_scrape_without_a_database_is_answered_with_503(
    monkeypatch: pytest.MonkeyPatch, admin_user: User
) -> None:
    def fail() -> Any:
        raise OperationalError("gone")

    monkeypatch.setattr(status, "statuses", fail)
    client = Client()
    client.force_login(admin_user)
    assert client.get("/metrics").status_code == 503


# --- The alarm ---------------------------------------------------------------------------------
@pytest.fixture
def late(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every lag late at once, and send mail in the same thread."""
    settings.PROJECTION_LAG_ALERT_SECONDS = 0
    settings.ADMINS = [("ada", "ada@example.com")]
    monkeypatch.setattr(threading.Thread, "start", threading.Thread.run)


@pytest.mark.usefixtures("late")
def test_the_alarm_reports_the_beginning_and_the_end_of_lateness_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for _ in range(2):
        kit.registered_product()
        caplog.clear()
        mail.outbox.clear()
        for _ in range(2):
            assert alarm.look()["projections"] == set(registered())
        assert {line.levelname for line in caplog.records} == {"ERROR"}
        assert len(caplog.records) == len(registered()) + 1
        assert "Projection order_view is late: " in caplog.text
        assert "Subscriber policies is late: " in caplog.text
        assert "events, 0 seconds behind the log (limit 0)." in caplog.text
        mails = {message.subject: message for message in mail.outbox}
        assert {message.to[0] for message in mail.outbox} == {"ada@example.com"}
        assert mails.keys() == {
            "[Order service] Projections are late",
            "[Order service] Subscribers are late",
        }
        lines = [line.getMessage() for line in caplog.records if "Projection" in line.getMessage()]
        link = f"page System: {configured.PUBLIC_URL}/admin/system/"
        body = mails["[Order service] Projections are late"].body
        assert body.startswith("\n".join(lines))
        assert body.endswith(link)

        run_all()
        caplog.clear()
        mail.outbox.clear()
        for _ in range(2):
            assert alarm.look()["projections"] == set()
        assert sorted(line.getMessage() for line in caplog.records) == [
            *(f"Projection {name} is no longer late." for name in sorted(registered())),
            "Subscriber policies is no longer late.",
        ]
        assert {line.levelname for line in caplog.records} == {"WARNING"}
        assert {message.subject for message in mail.outbox} == {
            "[Order service] Projections are no longer late",
            "[Order service] Subscribers are no longer late",
        }


@pytest.mark.usefixtures("late")
def test_the_alarm_reports_each_projection_separately(caplog: pytest.LogCaptureFixture) -> None:
    kit.registered_product()
    alarm.look()
    caplog.clear()

    live.run("order_view")
    alarm.look()

    assert [line.getMessage() for line in caplog.records] == [
        "Projection order_view is no longer late."
    ]


@pytest.mark.usefixtures("late")
def test_the_alarm_blames_no_rows_that_took_over_after_it_had_read_the_status(
    caplog: pytest.LogCaptureFixture,
) -> None:
    kit.registered_product()
    statuses = subscriptions.all_statuses()
    rebuild("order_view")
    caplog.clear()

    alarm.look(statuses)

    assert "order_view" not in caplog.text
    assert Projection.objects.get(name="order_view", status="live").late_at is None


@pytest.mark.usefixtures("late")
def test_a_restore_into_an_empty_read_side_sends_one_mail(
    caplog: pytest.LogCaptureFixture,
) -> None:
    kit.registered_product()
    policies.SUBSCRIPTION.run()
    # The rows and checkpoints of the read side are younger than the events.
    Projection.objects.all().delete()
    subscriptions.ensure_checkpoints()
    for name in sorted(registered()):
        alarm.look()
        live.run(name)
    alarm.look()

    [message] = [message for message in mail.outbox if "Projections" in message.subject]
    assert message.subject == "[Order service] Projections are filled from the log"
    assert message.body.count(" is filled from the beginning of the log: ") == len(registered())
    assert caplog.text.count(" is no longer late.") == len(registered())
    mailed = [report.subject for report in alarm.last(99) if report.recipients]
    about_projections = [subject for subject in mailed if "Projections" in subject]
    assert about_projections == ["Projections are filled from the log"]


@pytest.mark.usefixtures("late")
def test_a_filling_projection_is_recognised_however_late_the_alarm_looks_at_its_status() -> None:
    kit.registered_product()
    Projection.objects.all().delete()
    subscriptions.ensure_checkpoints()
    statuses = subscriptions.all_statuses()
    oldest = OutboxEvent.objects.earliest("recorded_at").recorded_at
    youngest = Projection.objects.latest("updated_at").updated_at
    measured_at = max(status.measured_at for of_kind in statuses.values() for status in of_kind)
    while timezone.now() - measured_at <= youngest - oldest:
        time.sleep(0.01)

    alarm.look(statuses)

    reports = [report.subject for report in alarm.last(99) if "Projections" in report.subject]
    assert reports == ["Projections are filled from the log"]


@pytest.mark.usefixtures("late")
def test_one_mail_says_that_the_last_projection_is_no_longer_late() -> None:
    kit.registered_product()
    for name in sorted(registered()):
        alarm.look()
        live.run(name)
    alarm.look()

    subjects = [message.subject for message in mail.outbox if "Projections" in message.subject]
    assert subjects == [
        "[Order service] Projections are late",
        "[Order service] Projections are no longer late",
    ]


@pytest.mark.usefixtures("late")
def test_the_mail_gives_the_error_without_values() -> None:
    kit.registered_product()
    error = "IntegrityError: no\nDETAIL:  Key (email)=(bob@example.com) exists."
    Projection.objects.filter(name="order_view").update(error=error)

    alarm.look()

    [message] = [message for message in mail.outbox if "Projections" in message.subject]
    stored = next(report for report in alarm.last(9) if "Projections" in report.subject)
    for text in (message.body, stored.text):
        assert "IntegrityError: no" in text
        assert "bob" not in text
    assert (stored.recipients, stored.is_error, stored.mail_error) == (1, True, "")
    assert stored.mailed_at is not None


@pytest.mark.usefixtures("late")
def test_the_last_reports_are_kept_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alarm, "_KEPT", 3)
    for number in range(5):
        alarm.report(f"Report {number}", ["A line"], logging.ERROR)

    assert [report.subject for report in alarm.last(9)] == ["Report 4", "Report 3", "Report 2"]


@pytest.mark.usefixtures("late")
def test_no_mail_is_sent_without_admins(settings: Any) -> None:
    settings.ADMINS = []
    kit.registered_product()
    alarm.look()
    assert mail.outbox == []


@pytest.mark.usefixtures("late")
def test_a_mail_server_that_fails_is_logged_only(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_arguments: Any) -> None:
        raise SMTPServerDisconnected("gone")

    monkeypatch.setattr(alarm, "mail_admins", fail)
    kit.registered_product()

    assert alarm.look()["projections"] == set(registered())

    assert "The administrators couldn't be notified by mail: gone" in caplog.text
    assert {report.mail_error for report in alarm.last(9)} == {"SMTPServerDisconnected: gone"}


def test_a_silent_mail_server_doesnt_delay_the_alarm(
    settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    kit.registered_product()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = silent.getsockname()
        settings.EMAIL_TIMEOUT = 1
        settings.ADMINS = [("ada", "ada@example.com")]
        settings.PROJECTION_LAG_ALERT_SECONDS = 0
        before = set(threading.enumerate())
        began = time.monotonic()
        alarm.look()
        assert time.monotonic() - began < on_this_machine(0.9)
        mailing = set(threading.enumerate()) - before
        assert mailing
        for thread in mailing:
            thread.join(PATIENCE_SECONDS)
            assert not thread.is_alive()
    assert "The administrators couldn't be notified by mail: " in caplog.text


def test_mail_has_a_time_limit() -> None:
    assert 0 < configured.EMAIL_TIMEOUT <= 10


# --- Readiness ---------------------------------------------------------------------------------
def test_a_late_projection_makes_readyz_fail_and_raise_the_alarm(
    settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    status.heartbeat()
    assert Client().get("/readyz").status_code == 200
    kit.registered_product()
    assert Client().get("/readyz").status_code == 200
    settings.PROJECTION_LAG_ALERT_SECONDS = 0

    responses = [Client().get("/readyz") for _ in range(2)]

    for response in responses:
        assert response.status_code == 503
        assert response.json()["checks"] == {
            "databases": "ok",
            "migrations": "ok",
            "serving": "ok",
            "workers": "ok",
            "lag": "failed",
        }
    assert caplog.text.count("Projection order_view is late") == 1
    run_all()
    assert Client().get("/readyz").status_code == 200


def test_a_projection_that_has_failed_for_too_long_is_late_without_any_lag(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """For example a projection whose log was replaced by an older log with fewer events."""
    status.heartbeat()
    kit.registered_product()
    run_all()
    stopped = Projection.objects.filter(name="order_view")
    stopped.update(error="LogReplacedError: no", failed_at=Now(), position=7)
    assert Client().get("/readyz").status_code == 200
    stopped.update(failed_at=Now() - timedelta(minutes=2))

    for _ in range(2):
        response = Client().get("/readyz")
        assert response.status_code == 503
        assert response.json()["checks"]["lag"] == "failed"
    assert caplog.text.count("Projection order_view is late") == 1
    [order_view] = [row for row in status.statuses() if row.name == "order_view"]
    assert 120 <= order_view.lag_seconds < 180
    assert 120 <= freshness(["order_view"]).lag_seconds < 180
    assert freshness(["inventory_level"]).lag_seconds == 0


def test_requests_of_readyz_are_not_logged_while_it_fails(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for _ in range(3):
        assert Client().get("/readyz").status_code == 503
    assert caplog.records == []


def test_readyz_fails_while_its_process_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "is_leaving", threading.Event())
    processes.is_leaving.set()
    response = Client().get("/readyz?exclude=workers")
    assert response.status_code == 503
    assert response.json()["checks"]["serving"] == "failed"


def test_readyz_leaves_out_the_checks_that_a_load_balancer_excludes() -> None:
    response = Client().get("/readyz?exclude=workers&exclude=lag&exclude=colour")
    assert response.status_code == 200
    assert set(response.json()["checks"]) == {"serving", "databases", "migrations"}


def test_readyz_fails_without_workers() -> None:
    response = Client().get("/readyz")
    assert response.status_code == 503
    assert response.json()["checks"]["workers"] == "failed"
