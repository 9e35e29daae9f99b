"""The feed: the events of the log in their order, for other programs."""

import threading
import time
from datetime import datetime
from typing import Any

import pytest
from django.conf import settings as configured
from django.db import connection, connections
from rest_framework.test import APIClient

from config.accounts.models import User
from config.accounts.roles import Role
from config.http.limits import waiting_slots
from ordering_write import log
from ordering_write.domain import commands as c
from ordering_write.log import feed, sequencer
from ordering_write.models import Customer
from tests import kit
from tests.acceptance.service import wait_until
from tests.integration.test_read_api import ROOT, client_of
from tests.patience import on_this_machine

FEED = f"{ROOT}/feed"
BATCH = "application/cloudevents-batch+json"


@pytest.fixture
def reader(request: pytest.FixtureRequest) -> APIClient:
    return client_of(Role.INTEGRATION)


def an_event(name: str = "Robin Sample") -> Customer:
    return kit.registered_customer(name)


def positions(answer: Any) -> list[int]:
    return [event["position"] for event in answer.json()["events"]]


@pytest.mark.django_db(databases=["default", "read"])
class TestReading:
    """The events of an answer, and the roles that may read them."""

    def test_the_feed_has_the_events_in_the_order_of_the_log(self, reader: APIClient) -> None:
        customer = an_event()
        kit.placed_order(customer, (kit.registered_product(), 1))

        answer = reader.get(FEED)

        events = answer.json()["events"]
        assert positions(answer) == list(range(1, len(events) + 1))
        assert [event["event_id"] for event in events] == [
            str(event.recorded.event_id) for event in log.read_log(0, 100)
        ]
        assert answer.json()["position"] == len(events)
        assert answer["Projection-Position"] == str(len(events))
        assert events[0]["data"]["name"] == "Robin Sample"

    def test_the_links_lead_to_every_event_once(self, reader: APIClient) -> None:
        kit.placed_order(an_event(), (kit.registered_product(), 1))
        read: list[int] = []
        address = f"{FEED}?limit=2"
        for _ in range(9):
            answer = reader.get(address)
            assert answer["Link"] == f'<{answer.json()["next"]}>; rel="next"'
            read += positions(answer)
            address = answer.json()["next"]

        assert read == list(range(1, log.last_position() + 1))
        assert (answer.json()["events"], "limit=2" in address) == ([], True)
        an_event()
        assert positions(reader.get(address)) == [log.last_position()]

    def test_the_feed_is_filtered_by_types(self, reader: APIClient) -> None:
        customer = an_event()
        kit.placed_order(customer, (kit.registered_product(), 1))
        an_event()

        answer = reader.get(f"{FEED}?types=CustomerRegistered,OrderCreated")

        assert [event["type"] for event in answer.json()["events"]] == [
            "CustomerRegistered",
            "OrderCreated",
            "CustomerRegistered",
        ]
        none = reader.get(f"{FEED}?types=CustomerErased")
        assert none.json()["events"] == []
        assert none.json()["position"] == log.last_position()

    def test_rare_types_are_searched_in_steps(
        self, reader: APIClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(feed, "_POSITIONS_AT_ONCE", 2)
        for _ in range(3):
            an_event()
        kit.registered_product(0)
        read, address = [], f"{FEED}?types=StockItemRegistered"
        for _ in range(3):
            answer = reader.get(address)
            read += positions(answer)
            address = answer.json()["next"]

        assert read == [4]
        # A client that waits gets the event in one answer.
        waited = reader.get(f"{FEED}?types=StockItemRegistered", headers={"Prefer": "wait=5"})
        assert positions(waited) == [4]

    def test_an_event_without_a_position_comes_later(
        self, reader: APIClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sequencer, "_BATCH", 1)
        an_event()
        log.sequence()
        # Another process holds the sequencer's lock.
        monkeypatch.setattr("ordering_write.published.sequence", lambda: False)
        an_event()

        answer = reader.get(FEED)

        assert (positions(answer), answer.json()["position"]) == ([1], 1)
        monkeypatch.undo()
        assert positions(reader.get(answer.json()["next"])) == [2]

    def test_the_feed_hides_personal_fields_from_an_auditor(self, customer: Customer) -> None:
        kit.placed_order(customer, (kit.registered_product(), 1))

        auditor = client_of(Role.AUDITOR).get(FEED)

        assert "Robin" not in auditor.content.decode()
        assert "Example Street" not in auditor.content.decode()
        assert client_of(Role.ADMIN).get(FEED).content.decode().count("Robin Sample") >= 2

    def test_the_feed_shows_no_erased_data(self, reader: APIClient, customer: Customer) -> None:
        kit.dispatch(c.EraseCustomer(user_id=kit.USER, customer_id=customer.pk, reason="Asked"))

        answer = reader.get(FEED)

        assert "Robin" not in answer.content.decode()
        assert answer.json()["events"][0]["data"]["name"] == "[erased]"

    def test_the_feed_has_events_of_types_unknown_to_this_code(self, reader: APIClient) -> None:
        an_event()
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")
            cursor.execute("UPDATE event SET type = 'CustomerPromoted', data = '{\"to\": \"A\"}'")
            cursor.execute("SET LOCAL session_replication_role = origin")

        [event] = reader.get(FEED).json()["events"]

        assert event["type"] == "CustomerPromoted"
        assert event["data"]["to"] == "A"

    @pytest.mark.parametrize("role", [Role.CUSTOMER, Role.CLERK, Role.WAREHOUSE])
    def test_the_feed_needs_its_permission(self, role: Role) -> None:
        answer = client_of(role).get(FEED)
        assert answer.status_code == 403
        assert answer.json()["needed_permission"] == "ordering_read.read_feed"

    def test_an_invalid_parameter_of_the_feed_is_refused(
        self, reader: APIClient, subtests: pytest.Subtests
    ) -> None:
        cases = [
            ("after=-1", "after: A number is written in digits."),
            ("after=1", "after: The log ends at the position 0."),
            ("limit=0", "limit: Input should be greater than or equal to 1."),
            ("limit=1001", "limit: Input should be less than or equal to 1000."),
            ("types=OrderCreated,OrderEaten", "types: there is no event type 'OrderEaten'."),
            ("types=", "types: there is no event type ''."),
            ("position=1", "This address knows no parameter 'position'."),
        ]
        for query, text in cases:
            with subtests.test(query):
                answer = reader.get(f"{FEED}?{query}")
                assert (answer.status_code, answer.json()["detail"][: len(text)]) == (400, text)


@pytest.mark.django_db(databases=["default", "read"])
class TestCloudEvents:
    """The feed as CloudEvents 1.0."""

    def test_a_batch_has_the_attributes_of_cloudevents(self, reader: APIClient) -> None:
        order = kit.placed_order(an_event(), (kit.registered_product(), 1))
        plain = reader.get(FEED).json()["events"]

        answer = reader.get(f"{FEED}?limit=1000", headers={"Accept": BATCH})

        assert answer["Content-Type"] == BATCH
        assert [event["id"] for event in answer.json()] == [event["event_id"] for event in plain]
        [created] = [event for event in answer.json() if event["type"] == "OrderCreated"]
        [event] = [event for event in plain if event["type"] == "OrderCreated"]
        assert created == {
            "specversion": "1.0",
            "id": event["event_id"],
            "source": "http://testserver/api/v1",
            "type": "OrderCreated",
            "subject": f"order-{order.pk}",
            "time": event["timestamp"],
            "datacontenttype": "application/json",
            "dataschema": "http://testserver/api/v1#OrderCreated.1",
            "sequence": str(event["position"]),
            "sequencetype": "Integer",
            "streamversion": 1,
            "recordedtime": event["recorded_at"],
            "correlationid": event["correlation_id"],
            "causationid": event["causation_id"],
            "data": event["data"],
        }
        assert datetime.fromisoformat(created["time"]).tzinfo is not None

    def test_a_batch_has_links_and_its_refusals_are_problems(self, reader: APIClient) -> None:
        accept = {"Accept": BATCH}
        empty = reader.get(FEED, headers=accept)
        assert empty.json() == []
        assert empty["Link"] == '<http://testserver/api/v1/feed?after=0>; rel="next"'
        refused = reader.get(f"{FEED}?limit=x", headers=accept)
        assert refused["Content-Type"] == "application/problem+json"
        assert reader.get(f"{ROOT}/orders", headers=accept).status_code == 406


@pytest.mark.usefixtures("committed")
class TestWaiting:
    """``Prefer: wait=N`` holds an answer until there are events."""

    def test_a_new_event_ends_the_wait(self, reader: APIClient) -> None:
        answers = at_once(reader, 1, f"{FEED}?after=0")
        wait_until(
            lambda: waiting_slots._slots._value < configured.WEB_THREADS // 2, missing="it waits"
        )

        an_event()
        # In the service a worker sequences, woken by the commit.
        log.sequence()

        [answer] = answers()
        assert positions(answer) == [1]
        assert answer["Preference-Applied"] == "wait"

    def test_an_event_of_another_type_does_not_end_the_wait(self, reader: APIClient) -> None:
        answers = at_once(reader, 1, f"{FEED}?types=StockItemRegistered")
        wait_until(
            lambda: waiting_slots._slots._value < configured.WEB_THREADS // 2, missing="it waits"
        )

        an_event()
        log.sequence()
        kit.registered_product(0)
        log.sequence()

        [answer] = answers()
        assert positions(answer) == [2]

    def test_the_wait_ends_without_an_event(self, reader: APIClient) -> None:
        an_event()
        started_at = time.monotonic()

        answer = reader.get(f"{FEED}?after=1", headers={"Prefer": "wait=1"})

        assert time.monotonic() - started_at >= 1
        assert (answer.status_code, answer.json()["events"]) == (200, [])
        assert answer["Preference-Applied"] == "wait"

    def test_an_existing_event_is_answered_at_once(self, reader: APIClient) -> None:
        an_event()
        started_at = time.monotonic()

        answer = reader.get(FEED, headers={"Prefer": "wait=10"})

        assert positions(answer) == [1]
        assert time.monotonic() - started_at < on_this_machine(5)

    def test_at_most_half_of_the_threads_wait(self, reader: APIClient) -> None:
        half = configured.WEB_THREADS // 2
        answers = at_once(reader, half, FEED)
        wait_until(lambda: waiting_slots._slots._value == 0, missing="they don't wait")

        started_at = time.monotonic()
        another = reader.get(FEED, headers={"Prefer": "wait=10"})

        assert time.monotonic() - started_at < on_this_machine(5)
        assert (another.status_code, another.json()["events"]) == (200, [])
        assert not another.has_header("Preference-Applied")
        an_event()
        log.sequence()
        assert [positions(answer) for answer in answers()] == [[1]] * half


def at_once(reader: APIClient, count: int, path: str) -> Any:
    """Start ``count`` waiting requests; return the function that joins them."""
    answers: list[Any] = []

    def request() -> None:
        client = APIClient()
        client.force_authenticate(User.objects.get())
        answers.append(client.get(path, headers={"Prefer": "wait=10"}))
        connections.close_all()

    threads = [threading.Thread(target=request) for _ in range(count)]
    for thread in threads:
        thread.start()

    def join_all() -> list[Any]:
        for thread in threads:
            thread.join()
        return answers

    return join_all
