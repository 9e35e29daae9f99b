"""Erasure follows from the types of events: no personal field of any event survives it anywhere."""

from typing import Any

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext
from pydantic import BaseModel
from uuid_utils.compat import uuid7

from ordering_read.engine import live
from ordering_read.engine.rebuild import rebuild
from ordering_read.models import OrderLine, OrderSummary, ParkedEvent, StoredResponse
from ordering_read.models.order_timeline import TimelineEntry
from ordering_read.projections import timeline_sentences
from ordering_read.projections.order_view import OrderProjection
from ordering_read.projections.timeline_sentences import Icon, Sentence
from ordering_read.projector import registered
from ordering_write import log
from ordering_write.domain import events as e
from ordering_write.domain.commands import AddNote, EraseCustomer, RedactNote
from ordering_write.domain.events import DomainEvent
from ordering_write.domain.values import ERASED
from ordering_write.log import feed, outbox
from ordering_write.management.commands.scan_personal_data import Match, find_texts
from ordering_write.models import Customer, Order
from ordering_write.models.aggregate import save
from ordering_write.relay.port import message_of
from tests import kit, kit_golden
from tests.integration.test_parking import Poison
from tests.kit_projections import blocking, skip

pytestmark = pytest.mark.usefixtures("committed")


class Shop:
    """A customer and a closed order without a text that a canary could be taken for."""

    def __init__(self) -> None:
        self.customer = kit.registered_customer()
        self.order = kit.placed_order(self.customer, (kit.registered_product(), 1))
        [self.line_id] = kit.stored(self.order.stream).lines
        kit.dispatch(kit.cancel(self.order))

    def append(self, event: DomainEvent) -> None:
        """Append ``event`` to the stream of the order or the customer, as its aggregate would."""
        ids = {
            "order_id": self.order.pk,
            "customer_id": self.customer.pk,
            "note_id": uuid7(),
            "line_id": self.line_id,
            "order_number": self.order.order_number,
        }
        names = type(event).model_fields.keys() & ids.keys()
        event = event.model_copy(update={name: ids[name] for name in names})
        with outbox.commit():
            is_of_order = isinstance(event, e.OrderEvent)
            aggregate: Any = (
                Order.load(self.order.pk) if is_of_order else Customer.load(self.customer.pk)
            )
            aggregate._raise_event(event)
            save([aggregate], caused_by=self.erasure())

    def erasure(self) -> EraseCustomer:
        return EraseCustomer(user_id=kit.USER, customer_id=self.customer.pk, reason="Asked for it")


def catch_up() -> None:
    live.run(*registered())


def with_canaries(event: DomainEvent) -> tuple[DomainEvent, list[str]]:
    """Return ``event`` with an own text in each text of its personal fields, and these texts."""
    canaries: list[str] = []

    def replaced(value: Any) -> Any:
        match value:
            case str():
                canaries.append(f"canary {len(canaries)} {uuid7().hex[-6:]}")
                return canaries[-1]
            case BaseModel() | dict():
                return {name: replaced(member) for name, member in dict(value).items()}
            case list():
                return [replaced(member) for member in value]
            case _:
                return value

    fields = {
        name: replaced(value) if name in event.personal else value
        for name, value in dict(event).items()
    }
    return type(event).model_validate(fields), canaries


def personal_events() -> list[DomainEvent]:
    """Return an event of each type with personal fields: of the golden corpus and of this test."""
    golden = [kit_golden.read(path) for path in kit_golden.all_paths()]
    latest = {event.type: event for event in golden if event.personal}
    return list(latest.values())


def last_message() -> bytes:
    """Return the last event of the log as a relay publishes it."""
    last = log.last_position()
    return message_of(feed.read_commits(after=last - 1, until=last)[-1]).body


def columns_with(canaries: list[str]) -> list[Match]:
    return list(find_texts(canaries))


@pytest.fixture
def message_event(monkeypatch: pytest.MonkeyPatch) -> type[Any]:
    """A new type of event, whose personal text the timeline quotes."""
    monkeypatch.setattr(DomainEvent, "types", dict(DomainEvent.types))

    class GiftMessageWritten(e.OrderEvent):
        personal = frozenset({"message"})

        message: str

    def about(event: e.OrderEvent, products: Any) -> Sentence | None:
        if isinstance(event, GiftMessageWritten):
            return Sentence(Icon.NOTE, f"wrote {event.message}", f"You wrote {event.message}")
        return None

    families = (about, *timeline_sentences._FAMILIES)
    monkeypatch.setattr(timeline_sentences, "_FAMILIES", families)
    return GiftMessageWritten


# --- Every event type --------------------------------------------------------------------------
def test_no_personal_field_of_any_event_type_survives_an_erasure(
    subtests: pytest.Subtests, message_event: type[Any]
) -> None:
    new = message_event(timestamp=kit.NOW, order_id=uuid7(), message="Happy birthday")
    shops, all_canaries = [], []
    for golden in (*personal_events(), new):
        event, canaries = with_canaries(golden)
        shops.append(Shop())
        shops[-1].append(event)
        catch_up()
        with subtests.test("stored", type=golden.type):
            assert {match.database for match in columns_with(canaries)} == {"default", "read"}
        with subtests.test("relayed", type=golden.type):
            assert not [text for text in canaries if text in last_message().decode()]
        all_canaries += canaries

    for shop in shops:
        kit.dispatch(shop.erasure())
    catch_up()

    assert columns_with(all_canaries) == []
    assert not ParkedEvent.objects.exists()
    for name in registered():
        rebuild(name)
    assert not ParkedEvent.objects.exists()


def test_a_new_personal_event_reads_as_erased_in_the_timeline(message_event: type[Any]) -> None:
    shop = Shop()
    shop.append(message_event(timestamp=kit.NOW, order_id=shop.order.pk, message="Happy birthday"))
    catch_up()
    kit.dispatch(shop.erasure())
    catch_up()

    entry = TimelineEntry.live.get(type="GiftMessageWritten")

    assert entry.sentence.endswith("wrote [erased]")
    assert entry.customer_sentence == "You wrote [erased]"


def test_erased_rows_equal_the_rows_of_a_rebuild() -> None:
    shop = Shop()
    note, canaries = with_canaries(
        e.NoteAdded(
            timestamp=kit.NOW,
            order_id=shop.order.pk,
            note_id=uuid7(),
            text="Ring twice",
            visibility=e.Visibility.CUSTOMER,
        )
    )
    shop.append(note)
    catch_up()
    kit.dispatch(shop.erasure())
    catch_up()
    models = [model for projection in registered().values() for model in projection.models]
    mended = {model: live_rows(model) for model in models}

    for name in registered():
        rebuild(name)

    assert columns_with(canaries) == []
    for model in models:
        assert live_rows(model) == mended[model], model


def live_rows(model: Any) -> list[Any]:
    rows = [
        {name: value for name, value in row.items() if name not in ("key", "projection_id")}
        for row in model.live.values()
    ]
    return sorted(rows, key=lambda row: str(sorted(row.items())))


# --- Batches -----------------------------------------------------------------------------------
def test_events_after_the_erasing_event_in_its_batch_are_applied_once() -> None:
    shop = Shop()
    note = kit.dispatch(
        AddNote(user_id=kit.USER, order_id=shop.order.pk, text="Rings twice", timestamp=kit.NOW)
    )[0]
    kit.dispatch(
        RedactNote(
            user_id=kit.USER, order_id=shop.order.pk, note_id=note.note_id, timestamp=kit.NOW
        )
    )
    kit.dispatch(
        AddNote(user_id=kit.USER, order_id=shop.order.pk, text="Has a bell", timestamp=kit.NOW)
    )

    catch_up()

    entries = list(TimelineEntry.live.filter(order_id=shop.order.pk).order_by("version"))
    assert [entry.version for entry in entries] == list(range(1, len(entries) + 1))
    texts = [entry.sentence.partition("noted: ")[2] for entry in entries]
    assert [text for text in texts if text] == [ERASED, "Has a bell"]


def test_an_event_that_was_skipped_stays_out_of_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Shop()
    poison = Poison(OrderProjection, monkeypatch)
    poison.add(shop.order, version=3)
    catch_up()
    skip(blocking().get(), reason="Not needed", by="ada")

    kit.dispatch(shop.erasure())
    catch_up()

    assert OrderSummary.live.get().customer_name == ERASED
    assert OrderLine.live.get().cancelled == 0


def test_erasing_many_orders_takes_as_many_statements_as_one() -> None:
    def statements(orders: int) -> int:
        customer, product = kit.registered_customer(), kit.registered_product()
        for _ in range(orders):
            kit.dispatch(kit.cancel(kit.placed_order(customer, (product, 1))))
        catch_up()
        kit.dispatch(EraseCustomer(user_id=kit.USER, customer_id=customer.pk, reason="Asked."))
        with (
            CaptureQueriesContext(connections["default"]) as write,
            CaptureQueriesContext(connections["read"]) as read,
        ):
            catch_up()
        return len(write) + len(read)

    assert statements(1) == statements(4)


# --- Copies beside the rows --------------------------------------------------------------------
def test_the_stored_response_to_a_retry_is_erased() -> None:
    shop, other = Shop(), Shop()
    for owner in (shop, other):
        body = {"stream": owner.order.stream, "held_by": {"message": "KeyError: 'Robin Sample'"}}
        StoredResponse.objects.create(request_id=uuid7(), fingerprint="", response=body)
    kit.dispatch(shop.erasure())

    catch_up()

    [kept] = StoredResponse.objects.all()
    assert kept.response["stream"] == other.order.stream


# --- The text of erased fields -----------------------------------------------------------------
def test_the_text_of_erased_fields_fits_every_column_that_holds_personal_texts(
    subtests: pytest.Subtests,
) -> None:
    shop = Shop()
    canaries: list[str] = []
    for golden in personal_events():
        event, texts = with_canaries(golden)
        shop.append(event)
        canaries += texts
    catch_up()

    columns = [(match.database, match.table, match.column) for match in columns_with(canaries)]

    assert ("read", "customer_view", "phone") in columns
    for database, table, column in columns:
        with subtests.test(table=table, column=column):
            assert (max_length(database, table, column) or len(ERASED)) >= len(ERASED)


def max_length(database: str, table: str, column: str) -> int | None:
    """Return the most characters that a column takes, None without a limit."""
    with connections[database].cursor() as cursor:
        cursor.execute(
            "SELECT character_maximum_length FROM information_schema.columns"
            " WHERE table_name = %s AND column_name = %s",
            [table, column],
        )
        length: int | None = cursor.fetchone()[0]
        return length
