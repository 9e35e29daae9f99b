"""Reads from a replica of the read database: a real standby of the embedded server."""

import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.db import connections
from django.http import HttpResponse
from django.test import RequestFactory

from config.databases import replica
from config.databases.embedded import EmbeddedServer
from ordering_read.engine import live, waiting
from ordering_read.engine.freshness import freshness
from ordering_read.models import OrderSummary, Worker
from ordering_read.projector import registered
from ordering_write import log
from ordering_write.models import Order
from tests import kit
from tests.acceptance.service import wait_until
from tests.standby import Standby, standby_of

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "read"])

NAME = "order_view"


@pytest.fixture
def standby(settings: Any) -> Iterator[Standby]:
    """Let this process read from a standby, as a web process with READ_REPLICA_URL does."""
    name = settings.DATABASES["read"]["NAME"]
    with standby_of(EmbeddedServer(settings.DATA_DIR).url("postgres")) as standby:
        entry = settings.DATABASES["read"]
        settings.DATABASES[replica.PRIMARY] = entry
        settings.DATABASES["read"] = {**entry, "PORT": urlsplit(standby.url(name)).port}
        connections["read"].close()
        connections[replica.PRIMARY] = connections["read"]
        del connections["read"]
        try:
            yield standby
        finally:
            waiting.stop()
            connections["read"].close()
            connections["read"] = connections[replica.PRIMARY]
            del connections[replica.PRIMARY]
            settings.DATABASES["read"] = settings.DATABASES.pop(replica.PRIMARY)


def project() -> None:
    """Run the projections as the workers do, who know the primary only."""
    with replica.primary():
        live.run(*registered())


def placed_order() -> Order:
    return kit.placed_order(kit.registered_customer(), (kit.registered_product(), 1))


def last_event(order: Order) -> Any:
    return log.read_stream(order.stream)[-1].recorded


def test_requests_read_the_replica_and_write_to_the_primary(standby: Standby) -> None:
    seen: dict[str, Any] = {}

    def respond(request: Any) -> HttpResponse:
        with connections["read"].cursor() as cursor:
            cursor.execute("SELECT pg_is_in_recovery()")
            seen[request.method] = cursor.fetchone()[0]
        if request.method == "POST":
            Worker.objects.create(host="written", pid=1)
            with replica.reading(), connections["read"].cursor() as cursor:
                cursor.execute("SELECT pg_is_in_recovery()")
                seen["inside"] = cursor.fetchone()[0]
        return HttpResponse()

    middleware = replica.PrimaryForWritesMiddleware(respond)
    for method in ("get", "head", "post", "get"):
        middleware(getattr(RequestFactory(), method)("/"))

    assert seen == {"GET": True, "HEAD": True, "POST": False, "inside": True}
    wait_until(lambda: Worker.objects.filter(host="written").exists())

    # Waits and freshness are those of the replica.
    order = placed_order()
    event_id = last_event(order).event_id
    standby.pause_replay()
    project()
    assert not waiting.wait(event_id=event_id, projections=[NAME], timeout=0)
    assert freshness([NAME]).position < log.head()
    with replica.primary():
        assert freshness([NAME]).position == log.head()
        assert not waiting.wait(event_id=event_id, projections=[NAME], timeout=0)
    resumed_at: list[float] = []

    def resume() -> None:
        standby.resume_replay()
        resumed_at.append(time.monotonic())

    later = threading.Timer(1.0, resume)
    later.start()
    assert waiting.wait(event_id=event_id, projections=[NAME], timeout=30)
    print(f"The wait ended {time.monotonic() - resumed_at[0]:.3f} s after the replay.")
    assert OrderSummary.live.get().order_id == order.id
    later.join()
