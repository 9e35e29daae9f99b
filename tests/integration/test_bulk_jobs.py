"""Bulk actions: a question first, then the commands, each once whatever crashes, and a summary."""

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import Permission
from django.db import connections
from django.db.models.functions import Now
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django_q.models import OrmQ

from config.accounts.models import User
from config.accounts.roles import Role
from config.workers import tasks
from ordering_read.models import OrderSummary
from ordering_write import bulk
from ordering_write.bulk import jobs, running
from ordering_write.domain.commands import TagOrder
from ordering_write.domain.events import OrderStatus
from ordering_write.models import BulkItem, BulkJob, CommandRefusal, Order, OutboxEvent
from tests import kit
from tests.kit_admin import (
    ORDERS,
    Shop,
    list_text,
    list_url,
    logged_in,
    messages_of,
    page_text,
    run_action,
    run_projections,
)

pytestmark = pytest.mark.usefixtures("db")


def visible_at_once(*, event_id: UUID, projections: Sequence[str], timeout: float) -> bool:
    """Replaces READ_SIDE_WAIT: runs the projections, as workers would in the meantime."""
    run_projections()
    return True


@pytest.fixture(autouse=True)
def _projections_run_at_once(settings: Any) -> None:
    settings.READ_SIDE_WAIT = f"{__name__}.visible_at_once"


@pytest.fixture
def orders() -> list[Order]:
    """Return three pending orders and a cancelled one, the oldest first."""
    shop = Shop()
    orders = [shop.order, *(shop.place() for _ in range(3))]
    kit.dispatch(kit.cancel(orders[-1]))
    run_projections()
    return orders


@pytest.fixture
def only_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the workers carry out each job, as if it were a large one."""
    monkeypatch.setattr(jobs, "MOST_AT_ONCE", 0)


def start(client: Client, slug: str, orders: Sequence[Order], **fields: Any) -> str:
    """Select ``orders`` in the list, start a job and return the address of its page."""
    rows = OrderSummary.live.filter(order_id__in=[order.pk for order in orders])
    if fields:
        fields = {"check": "1", "job_id": uuid4(), **fields}
    response = run_action(client, ORDERS, slug, *rows, **fields)
    assert response.status_code == 302, response.text
    return str(response["Location"])


def statuses(orders: Sequence[Order]) -> list[str]:
    return [Order.objects.get(pk=order.pk).status for order in orders]


def lease_ends() -> None:
    """Let the lease of a killed process end."""
    BulkJob.objects.update(leased_until=Now() - timedelta(seconds=20))


class KilledError(BaseException):
    """The end of a process in the middle of its work."""


# --- The question and the summary --------------------------------------------------------------
def test_a_question_says_who_can_and_why_others_cannot_before_anything_changes(
    clerk: User, orders: list[Order]
) -> None:
    client = logged_in(clerk)
    url = start(client, "confirm_order", orders)

    with (
        CaptureQueriesContext(connections["default"]) as write,
        CaptureQueriesContext(connections["read"]) as read,
    ):
        question = page_text(client, url)

    assert len(write) + len(read) <= 10
    assert "3 of 4 orders can" in question
    refusal = f"Order {orders[3].order_number} is cancelled; it can't become confirmed."
    assert refusal.replace("'", "&#x27;") in question
    assert statuses(orders) == ["pending"] * 3 + ["cancelled"]

    # Meanwhile a colleague cancels an order.
    kit.dispatch(kit.cancel(orders[2]))
    assert client.post(url, {"confirm": "1"})["Location"] == url
    assert client.post(url, {"confirm": "1"})["Location"] == url, "a second click does nothing"

    assert statuses(orders) == ["confirmed", "confirmed", "cancelled", "cancelled"]
    response = client.get(url)
    assert "2 of 4 orders done" in response.text
    assert "2 were refused" in response.text
    for order in orders[2:]:
        assert f'<a href="/admin/ordering_read/ordersummary/{order.pk}/change/">' in response.text
    assert "Confirm order finished" in page_text(client, "/admin/bulk/")
    assert OutboxEvent.objects.filter(type="OrderStatusChanged").count() == 2
    job = BulkJob.objects.get()
    confirmed = OutboxEvent.objects.filter(type="OrderStatusChanged")
    assert set(confirmed.values_list("correlation_id", flat=True)) == {job.pk}


def test_the_fields_of_the_command_are_asked_for_once(clerk: User, orders: list[Order]) -> None:
    client, rows = logged_in(clerk), OrderSummary.live.exclude(status="cancelled")
    for fields in ({}, {"check": "1", "reason": "  "}, {"check": "1", "reason": "x" * 501}):
        form = run_action(client, ORDERS, "cancel_order", *rows, job_id=uuid4(), **fields)
        assert form.status_code == 200
        assert orders[0].order_number in form.text
        assert 'name="reason"' in form.text
    assert not BulkJob.objects.exists()
    form = run_action(client, ORDERS, "update_order_status", *rows)
    statuses_to_choose = re.findall(r'<option value="(\w+)"', form.text)
    assert "cancelled" in statuses_to_choose
    assert "pending" not in statuses_to_choose, "nobody can set it"

    fields = {"job_id": str(uuid4()), "reason": "Ordered twice", "reason_code": "customer"}
    url = start(client, "cancel_order", orders[:3], **fields)
    assert start(client, "cancel_order", orders[:3], **fields) == url, "a second click: one job"
    client.post(url, {"confirm": "1"})

    assert statuses(orders) == ["cancelled"] * 4
    assert BulkJob.objects.count() == 1
    reasons = OutboxEvent.objects.filter(type="OrderCancelled").values_list("data", flat=True)
    assert [data["reason"] for data in reasons].count("Ordered twice") == 3
    steps = list(BulkItem.objects.values_list("steps", flat=True))
    assert steps == [[]] * 3, "the typed texts are deleted"


def test_a_job_that_is_not_wanted_changes_nothing(clerk: User, orders: list[Order]) -> None:
    client = logged_in(clerk)
    url = start(client, "tag_order", orders, tag="gift")
    assert "Tag order: gift" in page_text(client, url)

    response = client.post(url, {"discard": "1"})

    assert messages_of(response) == ["info: Nothing was changed."]
    assert client.get(url).status_code == 404
    assert not OutboxEvent.objects.filter(type="OrderTagged").exists()

    kit.dispatch(TagOrder(order_id=orders[0].pk, tag="gift", user_id=kit.USER))
    url = start(client, "tag_order", orders[:1], tag="gift")
    text = page_text(client, url)
    assert "0 of 1 order can" in text
    assert "1 needs no change." in text
    assert 'name="confirm"' not in client.get(url).text


# --- Selecting ---------------------------------------------------------------------------------
def test_all_rows_that_match_can_be_selected_up_to_a_limit(
    clerk: User, orders: list[Order], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = logged_in(clerk)
    model_admin = client.get(list_url(ORDERS)).context["cl"].model_admin
    monkeypatch.setattr(type(model_admin), "list_per_page", 2)
    assert "all 3 that match" in list_text(client, ORDERS, "?status=pending")

    # Without a ticked row, as a browser without a script sends it.
    data = {"action": "confirm_order", "select_across": ["0", "1"]}
    response = client.post(list_url(ORDERS, "?status=pending"), data)
    assert "3 of 3 orders can" in page_text(client, response["Location"])

    monkeypatch.setattr(type(model_admin), "most_selected", 2)
    assert "that match" not in list_text(client, ORDERS)
    response = client.post(list_url(ORDERS), data)
    assert messages_of(response) == ["error: Select at most 2 orders at once."]


# --- Workers and crashes -----------------------------------------------------------------------
@pytest.mark.usefixtures("only_workers")
def test_a_large_job_shows_its_progress_while_the_workers_carry_it_out(
    clerk: User, orders: list[Order], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = logged_in(clerk)
    # A turn that is over at once does nothing; the workers ask for another one.
    url = start(client, "confirm_order", orders)
    assert "0 of 4 orders checked" in page_text(client, url)
    assert 'data-refresh="2"' in client.get(url).text
    monkeypatch.setattr(tasks, "_TURN_SECONDS", 0.0)
    queued = OrmQ.objects.count()
    tasks.run_bulk_jobs()
    assert OrmQ.objects.count() == queued + 1
    monkeypatch.undo()

    tasks.run_bulk_jobs()
    assert "3 of 4 orders can" in page_text(client, url)
    assert "data-refresh" not in client.get(url).text
    monkeypatch.setattr(jobs, "MOST_AT_ONCE", 0)
    client.post(url, {"confirm": "1"})
    assert "1 of 4 orders finished" in page_text(client, url)
    assert statuses(orders[:3]) == ["pending"] * 3

    tasks.run_bulk_jobs()

    assert statuses(orders[:3]) == ["confirmed"] * 3
    assert "3 of 4 orders done" in page_text(client, url)
    queued = OrmQ.objects.count()
    tasks.run_bulk_jobs()
    assert OrmQ.objects.count() == queued, "no further turn without work"


@pytest.mark.parametrize("point", ["dispatch", "store"])
def test_a_crash_in_the_middle_is_shown_and_the_rest_is_done_once(
    clerk: User, orders: list[Order], monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    client = logged_in(clerk)
    url = start(client, "confirm_order", orders)
    with monkeypatch.context() as patch:
        _crash_at_second(patch, point)
        with pytest.raises(KilledError):
            client.post(url, {"confirm": "1"})

    assert "2 of 4 orders finished" in page_text(client, url)
    assert not bulk.run_waiting(seconds=1), "the job belongs to the killed process for a while"
    lease_ends()
    assert "Nothing is at it right now" in page_text(client, url)
    tasks.run_bulk_jobs()

    assert "3 of 4 orders done" in page_text(client, url)
    confirmed = OutboxEvent.objects.filter(type="OrderStatusChanged")
    assert sorted(confirmed.values_list("stream", flat=True)) == sorted(
        order.stream for order in orders[:3]
    )


def _crash_at_second(patch: pytest.MonkeyPatch, point: str) -> None:
    """Kill the process at the second command: before it, or after it and before its outcome."""
    name = {"dispatch": "_give", "store": "_store"}[point]
    act, calls = getattr(running, name), []

    def crash(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 2:
            raise KilledError
        return act(*arguments)

    patch.setattr(running, name, crash)


def test_an_order_that_kills_each_process_fails_alone(
    clerk: User, orders: list[Order], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = logged_in(clerk)
    url = start(client, "confirm_order", orders[:2])
    give = running._give

    def crash(job: BulkJob, item: BulkItem) -> Any:
        if item.order_id == orders[0].pk:
            raise KilledError
        return give(job, item)

    monkeypatch.setattr(running, "_give", crash)
    with pytest.raises(KilledError):
        client.post(url, {"confirm": "1"})
    for _ in range(2):
        lease_ends()
        with pytest.raises(KilledError):
            bulk.run_waiting(seconds=1)
    lease_ends()
    bulk.run_waiting(seconds=1)

    assert statuses(orders[:2]) == ["pending", "confirmed"]
    text = page_text(client, url)
    assert "1 of 2 orders done" in text
    assert "Each process that tried it was killed." in text


def test_an_unexpected_error_is_listed_and_the_others_go_on(
    clerk: User,
    orders: list[Order],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    client = logged_in(clerk)
    url = start(client, "confirm_order", orders[:2])
    command = running._command

    def broken(job: BulkJob, item: BulkItem, *arguments: Any) -> Any:
        if item.order_id == orders[0].pk:
            raise RuntimeError("a bug")
        return command(job, item, *arguments)

    monkeypatch.setattr(running, "_command", broken)
    client.post(url, {"confirm": "1"})

    assert "Something went wrong on our side." in page_text(client, url)
    assert "a bug" in caplog.text
    assert statuses(orders[:2]) == ["pending", "confirmed"]


# --- Who may ------------------------------------------------------------------------------------
def test_a_job_is_its_users_and_needs_the_permission_of_its_commands(
    clerk: User, admin_user: User, warehouse: User, make_user: Any, orders: list[Order]
) -> None:
    url = start(logged_in(clerk), "confirm_order", orders[:1])
    for stranger in (admin_user, warehouse):
        assert logged_in(stranger).get(url).status_code == 404
        assert logged_in(stranger).post(url, {"confirm": "1"}).status_code == 404
    monitor = make_user(Role.MONITOR, is_staff=True)
    assert logged_in(monitor).get("/admin/bulk/").status_code == 403
    assert url not in logged_in(admin_user).get("/admin/bulk/").text

    # The permission is taken away between the question and the answer.
    kept = ("view_orders", "act_for_every_customer")
    clerk.groups.clear()
    clerk.user_permissions.set(Permission.objects.filter(codename__in=kept))
    logged_in(clerk).post(url, {"confirm": "1"})

    assert statuses(orders[:1]) == ["pending"]
    assert "needs the permission" in logged_in(clerk).get(url).text
    assert CommandRefusal.objects.filter(user_id=clerk.pk).count() == 1, "auditors see the attempt"


# --- Afterwards --------------------------------------------------------------------------------
def test_old_and_forgotten_jobs_are_deleted(clerk: User, orders: list[Order]) -> None:
    client = logged_in(clerk)
    forgotten = start(client, "cancel_order", orders[:1], reason="Robin asked", reason_code="other")
    finished = start(client, "confirm_order", orders[:1])
    client.post(finished, {"confirm": "1"})
    assert bulk.prune() == 0

    BulkJob.objects.update(created_at=Now() - timedelta(days=2))
    assert bulk.prune() == 1
    assert client.get(forgotten).status_code == 404
    BulkJob.objects.update(finished_at=Now() - timedelta(days=8))
    tasks.prune_commands()
    assert not BulkJob.objects.exists()
    assert not BulkItem.objects.exists()


def test_changes_that_the_pages_do_not_show_yet_are_not_called_done_only(
    clerk: User, orders: list[Order], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.READ_SIDE_WAIT = "ordering_read.engine.waiting.wait"
    monkeypatch.setattr(jobs, "_WAIT_SECONDS", 0.0)
    client = logged_in(clerk)
    url = start(client, "confirm_order", orders[:1])
    response = client.post(url, {"confirm": "1"})

    assert re.search("consistency", str(response.cookies), re.IGNORECASE), (
        "the next page waits for the effect, or says that it is missing"
    )
    assert statuses(orders[:1]) == [OrderStatus.CONFIRMED]
