"""Following the log over HTTP while it grows."""

from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Any

import httpx

from tests.acceptance.service import Service
from tests.acceptance.shop import Shop

CUSTOMERS = 40


def end_of(client: httpx.Client) -> int:
    """Where the log ends now."""
    return int(client.get("/feed", params={"limit": 1}).headers["Projection-Position"])


def test_who_follows_misses_nothing_while_many_write(service: Service, shop: Shop) -> None:
    service.settle()
    client = service.client("integration")
    start = end_of(client)

    def follow() -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = []
        address = f"/feed?after={start}&limit=7"
        ends_at = monotonic() + 120
        while len(events) < CUSTOMERS:
            assert monotonic() < ends_at, f"{len(events)} of {CUSTOMERS} events came"
            answer = client.get(address, headers={"Prefer": "wait=10"})
            assert answer.status_code == 200, answer.text
            events += answer.json()["events"]
            address = answer.links["next"]["url"]
        return events

    with ThreadPoolExecutor(5) as threads:
        followed = threads.submit(follow)
        made = set(threads.map(lambda _: shop.customer(), range(CUSTOMERS)))
        events = followed.result()

    assert [one["position"] for one in events] == list(range(start + 1, start + 1 + CUSTOMERS))
    assert {one["stream"].removeprefix("customer-") for one in events} == made


def test_a_reader_is_told_as_soon_as_there_is_more(service: Service, shop: Shop) -> None:
    service.settle()
    client = service.client("integration")
    accept = {"Accept": "application/cloudevents-batch+json", "Prefer": "wait=10"}
    start = end_of(client)

    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(client.get, f"/feed?after={start}", headers=accept)
        # Others are answered meanwhile.
        assert shop.admin.get("/orders?page_size=1").status_code == 200
        customer = shop.customer()
        answer = waiting.result()

    assert answer.headers["Content-Type"] == "application/cloudevents-batch+json"
    assert answer.headers["Preference-Applied"] == "wait"
    [event] = answer.json()
    assert (event["type"], event["subject"]) == ("CustomerRegistered", f"customer-{customer}")
    assert event["sequence"] == str(start + 1)


def test_a_repeat_is_the_same_byte_for_byte(service: Service, shop: Shop) -> None:
    shop.order()
    service.settle()
    client = service.client("auditor")
    path = "/feed?after=0&limit=5"
    assert client.get(path).content == client.get(path).content


def test_an_order_is_read_strong_at_once(service: Service, shop: Shop) -> None:
    order = shop.order()
    for status in ("confirmed", "processing"):
        assert shop.admin.post(f"/orders/{order}/status", json={"status": status}).is_success
        answer = shop.admin.get(f"/orders/{order}", params={"consistency": "strong"})
        assert (answer.status_code, answer.json()["status"]) == (200, status)
