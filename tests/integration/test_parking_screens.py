"""Parked events over HTTP and in the admin: who sees them, retries and skips, and what is told."""

import re
from typing import Any
from uuid import UUID

import pytest
from django.contrib.messages import get_messages
from django.db import connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from config.accounts.models import User
from config.accounts.roles import Role
from ordering_read.engine import live, parking
from ordering_read.models import OrderSummary, ParkedEvent, StoredResponse
from ordering_read.projections.order_view import OrderProjection
from ordering_write.models import Order
from tests import kit
from tests.integration.test_parking import Poison

pytestmark = pytest.mark.usefixtures("db")

PARKED = "/api/v1/parked-events"
PAGE = "/admin/ordering_read/parkedevent/"


@pytest.fixture
def poison(monkeypatch: pytest.MonkeyPatch) -> Poison:
    """What fails in order_view."""
    return Poison(OrderProjection, monkeypatch)


@pytest.fixture
def order(poison: Poison) -> Order:
    """An order whose second event can't be applied, and whose third waits behind it."""
    order = kit.placed_order(
        kit.registered_customer(), (kit.registered_product(), 1), (kit.registered_product(), 1)
    )
    poison.add(order, version=2)
    live.run("order_view")
    return order


def api(user: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(user)
    return client


def browser(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def held_up() -> ParkedEvent:
    return parking.held_up().get()


# --- The API -----------------------------------------------------------------------------------
def test_the_list_shows_what_is_parked_and_why(order: Order, clerk: User) -> None:
    body = api(clerk).get(PARKED).json()

    first, second = body["results"]
    row = held_up()
    here = f"http://testserver{PARKED}/{row.pk}"
    assert body["count"] == 2
    assert (first["category"], second["category"]) == ("projection-error", "waiting")
    assert {name: first[name] for name in first if not name.endswith("_at")} == {
        "id": str(row.pk),
        "projection": "order_view",
        "generation": 1,
        "event_id": str(row.event_id),
        "type": "OrderItemAdded",
        "stream": order.stream,
        "version": 2,
        "position": row.position,
        "category": "projection-error",
        "message": "ValueError: no such colour",
        "tries": 1,
        "skipped_by": "",
        "skip_reason": "",
        "links": {"self": here, "retry": f"{here}/retry", "skip": f"{here}/skip"},
    }
    detail = api(clerk).get(here).json()
    assert "in apply_or_fail" in detail.pop("traceback")
    assert detail == first


def test_the_list_is_narrowed(order: Order, clerk: User) -> None:
    client = api(clerk)
    for query, count in (
        (f"stream={order.stream}&projection=order_view", 2),
        ("stream=order-1", 0),
        ("projection=customer_view", 0),
    ):
        assert client.get(f"{PARKED}?{query}").json()["count"] == count
    refused = client.get(f"{PARKED}?projection=nothing")
    assert refused.status_code == 400
    assert "customer_view" in refused.json()["detail"]


def test_the_projection_says_how_many_streams_are_parked(order: Order, clerk: User) -> None:
    found = api(clerk).get("/api/v1/projections").json()["results"]

    assert {one["name"]: one["parked_streams"] for one in found if one["parked_streams"]} == {
        "order_view": 1
    }


def test_a_retry_says_what_became_of_it(order: Order, poison: Poison, admin_user: User) -> None:
    client, row = api(admin_user), held_up()

    failed = client.post(f"{PARKED}/{row.pk}/retry", {}, format="json")
    poison.events.clear()
    done = client.post(f"{PARKED}/{row.pk}/retry", {}, format="json")

    assert failed.status_code == done.status_code == 200
    assert (failed.json()["applied"], failed.json()["held_by"]["tries"]) == (0, 2)
    assert done.json() == {
        "projection": "order_view",
        "generation": 1,
        "stream": order.stream,
        "applied": 2,
        "held_by": None,
    }
    assert OrderSummary.live.get().item_count == 2
    assert client.post(f"{PARKED}/{row.pk}/retry", {}, format="json").status_code == 404


def test_a_skip_is_recorded(order: Order, admin_user: User) -> None:
    client, row = api(admin_user), held_up()

    answer = client.post(f"{PARKED}/{row.pk}/skip", {"reason": "A test"}, format="json")

    assert (answer.status_code, answer.json()["applied"]) == (200, 1)
    shown = client.get(f"{PARKED}/{row.pk}").json()
    assert shown["skipped_by"] == f"admin (user {admin_user.pk})"
    assert shown["skip_reason"] == "A test"
    again = client.post(f"{PARKED}/{row.pk}/skip", {"reason": "A test"}, format="json")
    assert (again.status_code, again.json()["code"]) == (409, "event_skipped")


def test_what_can_not_be_skipped_is_refused(order: Order, admin_user: User) -> None:
    client = api(admin_user)
    waits = parking.parked().get(category=ParkedEvent.Category.WAITING)
    for row, body, status, code in (
        (waits.pk, {"reason": "A test"}, 409, "event_waits"),
        (held_up().pk, {}, 422, "validation"),
        (held_up().pk, {"reason": "\u0000"}, 400, "malformed"),
        (UUID(int=1), {"reason": "A test"}, 404, "not_found"),
        ("nothing", {"reason": "A test"}, 404, "not_found"),
    ):
        answer = client.post(f"{PARKED}/{row}/skip", body, format="json")
        assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize(("action", "body"), [("retry", {}), ("skip", {"reason": "A test"})])
def test_a_repeat_with_the_same_key_is_answered_like_the_first_time(
    order: Order, admin_user: User, poison: Poison, action: str, body: Any
) -> None:
    poison.events.clear()
    client, here = api(admin_user), f"{PARKED}/{held_up().pk}/{action}"
    other = f"{PARKED}/{UUID(int=1)}/{action}"

    def send(address: str, key: str) -> Any:
        return client.post(address, body, format="json", headers={"Idempotency-Key": key})

    assert send(other, "my-key").status_code == 404
    first, again = send(here, "my-key"), send(here, '"my-key"')

    assert (first.status_code, "Idempotency-Replayed" in first) == (200, False)
    assert (again.status_code, again["Idempotency-Replayed"]) == (200, "true")
    assert again.json() == first.json()
    reused = send(other, "my-key")
    assert (reused.status_code, reused.json()["code"]) == (422, "idempotency_key_reused")
    assert send(here, "ä" * 3).json()["code"] == "invalid_parameter"
    assert send(here, "another").status_code in (404, 409)


def test_answers_are_forgotten(order: Order, admin_user: User, settings: Any) -> None:
    settings.COMMAND_RECORD_DAYS = 0
    client, here = api(admin_user), f"{PARKED}/{held_up().pk}/retry"
    for key in ("first", "second"):
        client.post(here, {}, format="json", headers={"Idempotency-Key": key})
    assert not StoredResponse.objects.exists()


@pytest.mark.parametrize("role", set(Role) - {Role.ADMIN})
def test_nobody_else_retries_or_skips(order: Order, role: Role, make_user: Any) -> None:
    client, row = api(make_user(role)), held_up()

    for action in ("retry", "skip"):
        answer = client.post(f"{PARKED}/{row.pk}/{action}", {"reason": "x"}, format="json")
        assert answer.status_code == 403
    assert held_up().tries == row.tries == 1


def test_a_person_finds_the_forms_on_the_page(order: Order, admin_user: User) -> None:
    page = browser(admin_user).get(f"{PARKED}/{held_up().pk}", headers={"Accept": "text/html"}).text

    assert f"{PARKED}/{held_up().pk}/retry" in page
    assert f"{PARKED}/{held_up().pk}/skip" in page
    assert "It was a test" in page


# --- The admin ---------------------------------------------------------------------------------
def text_of(client: Client, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200
    content = response.content.decode().partition('id="content-start"')[2]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", content))


def test_the_page_lists_and_filters(order: Order, auditor: User) -> None:
    client = browser(auditor)

    listed = text_of(client, PAGE)

    assert f"OrderItemAdded {order.stream} 2 order_view, generation 1" in listed
    assert "ValueError: no such colour" in listed
    for query, events in (
        ("?state=parked", 1),
        ("?state=waiting", 1),
        ("?state=skipped", 0),
        ("?projection=customer_view", 0),
        ("?category=projection-error", 1),
        (f"?q={order.stream}", 2),
        (f"?q={held_up().event_id}", 1),
        ("?q=order-1", 0),
    ):
        assert f" {events} parked event" in text_of(client, PAGE + query)
    assert "in apply_or_fail" in text_of(client, f"{PAGE}{held_up().pk}/change/")
    assert "order_view 1 live" in text_of(client, "/admin/ordering_read/projection/")


def test_a_long_list_costs_no_more_queries_than_a_short_one(
    order: Order, poison: Poison, admin_user: User
) -> None:
    client = browser(admin_user)

    def cost() -> int:
        with CaptureQueriesContext(connections["read"]) as captured:
            client.get(PAGE)
        return len(captured)

    cost()
    short = cost()
    for _ in range(5):
        other = kit.placed_order(kit.registered_customer(), (kit.registered_product(), 1))
        poison.add(other, version=1)
    live.run("order_view")

    assert cost() == short


def act(client: Client, action: str, *rows: ParkedEvent, **fields: Any) -> Any:
    chosen = [str(row.pk) for row in rows]
    return client.post(PAGE, {"action": action, "_selected_action": chosen, **fields})


def told(response: Any) -> list[str]:
    return [f"{message.level_tag}: {message}" for message in get_messages(response.wsgi_request)]


def test_streams_are_retried(order: Order, poison: Poison, admin_user: User) -> None:
    client = browser(admin_user)
    rows = list(parking.parked())

    failed = act(client, "retry", *rows)
    poison.events.clear()
    done = act(client, "retry", *rows)

    [failure] = told(failed)
    assert failure.startswith(f"error: order_view, generation 1, {order.stream}: 0 events applied")
    assert told(done)[-1] == (
        f"success: order_view, generation 1, {order.stream}: 2 events applied, done"
    )
    assert not ParkedEvent.objects.exists()


def test_events_are_skipped_with_a_reason(order: Order, admin_user: User) -> None:
    client = browser(admin_user)
    rows = list(parking.parked().order_by("position"))

    asked = act(client, "skip", *rows)
    unanswered = act(client, "skip", *rows, reason="")
    done = act(client, "skip", *rows[:1], reason="A test")

    assert "The projection will never apply these events" in asked.text
    assert "This field is required" in unanswered.text
    assert told(done) == [f"success: {rows[0]}: skipped"]
    row = ParkedEvent.objects.get()
    assert (row.skip_reason, row.skipped_by) == ("A test", f"admin (user {admin_user.pk})")


def test_a_refusal_to_skip_is_told(order: Order, admin_user: User) -> None:
    waits = parking.parked().get(category=ParkedEvent.Category.WAITING)

    response = act(browser(admin_user), "skip", waits, reason="A test")

    [message] = told(response)
    assert message.startswith("error: ")
    assert "waits for an earlier one of its stream" in message


def test_who_only_looks_is_offered_nothing(order: Order, auditor: User) -> None:
    client = browser(auditor)

    assert 'value="retry"' not in client.get(PAGE).text
    for action in ("retry", "skip"):
        assert act(client, action, held_up(), reason="x").status_code == 403
    assert held_up().tries == 1
