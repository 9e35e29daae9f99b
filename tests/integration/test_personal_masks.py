"""Timelines and errors without personal texts, which the types of events name."""

import pytest
from rest_framework.test import APIClient

from config.accounts.models import User
from ordering_read.models import ParkedEvent
from ordering_read.projections.order_view import OrderProjection
from ordering_read.queries.parked_events import masked_message
from ordering_read.queries.timeline import masked_sentence
from ordering_write.domain import events as e
from ordering_write.domain.events import DomainEvent
from tests import kit
from tests.integration.test_erasure_by_type import (
    Shop,
    catch_up,
    message_event,
    personal_events,
    with_canaries,
)
from tests.integration.test_parking import Poison
from tests.kit_admin import list_url, logged_in, row_url
from tests.kit_projections import blocking

pytestmark = pytest.mark.usefixtures("committed")

__all__ = ["message_event"]


def timelines(user: User, shop: Shop) -> dict[str, str]:
    """Return the text of each place that shows ``user`` the timeline of the order."""
    client, pages = APIClient(), logged_in(user)
    client.force_authenticate(user)
    return {
        "API": client.get(f"/api/v1/orders/{shop.order.pk}/timeline").text,
        "list": pages.get(list_url("ordering_read/timelineentry")).text,
        "order": pages.get(row_url("ordering_read/ordersummary", shop.order.pk)).text,
    }


def visible_texts(event: DomainEvent) -> set[str]:
    """Return the personal texts of ``event`` that the page of an order shows to all its users."""
    match event:
        case e.OrderCreated(customer=customer, shipping_address=e.PostalAddress() as address):
            return {customer.name, address.city, address.country}
        case e.ShippingAddressChanged(to_address=address):
            return {address.city, address.country}
        case _:
            return set()


def test_personal_texts_of_every_event_type_are_masked(
    subtests: pytest.Subtests,
    auditor: User,
    clerk: User,
    message_event: type[e.OrderEvent],
) -> None:
    new = message_event.model_validate(
        {"timestamp": kit.NOW, "order_id": kit.USER, "message": "Happy birthday"}
    )
    for golden in (*personal_events(), new):
        if not isinstance(golden, e.OrderEvent):
            continue
        event, canaries = with_canaries(golden)
        shop = Shop()
        shop.append(event)
        catch_up()
        texts = [canary for canary in canaries if canary not in visible_texts(event)]
        for place, text in timelines(auditor, shop).items():
            with subtests.test("masked", type=event.type, place=place):
                assert [canary for canary in texts if canary in text] == []
        if event.type in ("NoteAdded", "GiftMessageWritten"):
            for place, text in timelines(clerk, shop).items():
                with subtests.test("shown", type=event.type, place=place):
                    assert [canary for canary in texts if canary in text] == texts


def test_a_masked_sentence_keeps_its_actor(message_event: type[DomainEvent]) -> None:
    name = message_event.__name__

    assert masked_sentence(name, "ada wrote Happy birthday", "ada") == "ada: ***"
    assert masked_sentence(name, "You wrote Happy birthday", None) == "***"
    assert masked_sentence("NoteAdded", "ada noted: Ring twice", "ada") == "ada noted: ***"


def test_a_sentence_of_a_type_that_the_code_lacks_is_masked() -> None:
    assert masked_sentence("GiftMessageDropped", "ada wrote Hello", "ada") == "ada: ***"


def test_a_sentence_without_personal_texts_stays() -> None:
    assert masked_sentence("OrderTagged", "ada added the tag vip", "ada") == "ada added the tag vip"


# --- Errors that quote personal texts ----------------------------------------------------------
def test_the_error_of_a_personal_event_is_masked(
    auditor: User, clerk: User, monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests
) -> None:
    shop = Shop()
    poison = Poison(OrderProjection, monkeypatch)
    poison.add(shop.order, version=1)
    catch_up()
    row = blocking().get()
    paths = {
        "API list": "/api/v1/parked-events",
        "API": f"/api/v1/parked-events/{row.pk}",
        "admin list": list_url("ordering_read/parkedevent"),
        "admin": row_url("ordering_read/parkedevent", row.pk),
    }
    for user, text in ((auditor, "ValueError: ***"), (clerk, "ValueError: no such colour")):
        for place, path in paths.items():
            client = logged_in(user)
            with subtests.test(place, user=user.username):
                page = client.get(path).text
                assert text in page
                assert ("no such colour" in page) is (user == clerk)


def test_the_error_of_an_event_without_personal_fields_is_shown() -> None:
    category = ParkedEvent.Category.PROJECTION_ERROR

    assert masked_message("OrderTagged", category, "KeyError: 'vip'") == "KeyError: 'vip'"
    assert masked_message("NoteAdded", category, "KeyError: 'Robin'") == "KeyError: ***"
