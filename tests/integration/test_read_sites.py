"""Read sites: read databases with workers and queues of their own, beside one write side."""

import re
from typing import Any

import pytest
from django.apps import apps
from django.core.cache import cache
from django.db.models.functions import Now
from django.test import Client
from django_q.conf import Conf
from django_q.models import OrmQ, Schedule

from config import library_settings
from config.accounts.models import User
from config.metrics import DatabaseCollector
from config.workers import ownership, schedule
from config.workers.broker import ProjectionBroker
from ordering_read.checks import check_read_site
from ordering_read.models import Projection
from ordering_write import subscriptions
from ordering_write.models import Alarm, QueueOwner, SubscriberSample
from ordering_write.subscriptions import alarm, samples
from tests import kit

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture
def at_site(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that lets this process belong to a read site."""

    def enter(site: str) -> None:
        name = f"orders-{site}" if site else "orders"
        settings.READ_SITE = site
        settings.Q_CLUSTER = library_settings.q_cluster(
            name=name, broker="", workers=1, poll=settings.PROJECTION_POLL_SECONDS
        )
        monkeypatch.setattr(Conf, "CLUSTER_NAME", name)

    return enter


def claimed(site: str) -> list[str]:
    """Return the tasks that the broker of a site takes from the queue."""
    broker = ProjectionBroker(f"orders-{site}" if site else "orders")
    return [payload for _key, payload in broker._claim()]


def test_a_task_of_one_site_is_never_carried_out_at_another(
    at_site: Any, client: Client, admin_user: User
) -> None:
    at_site("athens")
    ProjectionBroker("orders-athens").enqueue("rebuild at athens")

    client.force_login(admin_user)
    assert re.search("the read site <bdi>athens", client.get("/admin/system/").text)
    assert "1 waiting" in client.get("/admin/system/").text
    at_site("berlin")
    cache.clear()
    assert "0 waiting" in client.get("/admin/system/").text
    [waiting] = [m for m in DatabaseCollector().collect() if m.name == "orders_queue_tasks"]
    assert waiting.samples[0].value == 0
    assert claimed("berlin") == claimed("") == []
    assert claimed("athens") == ["rebuild at athens"]


def test_workers_refuse_the_queue_of_another_read_database(
    at_site: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    kit.registered_customer()
    ownership.claim()
    QueueOwner.objects.update(read_database="another/orders_read/public")
    monkeypatch.setattr("config.workers.broker._LONGEST_PAUSE", 0)
    broker = ProjectionBroker("orders")
    OrmQ.objects.create(key="orders", payload="rebuild", lock=Now())

    assert broker.dequeue() is None
    assert broker.dequeue() is None

    assert caplog.text.count("The workers of another read database use the queue orders") == 1
    assert Alarm.objects.get().subject == "Two read sites share a queue"
    ownership.release()
    assert QueueOwner.objects.exists(), "workers release their own queues only"
    at_site("berlin")
    ownership.claim()
    ownership.release()
    assert [owner.queue for owner in QueueOwner.objects.all()] == ["orders"]
    at_site("")
    QueueOwner.objects.update(seen_at="2026-01-01T00:00:00Z")
    assert broker.dequeue()
    assert QueueOwner.objects.get().read_database != "another/orders_read/public"
    if broker._listener:
        broker._listener.close()


def test_each_site_wakes_its_own_projections_by_a_schedule(at_site: Any) -> None:
    for site in ("", "athens", "berlin"):
        at_site(site)
        schedule.keep_schedules(using="default", apps=apps)

    wake_ups = Schedule.objects.filter(func=schedule._WAKE_UP["func"])
    assert dict(wake_ups.values_list("name", "cluster")) == {
        "projections": None,
        "projections at athens": "orders-athens",
        "projections at berlin": "orders-berlin",
    }


def test_sites_share_the_ring_of_samples_and_name_themselves_in_alarms(at_site: Any) -> None:
    for site in ("athens", "berlin", "berlin"):
        at_site(site)
        samples.record(subscriptions.all_statuses())
        Projection.objects.filter(name="order_view").update(position=7)

    [sample] = SubscriberSample.objects.all()
    positions = {key: figures[0] for key, figures in sample.figures.items() if "order_view" in key}
    assert positions == {"projections@athens/order_view": 0, "projections@berlin/order_view": 7}
    assert "policies/policies" in sample.figures
    alarm.report("Projections are late", ["Projection order_view is late."], 30)
    assert Alarm.objects.get().text == "Site berlin: Projection order_view is late."


def test_a_site_needs_a_read_database_of_its_own(at_site: Any, settings: Any) -> None:
    settings.READ_SCHEMA = "ordering_read"
    assert check_read_site() == []
    at_site("athens")
    [error] = check_read_site()
    assert "Set READ_DATABASE_URL" in (error.hint or "")
    settings.READ_SCHEMA = ""
    assert check_read_site() == []
