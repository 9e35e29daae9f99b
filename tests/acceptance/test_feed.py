"""The feed over HTTP, while the log grows."""

from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Any

import httpx

from tests.acceptance.service import Service
from tests.acceptance.shop import Shop

CUSTOMERS = 40


def end_of(client: httpx.Client) -> int:
    """Return the last position of the log."""
    return int(client.get("/feed", params={"limit": 1}).headers["Projection-Position"])


def test_a_follower_misses_nothing_while_many_write(service: Service, shop: Shop) -> None:
    service.settle()
    client = service.client("integration")
    start = end_of(client)

    def follow() -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = []
        address = f"/feed?after={start}&limit=7"
        deadline = monotonic() + 120
        while len(events) < CUSTOMERS:
            assert monotonic() < deadline, f"{len(events)} of {CUSTOMERS} events came"
            answer = client.get(address, headers={"Prefer": "wait=10"})
            assert answer.status_code == 200, answer.text
            events += answer.json()["events"]
            address = answer.links["next"]["url"]
        return events

    with ThreadPoolExecutor(5) as threads:
        followed = threads.submit(follow)
        customers = set(threads.map(lambda _: shop.customer(), range(CUSTOMERS)))
        events = followed.result()

    assert [event["position"] for event in events] == list(range(start + 1, start + 1 + CUSTOMERS))
    assert {event["stream"].removeprefix("customer-") for event in events} == customers


def test_a_new_event_ends_the_wait_of_a_follower(service: Service, shop: Shop) -> None:
    service.settle()
    client = service.client("integration")
    accept = {"Accept": "application/cloudevents-batch+json", "Prefer": "wait=10"}
    start = end_of(client)

    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(client.get, f"/feed?after={start}", headers=accept)
        # Other requests are answered meanwhile.
        assert shop.admin.get("/orders?page_size=1").status_code == 200
        customer = shop.customer()
        answer = waiting.result()

    assert answer.headers["Content-Type"] == "application/cloudevents-batch+json"
    assert answer.headers["Preference-Applied"] == "wait"
    [event] = answer.json()
    assert (event["type"], event["subject"]) == ("CustomerRegistered", f"customer-{customer}")
    assert event["sequence"] == str(start + 1)


def test_a_repeated_read_of_the_feed_is_equal_byte_for_byte(service: Service, shop: Shop) -> None:
    shop.order()
    service.settle()
    client = service.client("auditor")
    path = "/feed?after=0&limit=5"
    assert client.get(path).content == client.get(path).content


def test_a_strong_read_shows_a_command_at_once(service: Service, shop: Shop) -> None:
    order = shop.order()
    for status in ("confirmed", "processing"):
        assert shop.admin.post(f"/orders/{order}/status", json={"status": status}).is_success
        answer = shop.admin.get(f"/orders/{order}", params={"consistency": "strong"})
        assert (answer.status_code, answer.json()["status"]) == (200, status)
