"""Events that have left the database for the archive: readers of the log go on as before."""

from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from prometheus_client.exposition import generate_latest
from rest_framework.test import APIClient

from config.accounts.models import User
from config.accounts.roles import Role
from config.metrics import DatabaseCollector
from ordering_read.engine import generations, live
from ordering_read.engine.rebuild import rebuild
from ordering_read.engine.verify import verify as verify_projection
from ordering_read.exports import lists
from ordering_read.exports.rows import Selection
from ordering_read.models import Projection
from ordering_write import log, subscriptions
from ordering_write.archive import Storage, archive, begin_anew, detaching
from ordering_write.archive.errors import DetachedError
from ordering_write.bus import has_taken_effect
from ordering_write.domain import commands as c
from ordering_write.domain.errors import IdempotencyKeyExpiredError
from ordering_write.domain.values import ERASED
from ordering_write.log import Slice, detached, feed, replay, verification
from ordering_write.models import (
    ArchivedFile,
    CommandRecord,
    DetachedSpan,
    OutboxEvent,
    PersonalData,
    Timer,
)
from ordering_write.webhooks.models import WebhookDelivery, WebhookEndpoint
from tests import kit
from tests.databases import KeptRows, rolled_back
from tests.integration.test_read_api import ROOT, client_of
from tests.kit_admin import logged_in, page_text

NAME = "Quirin Unlikely"
PROJECTIONS = ["order_view", "sales_by_day"]


class Shop:
    """Cancelled orders and an open one, whose log is in three files."""

    def __init__(self, url: str) -> None:
        self.customer = kit.registered_customer(NAME)
        self.product = kit.registered_product(on_hand=100)
        address = {**kit.ADDRESS, "name": NAME}
        self.placing = [
            kit.create_order(self.customer, (self.product, 2), shipping_address=address)
            for _ in range(4)
        ]
        self.orders = [kit.dispatch(command)[0].order_id for command in self.placing]
        self.order, self.open = self.orders[0], self.orders[-1]
        note = c.AddNote(order_id=self.order, text="Rings twice", user_id=kit.USER)
        self.note_id = kit.dispatch(note)[0].note_id
        for order_id in self.orders[:-1]:
            kit.dispatch(
                c.CancelOrder(
                    user_id=kit.USER, timestamp=kit.NOW, order_id=order_id, reason="Not needed"
                )
            )
        log.sequence()
        self.end = log.last_position()
        assert len(list(archive(Storage(url), events_of_file=6, rest=True))) > 2
        CommandRecord.objects.all().delete()

    @property
    def streams(self) -> list[str]:
        return [*(f"order-{order_id}" for order_id in self.orders), self.product.stream]


@pytest.fixture(scope="module")
def kept(django_db_setup: None, django_db_blocker: Any, tmp_path_factory: Any) -> Any:
    """Return a shop and its rows, which aren't in the database, and the folder of its archive."""
    folder = tmp_path_factory.mktemp("archive")
    with django_db_blocker.unblock(), rolled_back():
        return Shop(str(folder)), KeptRows(), folder


def put_back(kept: Any, settings: Any) -> Shop:
    shop, rows, folder = kept
    settings.ARCHIVE_URL = str(folder)
    rows.put_back()
    with connection.cursor() as cursor:
        # In a test's transaction, triggers stay switched off after rows were put back.
        cursor.execute("SET LOCAL session_replication_role = origin")
    for subscription in subscriptions.registered():
        if subscription is live.PROJECTIONS:
            live.run(*subscription.names())
        else:
            ends = {"position": shop.end}
            ends["log_id"], ends["event_id"] = log.fingerprint(shop.end)
            subscription.checkpoints().update(**ends)
    return shop


@pytest.fixture
def shop(db: None, kept: Any, settings: Any) -> Shop:
    return put_back(kept, settings)


def detach(**options: Any) -> str:
    output = StringIO()
    call_command("detach", days=0, stdout=output, **options)
    return output.getvalue()


def refused(name: str, *arguments: str) -> str:
    with pytest.raises(CommandError) as refusal:
        call_command(name, *arguments, stdout=StringIO())
    return str(refusal.value)


def answers(shop: Shop, api: APIClient) -> dict[str, Any]:
    """Return the answers of the readers of the log, each of which needs an old event."""
    first = log.read_at([1])[0].recorded
    correlation_id = shop.placing[0].command_id
    orders = f"{ROOT}/orders/{shop.order}"
    return {
        "read_log": list(_batches(shop.end)),
        "slice": [log.read_batch(position, 7, Slice(1, 2)) for position in range(0, shop.end, 7)],
        "read_at": log.read_at(range(1, shop.end + 1)),
        "read_stream": [log.read_stream(stream, after=1) for stream in shop.streams[::4]],
        "read_streams": sorted(map(repr, log.read_streams(shop.streams))),
        "until": [log.read_streams([stream], until=1) for stream in shop.streams[::4]],
        "position_of": log.position_of(first.event_id),
        "fingerprint": [log.fingerprint(position) for position in (0, 1, 2, shop.end)],
        "recorded_at": log.recorded_at(1),
        "events_after": log.events_after([(stream, 0) for stream in shop.streams], limit=5),
        "correlation": log.read_correlation(correlation_id, limit=100),
        "feed stream": [feed.read_stream(stream, after=1, limit=3) for stream in shop.streams],
        "feed types": feed.read_log(after=0, types=["OrderCreated"], limit=100),
        "feed": feed.read_log(after=3, types=[], limit=10),
        "feed at": feed.read_at(range(1, shop.end + 1)),
        "relay": [
            {name: value for name, value in row.items() if name != "wal"}
            for row in [
                *feed.read_commits(after=0, until=5),
                *feed.read_commits(after=2, until=shop.end),
            ]
        ],
        "replay": replay.read([log.decoding.DomainEvent], after=0, until=shop.end),
        "whole": replay.read_whole_streams(
            [log.decoding.DomainEvent], streams=shop.streams[:1], until=shop.end
        ),
        "personal": log.personal_ids(f"order-{shop.order}", event_type="NoteAdded", data={}),
        "lag": subscriptions.lag_seconds([0, 9]),
        "history": ok(api.get(f"{orders}/events")),
        "time travel": ok(api.get(f"{orders}?version=2")),
        "diff": ok(api.get(f"{orders}/diff?from=1&to=3")),
    }


def ok(answer: Any) -> Any:
    assert answer.status_code == 200, answer.content
    return answer.json()


def _batches(end: int) -> Iterator[Any]:
    position = 0
    while position < end:
        events = log.read_log(position, 7)
        position = events[-1].recorded.position or end
        yield events


# --- Readers -----------------------------------------------------------------------------------
def test_readers_of_the_log_answer_as_before(shop: Shop, subtests: pytest.Subtests) -> None:
    api = client_of(Role.AUDITOR)
    before = answers(shop, api)
    detach()
    assert OutboxEvent.objects.count() < shop.end / 2

    after = answers(shop, api)
    assert after.pop("lag") == pytest.approx(before.pop("lag"), abs=60)
    for name, answer in before.items():
        with subtests.test(name):
            assert after[name] == answer


def test_commands_know_what_has_left(shop: Shop) -> None:
    detach()
    repeated = shop.placing[0]
    with pytest.raises(IdempotencyKeyExpiredError):
        kit.dispatch(repeated)
    assert has_taken_effect(repeated)
    assert not has_taken_effect(repeated.model_copy(update={"command_id": shop.order}))

    note = c.RedactNote(order_id=shop.order, note_id=shop.note_id, user_id=kit.USER)
    kit.dispatch(note)
    texts = [
        event.text for event in log.read_stream(f"order-{shop.order}")[2:] if hasattr(event, "text")
    ]
    assert texts == [ERASED]

    kit.dispatch(
        c.CancelOrder(user_id=kit.USER, timestamp=kit.NOW, order_id=shop.open, reason="Not needed")
    )
    erasure = c.EraseCustomer(user_id=kit.USER, customer_id=shop.customer.pk, reason="Asked for it")
    kit.dispatch(erasure)
    log.sequence()
    live.run(*PROJECTIONS)
    assert not PersonalData.objects.exists()
    assert NAME not in repr(log.read_streams(shop.streams))
    assert {row["personal"] for row in detached.read_range(0, shop.end)} == {None}
    for name in PROJECTIONS:
        assert not any(table.differing for table in verify_projection(name).tables)


def test_without_the_archive_a_sentence_says_so(shop: Shop, settings: Any) -> None:
    detach()
    api, address = client_of(Role.AUDITOR), f"{ROOT}/orders/{shop.order}"
    names = [("", "ARCHIVE_URL"), ("/nowhere", "can't be read")]
    for url, reason in names:
        settings.ARCHIVE_URL = url
        with pytest.raises(log.DetachedEventsError, match=reason):
            log.read_stream(f"order-{shop.order}")
        answer = api.get(f"{address}/events")
        assert (answer.status_code, answer.json()["code"]) == (503, "events_archived")
        assert "archive" in answer.json()["detail"]
        assert api.get(address).status_code == 200
        assert "have left the database" in refused("order_history", str(shop.order))
    # Commands of open orders, and of stock, need no file.
    kit.dispatch(kit.create_order(shop.customer, (shop.product, 1)))
    assert log.read_stream(f"order-{shop.open}")


def test_an_event_that_was_changed_in_a_file_is_never_shown(shop: Shop, tmp_path: Any) -> None:
    detach()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ordering_write.archive.reading.content_hash", lambda *_: "0")
        with pytest.raises(log.DetachedEventsError, match=r"was changed: manage\.py verify_a"):
            log.read_stream(f"order-{shop.order}")


def test_lists_of_events_say_what_they_lack(shop: Shop, admin_user: User) -> None:
    event = OutboxEvent.objects.get(stream=f"order-{shop.order}", version=1)
    pages = logged_in(admin_user)
    address = "/admin/ordering_write/outboxevent/"
    sentence = f"Events up to position {shop.end} of orders at rest, and of stock, have left"
    assert sentence not in page_text(pages, address)
    detach()
    assert pages.get(f"{address}{event.pk}/change/")["Location"] == address
    for path in ("", "?q=1"):
        assert sentence in page_text(pages, f"{address}{path}")
    exported = Selection(
        exported=lists.all_lists()["events"],
        format="csv",
        rows=OutboxEvent.objects.all(),
        with_personal=False,
    )
    assert exported.stamp().gap == "archived"
    system = page_text(pages, "/admin/system/")
    assert f"Events up to position {shop.end} of orders at rest" in system
    metrics = generate_latest(DatabaseCollector()).decode()
    assert f"orders_detached_position {float(shop.end)}" in metrics


# --- Detaching ---------------------------------------------------------------------------------
def test_only_what_nobody_waits_for_leaves(shop: Shop) -> None:
    stored = set(OutboxEvent.objects.values_list("stream", "version"))
    output = detach()
    departed = stored - set(OutboxEvent.objects.values_list("stream", "version"))

    newest = {stream: max(v for s, v in stored if s == stream) for stream, _ in stored}
    at_rest = {stream for stream in newest if stream != f"order-{shop.open}"}
    assert departed == {(s, v) for s, v in stored if s in at_rest and v < newest[s]}
    assert output.startswith(f"{len(departed)} events have left the database in ")
    assert f"the archive ends at position {shop.end}" in output
    assert detach().startswith("0 events have left")


def a_record() -> None:
    event = OutboxEvent.objects.earliest("id")
    CommandRecord.objects.create(
        command_id=event.command_id,
        type="RegisterCustomer",
        user_id=kit.USER,
        recorded_at=kit.NOW,
        actor={},
    )


def a_waiting_delivery() -> None:
    endpoint = WebhookEndpoint.objects.create(name="shop", url="https://example.com", position=99)
    WebhookDelivery.objects.create(
        endpoint=endpoint, position=2, event_id=kit.USER, stream="s", type="t", due_at=kit.NOW
    )


def a_parked_event() -> None:
    checkpoint: Any = live.PROJECTIONS.checkpoints().first()
    checkpoint.parked_events.create(event_id=kit.USER, stream="s", version=1, position=2, type="t")


NEEDED: dict[str, list[Callable[[], Any]]] = {
    "up to position 1 only": [
        lambda: live.PROJECTIONS.checkpoints().update(position=1),
        a_waiting_delivery,
        a_parked_event,
    ],
    "up to position 0 only": [lambda: generations.add("order_view", Projection.Status.BUILDING)],
    "records of its commands: manage.py prune_commands": [a_record],
}


def test_a_file_stays_whose_events_are_needed(shop: Shop, subtests: pytest.Subtests) -> None:
    for reason, needs in NEEDED.items():
        for number, need in enumerate(needs):
            savepoint = transaction.savepoint()
            other = transaction.savepoint(using="read")
            with subtests.test(reason, number=number):
                need()
                output = detach()
                assert "events-000000000001.parquet stays, because" in output
                assert reason in output
                assert output.startswith("0 events have left")
            transaction.savepoint_rollback(savepoint)
            transaction.savepoint_rollback(other, using="read")


def test_a_stream_stays_for_which_a_timer_waits(shop: Shop) -> None:
    stream = f"order-{shop.order}"
    Timer.objects.create(
        id=shop.order,
        policy="p",
        stream=stream,
        event_id=kit.USER,
        position=shop.end,
        due_at=kit.NOW,
    )
    detach()
    assert OutboxEvent.objects.filter(stream=stream, version=1).exists()
    Timer.objects.all().delete()
    detach()
    assert not OutboxEvent.objects.filter(stream=stream, version=1).exists()


def test_new_events_and_unproven_files_stay(shop: Shop) -> None:
    output = StringIO()
    call_command("detach", stdout=output)
    assert "stays, because its events go up to" in output.getvalue()
    last = ArchivedFile.objects.latest("first")
    ArchivedFile.objects.filter(pk=last.pk).update(sha256="0" * 64)
    assert f"{last}: its bytes were changed" in refused("detach", "--days", "0")
    assert list(ArchivedFile.objects.filter(detached_at=None)) == [last]


def test_the_log_lets_no_other_event_go(shop: Shop) -> None:
    detach()
    statements = [
        "DELETE FROM event WHERE type = 'OrderCancelled'",
        f"DELETE FROM event WHERE stream = 'order-{shop.open}'",
        "DELETE FROM event_position WHERE position = 1",
        "UPDATE event SET type = 'Other'",
    ]
    [created, *_] = kit.dispatch(kit.create_order(shop.customer, (shop.product, 1)))
    statements += [f"DELETE FROM event WHERE version = 1 AND stream = 'order-{created.order_id}'"]
    for statement in statements:
        with (
            pytest.raises(DatabaseError, match="append-only"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)


def test_a_killed_call_is_gone_on_with(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    before = log.read_streams(shop.streams)
    monkeypatch.setattr(detaching, "_EVENTS_AT_ONCE", 4)
    parts: Any = detaching.detach(Storage(), list(ArchivedFile.objects.all()))
    assert next(parts).events
    parts.close()
    assert log.read_streams(shop.streams) == before
    detach()
    assert log.read_streams(shop.streams) == before
    assert OutboxEvent.objects.count() < shop.end / 2


# --- Attaching ---------------------------------------------------------------------------------
def attach(*arguments: str) -> str:
    output = StringIO()
    call_command("attach", *arguments, stdout=output)
    return output.getvalue()


def test_attach_brings_the_events_back(shop: Shop) -> None:
    rows = list(OutboxEvent.objects.order_by("id").values())
    detach()
    with pytest.raises(DetachedError):
        begin_anew(Storage("/elsewhere"))
    second = ArchivedFile.objects.all()[1].first
    assert f"positions {second} to" in attach("--from", str(second))
    assert log.detached.until() == second - 1
    assert len(log.read_at(range(1, shop.end + 1))) == sum(map(len, _batches(shop.end)))
    attach()

    assert list(OutboxEvent.objects.order_by("id").values()) == rows
    assert not DetachedSpan.objects.exists()
    assert detached.until() == 0
    assert attach() == "No event has left the database.\n"
    assert len(log.read_log(0, shop.end)) == shop.end


def test_attach_refuses_other_events(shop: Shop) -> None:
    detach()
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("UPDATE event SET hash = repeat('0', 64)")
        cursor.execute("SET LOCAL session_replication_role = origin")
    assert "isn't the event that the log has" in refused("attach")


@pytest.mark.usefixtures("db")
def test_before_the_first_archive_each_command_says_so(settings: Any, tmp_path: Any) -> None:
    settings.ARCHIVE_URL = str(tmp_path)
    for name, *arguments in [["detach"], ["verify_archive"], ["query_archive", "SELECT 1"]]:
        assert refused(name, *arguments) == "Nothing is archived yet: manage.py archive"


# --- The whole log -----------------------------------------------------------------------------
def test_the_log_and_its_projections_are_sound(committed: None, kept: Any, settings: Any) -> None:
    shop = put_back(kept, settings)
    assert list(verification.verify(progress=lambda _: None)) == []
    detach()
    for processes in (1, 2):
        assert list(verification.verify(processes=processes, progress=lambda _: None)) == []
    stream = f"order-{shop.order}"
    assert list(verification.verify(stream=stream, progress=lambda _: None)) == []
    for name in PROJECTIONS:
        assert not any(table.differing for table in verify_projection(name).tables)
        assert not any(table.differing for table in verify_projection(name, sample=2).tables)
        rebuilt = rebuild(name, batch=7)
        assert rebuilt.not_compared == ""
        assert not any(table.differing for table in rebuilt.compared)
