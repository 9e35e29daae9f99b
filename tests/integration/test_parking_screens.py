"""Parked events in the API and in the admin: lists, retries, skips, and their permissions."""

from typing import Any
from uuid import UUID

import pytest
from django.db import connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from config.accounts.models import User
from config.accounts.roles import Role
from ordering_read.engine import live
from ordering_read.models import OrderSummary, ParkedEvent, StoredResponse
from ordering_read.projections.order_view import OrderProjection
from ordering_write.models import Order
from tests import kit
from tests.integration.test_parking import Poison
from tests.kit_admin import (
    PARKED_EVENTS,
    PROJECTIONS,
    list_text,
    list_url,
    logged_in,
    messages_of,
    page_text,
    row_url,
    run_action,
)
from tests.kit_projections import blocking, parked_events

pytestmark = pytest.mark.usefixtures("db")

API = "/api/v1/parked-events"


@pytest.fixture
def poison(monkeypatch: pytest.MonkeyPatch) -> Poison:
    """The events that order_view can't apply."""
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


def blocking_event() -> ParkedEvent:
    """Return the event that blocks the stream of ``order``."""
    return blocking().get()


# --- The API -----------------------------------------------------------------------------------
def test_the_list_shows_parked_events_with_their_errors(order: Order, clerk: User) -> None:
    body = api(clerk).get(API).json()

    first, second = body["results"]
    event = blocking_event()
    url = f"http://testserver{API}/{event.pk}"
    assert body["count"] == 2
    assert (first["category"], second["category"]) == ("projection-error", "waiting")
    assert {name: first[name] for name in first if not name.endswith("_at")} == {
        "id": str(event.pk),
        "parked_event_id": str(event.pk),
        "projection": "order_view",
        "generation": 1,
        "event_id": str(event.event_id),
        "type": "OrderItemAdded",
        "stream": order.stream,
        "version": 2,
        "position": event.position,
        "category": "projection-error",
        "message": "ValueError: no such colour",
        "tries": 1,
        "skipped_by": "",
        "skip_reason": "",
        "links": {"self": url, "retry": f"{url}/retry", "skip": f"{url}/skip"},
    }
    detail = api(clerk).get(url).json()
    assert "in apply_or_fail" in detail.pop("traceback")
    assert detail == first


def test_the_list_is_filtered_by_stream_and_projection(order: Order, clerk: User) -> None:
    client = api(clerk)
    for query, count in (
        (f"stream={order.stream}&projection=order_view", 2),
        ("stream=order-1", 0),
        ("projection=customer_view", 0),
    ):
        assert client.get(f"{API}?{query}").json()["count"] == count
    refused = client.get(f"{API}?projection=nothing")
    assert refused.status_code == 400
    assert "customer_view" in refused.json()["detail"]


def test_a_projection_counts_its_parked_streams(order: Order, clerk: User) -> None:
    results = api(clerk).get("/api/v1/projections").json()["results"]

    counts = {projection["name"]: projection["parked_streams"] for projection in results}
    assert {name: count for name, count in counts.items() if count} == {"order_view": 1}


def test_a_retry_reports_its_outcome(order: Order, poison: Poison, admin_user: User) -> None:
    client, event = api(admin_user), blocking_event()

    failed = client.post(f"{API}/{event.pk}/retry", {}, format="json")
    poison.events.clear()
    done = client.post(f"{API}/{event.pk}/retry", {}, format="json")

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
    assert client.post(f"{API}/{event.pk}/retry", {}, format="json").status_code == 404


def test_a_skip_is_recorded(order: Order, admin_user: User) -> None:
    client, event = api(admin_user), blocking_event()

    response = client.post(f"{API}/{event.pk}/skip", {"reason": "A test"}, format="json")

    assert (response.status_code, response.json()["applied"]) == (200, 1)
    shown = client.get(f"{API}/{event.pk}").json()
    assert shown["skipped_by"] == f"admin (user {admin_user.pk})"
    assert shown["skip_reason"] == "A test"
    again = client.post(f"{API}/{event.pk}/skip", {"reason": "A test"}, format="json")
    assert (again.status_code, again.json()["code"]) == (409, "event_skipped")


def test_a_skip_is_refused_for_other_events_and_reasons(order: Order, admin_user: User) -> None:
    client = api(admin_user)
    waiting = parked_events().get(category=ParkedEvent.Category.WAITING)
    for key, body, status, code in (
        (waiting.pk, {"reason": "A test"}, 409, "event_waits"),
        (blocking_event().pk, {}, 422, "validation"),
        (blocking_event().pk, {"reason": "\u0000"}, 400, "malformed"),
        (UUID(int=1), {"reason": "A test"}, 404, "not_found"),
        ("nothing", {"reason": "A test"}, 404, "not_found"),
    ):
        response = client.post(f"{API}/{key}/skip", body, format="json")
        assert (response.status_code, response.json()["code"]) == (status, code)


@pytest.mark.parametrize(("action", "body"), [("retry", {}), ("skip", {"reason": "A test"})])
def test_a_repeat_with_the_same_idempotency_key_gets_the_stored_response(
    order: Order, admin_user: User, poison: Poison, action: str, body: Any
) -> None:
    poison.events.clear()
    client, url = api(admin_user), f"{API}/{blocking_event().pk}/{action}"
    other_url = f"{API}/{UUID(int=1)}/{action}"

    def send(url: str, key: str) -> Any:
        return client.post(url, body, format="json", headers={"Idempotency-Key": key})

    assert send(other_url, "my-key").status_code == 404
    first, again = send(url, "my-key"), send(url, '"my-key"')

    assert (first.status_code, "Idempotency-Replayed" in first) == (200, False)
    assert (again.status_code, again["Idempotency-Replayed"]) == (200, "true")
    assert again.json() == first.json()
    reused = send(other_url, "my-key")
    assert (reused.status_code, reused.json()["code"]) == (422, "idempotency_key_reused")
    assert send(url, "ä" * 3).json()["code"] == "invalid_parameter"
    assert send(url, "another").status_code in (404, 409)


def test_old_stored_responses_are_deleted(order: Order, admin_user: User, settings: Any) -> None:
    settings.COMMAND_RECORD_DAYS = 0
    client, url = api(admin_user), f"{API}/{blocking_event().pk}/retry"
    for key in ("first", "second"):
        client.post(url, {}, format="json", headers={"Idempotency-Key": key})
    assert not StoredResponse.objects.exists()


@pytest.mark.parametrize("role", set(Role) - {Role.ADMIN})
def test_only_administrators_may_retry_or_skip(order: Order, role: Role, make_user: Any) -> None:
    client, event = api(make_user(role)), blocking_event()

    for action in ("retry", "skip"):
        response = client.post(f"{API}/{event.pk}/{action}", {"reason": "x"}, format="json")
        assert response.status_code == 403
    assert blocking_event().tries == event.tries == 1


def test_the_browsable_api_has_forms_to_retry_and_skip(order: Order, admin_user: User) -> None:
    url = f"{API}/{blocking_event().pk}"

    page = logged_in(admin_user).get(url, headers={"Accept": "text/html"}).text

    assert f"{url}/retry" in page
    assert f"{url}/skip" in page
    assert "It was a test" in page


# --- The admin ---------------------------------------------------------------------------------
def question(client: Client, action: str, *events: ParkedEvent) -> str:
    """Select events in the list; return the URL of the question."""
    return str(run_action(client, PARKED_EVENTS, action, *events)["Location"])


def act(client: Client, action: str, *events: ParkedEvent, **fields: Any) -> Any:
    """Answer the question with yes."""
    url = question(client, action, *events).partition("?")[0]
    return client.post(url, {"id": [event.pk for event in events], **fields})


def test_the_admin_lists_and_filters_parked_events(order: Order, auditor: User) -> None:
    client = logged_in(auditor)

    text = list_text(client, PARKED_EVENTS)

    name = f"Order {order.order_number}"
    failed = f"Order item added {name} orders The program failed on it"
    assert f"{failed}: ValueError: no such colour" in text
    assert "1 change 0 minutes ago 1 parked" in text
    assert f"{name} orders It waits for an earlier change." in text
    for query, count in (
        ("?work=parked", 1),
        ("?state=parked", 1),
        (f"?q={order.order_number}", 2),
        ("?state=waiting", 1),
        ("?state=skipped", 0),
        ("?projection=customer_view", 0),
        ("?category=projection-error", 1),
        (f"?q={order.stream}", 2),
        (f"?q={blocking_event().event_id}", 1),
        ("?q=order-1", 0),
    ):
        assert f" {count} parked event" in list_text(client, PARKED_EVENTS, query)
    page = page_text(client, row_url(PARKED_EVENTS, blocking_event().pk))
    assert f"{name}: order item added, in orders Change:" in page
    assert "in apply_or_fail" in page
    assert "Deploy the release with the correction, then retry." in page
    assert "order_view 1 live" in list_text(client, PROJECTIONS)


def test_a_long_admin_list_costs_as_many_queries_as_a_short_one(
    order: Order, poison: Poison, admin_user: User
) -> None:
    client = logged_in(admin_user)

    def cost() -> int:
        with CaptureQueriesContext(connections["read"]) as queries:
            client.get(list_url(PARKED_EVENTS))
        return len(queries)

    cost()
    short = cost()
    for _ in range(5):
        other = kit.placed_order(kit.registered_customer(), (kit.registered_product(), 1))
        poison.add(other, version=1)
    live.run("order_view")

    assert cost() == short


def test_the_admin_retries_streams(order: Order, poison: Poison, admin_user: User) -> None:
    client = logged_in(admin_user)
    events = list(parked_events())
    result = f"Order {order.order_number}, in orders"
    # Each row leads to the question too.
    assert f"/retry/?id={events[0].pk}" in client.get(list_url(PARKED_EVENTS)).text

    question_text = page_text(client, question(client, "retry", *events))
    assert "applied again, each with all later changes" in question_text
    assert f"Order {order.order_number}: order item added, in orders" in question_text
    assert blocking_event().tries == 1
    failed = act(client, "retry", *events)
    poison.events.clear()
    done = act(client, "retry", *events)

    [failure] = messages_of(failed)
    assert failure.startswith(f"error: {result}: 0 changes applied. The next one still fails. ")
    assert messages_of(done)[-1] == f"success: {result}: 2 changes applied."
    assert not ParkedEvent.objects.exists()


def test_the_admin_asks_for_a_reason_before_it_skips_events(order: Order, admin_user: User) -> None:
    client = logged_in(admin_user)
    events = list(parked_events().order_by("position"))

    form = page_text(client, question(client, "skip", *events))
    invalid = act(client, "skip", *events, reason="")
    done = act(client, "skip", *events, reason="A test")

    assert "never show these changes" in form
    assert "The program failed on it: ValueError: no such colour" in form
    assert "This field is required" in invalid.text
    name = f"Order {order.order_number}: order item added, in orders"
    assert messages_of(done) == [
        f"success: {name}: skipped.",
        f"info: {name}: applied, so it isn't skipped.",
    ]
    assert "skipped by admin -" in list_text(client, PARKED_EVENTS)
    skipped = ParkedEvent.objects.get()
    assert (skipped.skip_reason, skipped.skipped_by) == ("A test", f"admin (user {admin_user.pk})")


def test_the_admin_shows_the_refusal_of_a_skip(order: Order, admin_user: User) -> None:
    waiting = parked_events().get(category=ParkedEvent.Category.WAITING)

    response = act(logged_in(admin_user), "skip", waiting, reason="A test")

    [message] = messages_of(response)
    assert message.startswith("error: ")
    assert "waits for an earlier one of its stream" in message


def test_an_auditor_may_neither_retry_nor_skip_in_the_admin(order: Order, auditor: User) -> None:
    client = logged_in(auditor)

    assert 'value="retry"' not in client.get(list_url(PARKED_EVENTS)).text
    for action in ("retry", "skip"):
        assert run_action(client, PARKED_EVENTS, action, blocking_event()).status_code == 403
        url = f"/admin/system/parked/{action}/"
        assert client.get(url, {"id": str(blocking_event().pk)}).status_code == 403
        answer = client.post(url, {"id": blocking_event().pk, "reason": "x"})
        assert answer.status_code == 403
    assert blocking_event().tries == 1
