"""Present and past states of an order, their differences, and its events in the log."""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from config.accounts.roles import Role
from ordering_read.engine import live
from ordering_read.projector import registered
from ordering_read.queries import get_query_bus
from ordering_read.queries.orders import GetOrderById, OrderDetail
from ordering_write.domain import commands as c
from ordering_write.models import Customer, Order
from tests import kit
from tests.integration.test_read_api import ROOT, client_of
from tests.kit_projections import without_backorders
from tests.kit_walks import MOVES, SEEDS, Walk
from tests.proof import IS_PROOF

pytestmark = pytest.mark.django_db(databases=["default", "read"])


def catch_up() -> None:
    live.run(*registered())


@pytest.fixture(scope="module")
def walk(module_db: None) -> Walk:
    """An order of two lines, placed and projected."""
    walk = Walk()
    catch_up()
    return walk


@pytest.fixture
def auditor() -> APIClient:
    return client_of(Role.AUDITOR)


@pytest.fixture
def admin() -> APIClient:
    return client_of(Role.ADMIN)


def path(order: Order, query: str = "") -> str:
    return f"{ROOT}/orders/{order.pk}{query}"


# --- States ------------------------------------------------------------------------------------
def read(walk: Walk, **parameters: Any) -> OrderDetail:
    query = GetOrderById(order_id=walk.order.pk, **parameters)
    return without_backorders(get_query_bus().dispatch(query))


def version_in(tag: str) -> str:
    """Return the version in an entity tag, whose rest stands for the representation."""
    return tag.partition(".")[0]


def body_of(response: Any) -> dict[str, Any]:
    """Return an order in a response, without what the events of its products say."""
    body: dict[str, Any] = response.json()
    for part in (body, *body["items"]):
        for name in ("backordered", "expected_at"):
            del part[name]
    return body


@pytest.mark.proof
@pytest.mark.parametrize("seed", SEEDS if IS_PROOF else SEEDS[1::2])
def test_a_past_state_is_what_the_read_model_showed_then(walk: Walk, seed: int) -> None:
    states: dict[int, tuple[datetime, OrderDetail]] = {}
    dice = Random(seed)
    for _ in range(MOVES):
        walk.take(dice)
        at_once = read(walk, consistency="strong")
        catch_up()
        shown = read(walk)
        # Equal but for the position, which the last event has got meanwhile.
        assert at_once.model_copy(update={"position": shown.position}) == shown
        assert read(walk, consistency="strong") == shown
        states[shown.version] = (datetime.now(UTC), shown)
    for version, (moment, then) in states.items():
        assert read(walk, version=version) == without_redacted_notes(then, shown)
        assert read(walk, as_of=moment) == without_redacted_notes(then, shown)


def without_redacted_notes(then: OrderDetail, now: OrderDetail) -> OrderDetail:
    """Return the order ``then``, without the notes that are redacted ``now``."""
    redacted_ids = {note.note_id for note in now.notes if note.text == "[erased]"}
    notes = (
        note.model_copy(update={"text": "[erased]"}) if note.note_id in redacted_ids else note
        for note in then.notes
    )
    return then.model_copy(update={"notes": tuple(notes)})


def test_a_strong_read_shows_events_before_their_projection(walk: Walk, admin: APIClient) -> None:
    kit.dispatch(kit.cancel(walk.order))

    behind = admin.get(path(walk.order))
    strong = admin.get(path(walk.order, "?consistency=strong"))

    assert (behind.json()["status"], strong.json()["status"]) == ("pending", "cancelled")
    assert float(behind["Projection-Lag"]) > 0
    assert strong["Projection-Lag"] == "0.0"
    catch_up()
    level = admin.get(path(walk.order))
    assert body_of(level) == body_of(strong)
    assert version_in(level["ETag"]) == version_in(strong["ETag"])


def test_a_strong_read_shows_an_order_that_is_not_projected_yet(
    admin: APIClient, customer: Customer
) -> None:
    order = kit.placed_order(customer, (kit.registered_product(), 1))

    assert admin.get(path(order)).status_code == 404
    answer = admin.get(path(order, "?consistency=strong"))

    assert answer.json()["status"] == "pending"
    assert answer["ETag"].startswith(f'"{answer.json()["version"]}.')


def test_a_strong_read_takes_three_statements(walk: Walk, admin: APIClient) -> None:
    address = path(walk.order, "?consistency=strong")
    admin.get(address)
    with CaptureQueriesContext(connections["default"]) as write:
        admin.get(address)
    statements = [query for query in write if "request_count" not in query["sql"]]
    # The sequencer, the end of the log, the stream.
    assert len(statements) == 3


def test_a_past_state_has_the_tag_of_its_version(walk: Walk, auditor: APIClient) -> None:
    earlier = auditor.get(path(walk.order))
    kit.dispatch(kit.cancel(walk.order))
    catch_up()

    back = auditor.get(path(walk.order, f"?version={earlier.json()['version']}"))

    assert body_of(back) == body_of(earlier)
    assert version_in(back["ETag"]) == version_in(earlier["ETag"])
    headers = {"If-None-Match": back["ETag"]}
    assert auditor.get(path(walk.order), headers=headers).status_code == 200
    address = path(walk.order, f"?version={earlier.json()['version']}")
    assert auditor.get(address, headers=headers).status_code == 304


def test_an_invalid_or_missing_state_is_refused(
    walk: Walk, auditor: APIClient, subtests: pytest.Subtests
) -> None:
    cases = [
        ("version=0", 400, "version: Input should be greater than or equal to 1."),
        ("version=x", 400, "version: A number is written in digits."),
        ("version=99", 404, "The order has no version 99; its newest is 3."),
        ("as_of=2026-01-01T00:00:00Z", 404, "The order was not there then: it was recorded at "),
        ("as_of=yesterday", 400, "as_of: A moment is written such as "),
        ("as_of=1767225600", 400, "as_of: A moment is written such as "),
        ("consistency=weak", 400, "consistency: Input should be 'strong'."),
        ("version=1&consistency=strong", 400, "query: an order is shown strong, at a version "),
        ("at=1", 400, "This address knows no parameter 'at'."),
    ]
    for query, status, text in cases:
        with subtests.test(query):
            answer = auditor.get(path(walk.order, f"?{query}"))

            assert (answer.status_code, answer.json()["detail"][: len(text)]) == (status, text)


def test_history_needs_its_permission(walk: Walk, subtests: pytest.Subtests) -> None:
    for role in [Role.CLERK, Role.WAREHOUSE, Role.INTEGRATION, Role.CUSTOMER]:
        own = walk.order.customer_id if role is Role.CUSTOMER else None
        client = client_of(role, customer_id=own)
        for query in ["?version=1", "?as_of=2026-01-01", "/diff", "/events"]:
            with subtests.test(role=role, query=query):
                answer = client.get(path(walk.order, query))

                assert answer.status_code == 403
                assert answer.json()["needed_permission"] == "ordering_read.view_history"


def test_a_strong_read_of_another_customers_order_is_not_found(walk: Walk) -> None:
    own = client_of(Role.CUSTOMER, customer_id=walk.order.customer_id)
    other = client_of(Role.CUSTOMER, customer_id=uuid4())

    strong = own.get(path(walk.order, "?consistency=strong"))
    assert body_of(strong) == body_of(own.get(path(walk.order)))
    answer = other.get(path(walk.order, "?consistency=strong"))
    assert (answer.status_code, answer.json()["detail"]) == (404, "Order not found")


def test_a_past_state_masks_the_address(walk: Walk, auditor: APIClient) -> None:
    address = auditor.get(path(walk.order, "?version=1")).json()["shipping_address"]
    assert (address["line1"], address["city"]) == ("***", "Sampleton")


def test_a_past_state_shows_no_erased_data(walk: Walk, admin: APIClient) -> None:
    note = c.AddNote(
        user_id=kit.USER, order_id=walk.order.pk, text="Call me", visibility="customer"
    )
    kit.dispatch(note)
    kit.dispatch(kit.cancel(walk.order))
    catch_up()
    version = admin.get(path(walk.order)).json()["version"]

    kit.dispatch(
        c.EraseCustomer(user_id=kit.USER, customer_id=walk.order.customer_id, reason="Asked for it")
    )
    catch_up()

    moment = f"{datetime.now(UTC) + timedelta(seconds=1):%Y-%m-%dT%H:%M:%SZ}"
    for query in (f"?version={version}", "?consistency=strong", f"?as_of={moment}"):
        shown = admin.get(path(walk.order, query)).json()
        assert shown["customer_name"] == "[erased]", query
        assert shown["shipping_address"]["line1"] == "[erased]"
        assert [note["text"] for note in shown["notes"]] == ["[erased]"]
    events = admin.get(path(walk.order, "/events?page_size=100"))
    assert "Robin" not in events.content.decode()
    assert events.json()["results"][0]["data"]["customer"]["name"] == "[erased]"
    assert "Robin" not in admin.get(path(walk.order, "/diff")).content.decode()


# --- Differences -------------------------------------------------------------------------------
def test_a_diff_lists_the_changed_fields_by_their_paths(walk: Walk, admin: APIClient) -> None:
    first, second = walk.order.lines
    version = admin.get(path(walk.order)).json()["version"]
    kit.dispatch(
        c.CancelOrderItems(
            user_id=kit.USER,
            order_id=walk.order.pk,
            items=[{"line_id": first, "quantity": 1}],
            reason="Too many",
        )
    )

    answer = admin.get(path(walk.order, f"/diff?from={version}"))

    assert answer.json() == {
        "order_id": str(walk.order.pk),
        "from_version": version,
        "to_version": version + 1,
        "changes": [
            {"path": "/total_amount", "before": "99.50", "after": "79.60"},
            {"path": "/balance", "before": "99.50", "after": "79.60"},
            {"path": f"/items/{first}/open", "before": 3, "after": 2},
            {"path": f"/items/{first}/cancelled", "before": 0, "after": 1},
            {"path": f"/items/{first}/list_value", "before": "59.70", "after": "39.80"},
            {"path": f"/items/{first}/line_total", "before": "59.70", "after": "39.80"},
            {"path": "/sums/list_value", "before": "99.50", "after": "79.60"},
        ],
    }
    back = admin.get(path(walk.order, f"/diff?from={version + 1}&to={version}")).json()
    assert [(change["before"], change["after"]) for change in back["changes"]] == [
        (change["after"], change["before"]) for change in answer.json()["changes"]
    ]
    assert admin.get(path(walk.order, f"/diff?from={version}&to={version}")).json()["changes"] == []
    changes = admin.get(path(walk.order, "/diff")).json()["changes"]
    by_path = {change["path"]: change for change in changes}
    assert by_path["/items"]["after"].keys() == {str(first), str(second)}
    assert by_path["/status"] == {"path": "/status", "before": None, "after": "pending"}


def test_a_diff_does_not_show_changes_of_masked_fields(walk: Walk, auditor: APIClient) -> None:
    version = kit.stored(walk.order.stream).version
    elsewhere = {**kit.ADDRESS, "line1": "2 Hidden Street", "city": "Otherville"}
    kit.dispatch(
        c.ChangeShippingAddress(
            user_id=kit.USER, order_id=walk.order.pk, shipping_address=elsewhere
        )
    )

    changes = auditor.get(path(walk.order, f"/diff?from={version}")).json()["changes"]

    assert [(change["path"], change["after"]) for change in changes] == [
        ("/shipping_address/city", "Otherville")
    ]


def test_a_diff_of_a_missing_version_is_refused(walk: Walk, auditor: APIClient) -> None:
    answer = auditor.get(path(walk.order, "/diff?from=99"))
    assert (answer.status_code, answer.json()["detail"]) == (
        404,
        "The order has no version 99; its newest is 3.",
    )
    assert auditor.get(path(walk.order, "/diff?to=0")).status_code == 400
    assert auditor.get(f"{ROOT}/orders/{uuid4()}/diff").status_code == 404


# --- Events ------------------------------------------------------------------------------------
def test_the_events_of_an_order_are_those_of_the_log(walk: Walk, admin: APIClient) -> None:
    answer = admin.get(path(walk.order, "/events"))

    stored = kit.OutboxEvent.objects.filter(stream=walk.order.stream).order_by("version")
    results = answer.json()["results"]
    assert [event["event_id"] for event in results] == [str(row.event_id) for row in stored]
    assert [event["hash"] for event in results] == [row.hash for row in stored]
    first = results[0]
    assert first["type"] == "OrderCreated"
    assert (first["version"], first["schema_version"]) == (1, 1)
    assert first["data"]["customer"]["name"] == "Robin Sample"
    assert first["position"] == stored[0].event_position.position
    assert first["actor"]["id"] == str(kit.USER)


def test_an_auditor_sees_events_without_personal_fields(walk: Walk, auditor: APIClient) -> None:
    answer = auditor.get(path(walk.order, "/events"))

    assert "customer" not in answer.json()["results"][0]["data"]
    assert "Robin" not in answer.content.decode()
    assert "Example Street" not in answer.content.decode()


def test_the_events_of_an_order_are_paged(walk: Walk, auditor: APIClient) -> None:
    expected = auditor.get(path(walk.order, "/events")).json()

    pages = [auditor.get(path(walk.order, f"/events?page_size=2&page={n}")).json() for n in (1, 2)]
    assert [event for page in pages for event in page["results"]] == expected["results"]
    assert [page["count"] for page in pages] == [3, 3]
    first = auditor.get(path(walk.order, "/events?page_size=2&cursor=")).json()
    second = auditor.get(first["next"]).json()
    assert [*first["results"], *second["results"]] == expected["results"]
    assert second["next"] is None
    past = auditor.get(path(walk.order, "/events?page=9")).json()
    assert (past["results"], past["count"]) == ([], 3)
    junk = auditor.get(path(walk.order, "/events?cursor=x"))
    assert (junk.status_code, junk.json()["parameter"]) == (400, "cursor")
    assert auditor.get(f"{ROOT}/orders/{UUID(int=1)}/events").status_code == 404
