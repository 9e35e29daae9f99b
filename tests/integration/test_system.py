"""The page System: what works behind the pages, its course, and what policies have given up."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connections
from django.db.models import F
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext
from django_q.tasks import async_task

from config.accounts.models import User
from config.accounts.roles import Role
from ordering_read.engine import live, status
from ordering_read.engine.status import measured_generations
from ordering_read.models import Projection, Worker
from ordering_read.queries.base import get_query_bus
from ordering_read.queries.system import GetSystem, Point, SystemView
from ordering_read.screens.courses import line
from ordering_write import policies, subscriptions
from ordering_write.models import Alarm, Order, SubscriberSample, Timer
from ordering_write.policies.models import PolicyCheckpoint, PolicyParkedEvent
from ordering_write.subscriptions import samples
from tests import kit
from tests.kit_admin import logged_in, messages_of, page_text
from tests.kit_policies import DAY, HOUR, Postman, new_order, plug, run_policies

pytestmark = pytest.mark.usefixtures("db")

URL = "/admin/system/"
GIVEN_UP = "/admin/system/given-up/"


def look() -> SystemView:
    return get_query_bus().dispatch(GetSystem())


def statements_of(act: Callable[[], object]) -> int:
    """Return the number of statements that ``act`` takes in both databases."""
    with (
        CaptureQueriesContext(connections["default"]) as write,
        CaptureQueriesContext(connections["read"]) as read,
    ):
        act()
    return len(write) + len(read)


def age_samples(seconds: int) -> None:
    """Make all samples older, and free their slots."""
    SubscriberSample.objects.update(taken_at=F("taken_at") - timedelta(seconds=seconds))
    oldest = SubscriberSample.objects.order_by("slot")[0].slot
    SubscriberSample.objects.filter(slot__gte=0).update(slot=min(oldest, 0) - 1)


# --- The page ----------------------------------------------------------------------------------
def test_the_page_shows_all_parts_in_words(admin_user: User) -> None:
    status.heartbeat()
    kit.registered_product()
    live.run("order_view")
    Projection.objects.filter(name="search").update(error="ValueError: <b>no</b>", failed_at=Now())
    async_task("time.time")
    Alarm.objects.create(subject="Search is late", text="A line", is_error=True, recipients=0)

    client = logged_in(admin_user)
    text = page_text(client, URL)

    for expected in (
        "running just now",
        "Queue: 0 tasks running, 1 waiting",
        "Orders order_view Rebuild… Orders Compare… Orders up to date 2 of 2",
        "Compare… Stock levels up to date 0 of 2",
        "ValueError: &lt;b&gt;no&lt;/b&gt;",
        "Policies up to date",
        "Expiry of unpaid orders 0 0 0 0 –",
        "alarm Search is late A line none",
    ):
        assert expected in text, expected
    part = client.get(URL, {"part": "system"}).text
    assert part.lstrip().startswith('<div id="system" data-refresh="5">')
    assert "<html" not in part


def test_dead_workers_are_said(admin_user: User) -> None:
    client = logged_in(admin_user)
    assert "No worker is running: lists aren" in page_text(client, URL)

    status.heartbeat()
    Worker.objects.update(seen_at=Now() - timedelta(seconds=20))
    cache.clear()

    text = page_text(client, URL)
    assert "No worker is running since" in text
    assert "silent killed, or cut off from the database" in text


def test_one_banner_says_what_is_wrong_with_the_system(admin_user: User, settings: Any) -> None:
    client = logged_in(admin_user)
    settings.PROJECTION_LAG_ALERT_SECONDS = 0
    kit.registered_product()

    def banner() -> str:
        cache.clear()
        [text] = re.findall(r'<p class="stale"[^>]*>(.*?)</p>', client.get(URL).text)
        return str(text)

    assert "No worker is running" in banner()
    status.heartbeat()
    assert "newer changes aren&#x27;t shown" in banner()


def test_the_look_costs_the_same_whatever_there_is(admin_user: User, make_user: Any) -> None:
    client = logged_in(admin_user)
    client.get("/admin/")
    few = statements_of(look)
    for _ in range(3):
        new_order(reserve_for=HOUR)
    run_policies(kit.NOW)
    samples.record(subscriptions.all_statuses())

    assert statements_of(look) == few <= 9
    client.get(URL)
    assert statements_of(lambda: client.get(URL)) <= 3, "the look is shared by all viewers"
    auditor = logged_in(make_user(Role.AUDITOR, is_staff=True))
    assert statements_of(lambda: auditor.get(URL, {"part": "system"})) <= 13
    assert statements_of(lambda: auditor.get(URL, {"part": "system"})) <= 4


def test_who_may_not_see_projections_sees_no_page(make_user: Any) -> None:
    client = logged_in(make_user(Role.MONITOR, is_staff=True))
    for url in (URL, GIVEN_UP, f"{GIVEN_UP}retry/", "/admin/system/rebuild/"):
        refused = client.get(url)
        assert refused.status_code == 403, url
        # A page of the site: it has the navigation, and says whom to ask.
        assert 'id="navigation"' in refused.text
        assert "Colleagues with the role Admin give permissions." in refused.text
        assert f'<bdi class="address">{url}</bdi>' in refused.text
    assert client.get(URL, headers={"Accept": "application/json"}).json()["status"] == 403
    assert "System" not in client.get("/admin/").text.partition('id="keys"')[0]


# --- Samples -----------------------------------------------------------------------------------
def test_samples_become_courses_with_gaps() -> None:
    for position, batches, seconds, pause in (
        (100, 1, 1.0, 10),
        (150, 2, 1.5, 10),
        (150, 2, 1.5, 300),
        (900, 9, 9.0, 10),
        (30, 1, 0.1, 0),
    ):
        Projection.objects.filter(name="order_view").update(
            position=position, batches=batches, batch_seconds=seconds
        )
        samples.record(subscriptions.all_statuses())
        age_samples(pause)

    [course] = [item.course for item in look().projections if item.status.name == "order_view"]

    assert [point.is_first for point in course.lag] == [True, False, False, True, False]
    assert [(round(point.value), point.is_first) for point in course.rate] == [
        (5, True),
        (0, False),
        # Another generation has become live: it counts anew.
        (0, True),
    ]
    assert [round(point.value) for point in course.batch] == [500, 0, 0]


def test_workers_write_one_sample_into_each_slot_of_a_ring(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Ten seconds could end between two samples of the test.
    monkeypatch.setattr(samples, "SECONDS", 600)
    for _ in range(3):
        samples.record(subscriptions.all_statuses())

    sample = SubscriberSample.objects.get()
    assert 0 <= sample.slot < samples.SLOTS
    sample.taken_at -= timedelta(minutes=15)
    sample.save()
    samples.record(subscriptions.all_statuses())
    assert SubscriberSample.objects.get(pk=sample.pk).taken_at > sample.taken_at + HOUR / 5


def test_a_chart_says_in_words_what_it_draws() -> None:
    points = [Point(0, 1, True), Point(10, 4, False), Point(200, 2, True)]

    chart = line("Lag", points, lambda value: f"{value:g} s")

    assert chart.stretches == ["0,75 10,0", "200,50"]
    assert chart.text == "Lag in the last 15 minutes: 2 s now, 4 s at most"
    assert line("Lag", [], str).text == "Lag in the last 15 minutes: no data"


# --- Given up ----------------------------------------------------------------------------------
@pytest.fixture
def given_up(settings: Any) -> Order:
    """An order whose notice was given up, and whose events the policies can't read."""
    plug(settings, notifier=Postman)
    Postman.answers = {"send": OSError("no route to robin@example.com")}
    order = new_order()
    policies.SUBSCRIPTION.set_timers()
    Timer.objects.filter(policy="tell_customers").update(tries=13)
    run_policies(kit.NOW + DAY)
    PolicyParkedEvent.objects.create(
        checkpoint=PolicyCheckpoint.objects.get(),
        event_id=kit.USER,
        stream=order.stream,
        version=1,
        position=1,
        type="OrderCreated",
        category="undecodable",
    )
    PolicyCheckpoint.objects.update(parked_streams=1)
    return order


def keys() -> list[Any]:
    return [action.id for action in policies.given_up.listed(limit=9)]


def test_what_was_given_up_is_listed_in_words(given_up: Order, make_user: Any) -> None:
    def text(role: Role) -> str:
        return page_text(logged_in(make_user(role, is_staff=True)), GIVEN_UP)

    listed = text(Role.CLERK)
    for expected in (
        f"Order {given_up.order_number} Notices to customers OSError: no route to "
        "robin@example.com 14",
        f"Order {given_up.order_number} All that follows from “Order created”",
        "2 given up.",
    ):
        assert expected in listed, expected
    assert "Retry…" not in listed
    assert "OSError: ***" in text(Role.AUDITOR)
    assert "Notices to customers 1 0" in page_text(
        logged_in(make_user(Role.WAREHOUSE, is_staff=True)), URL
    )


def test_a_retry_asks_and_lets_the_action_happen(given_up: Order, admin_user: User) -> None:
    client, chosen = logged_in(admin_user), keys()[:1]
    question_text = page_text(client, f"{GIVEN_UP}retry/?id={chosen[0]}")
    assert f"Order {given_up.order_number}: Notices to customers" in question_text
    assert policies.given_up.count()[0] == 2
    assert measured_generations().given_up == policies.given_up.count()

    done = client.post(f"{GIVEN_UP}retry/", {"id": chosen})

    assert messages_of(done) == ["success: 1 action is tried again."]
    Postman.answers = {}
    run_policies(kit.NOW + DAY)
    assert len(Postman.calls("send")) == 2
    assert policies.given_up.count()[0] == 1


def test_a_skip_needs_a_reason_and_is_final(given_up: Order, admin_user: User) -> None:
    client = logged_in(admin_user)

    refused = client.post(f"{GIVEN_UP}skip/", {"id": keys()})
    assert "This field is required" in refused.text
    done = client.post(f"{GIVEN_UP}skip/", {"id": keys(), "reason": "A test"})

    assert [message.partition(":")[0] for message in messages_of(done)] == ["success"] * 2
    assert policies.given_up.count() == (0, None)
    assert {row.skip_reason for row in policies.skipped()} == {"A test"}
    assert "The policies have given up nothing." in page_text(client, GIVEN_UP)


def test_only_administrators_retry_or_skip(given_up: Order, auditor: User) -> None:
    client = logged_in(auditor)
    for action in ("retry", "skip"):
        url = f"{GIVEN_UP}{action}/"
        assert client.post(url, {"id": keys(), "reason": "x"}).status_code == 403
    assert policies.given_up.count()[0] == 2
