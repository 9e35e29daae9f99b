"""Long lists: pages by number and by cursor, and the links between them."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connections
from django.db.models import QuerySet
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from config.accounts.roles import Role
from config.http.errors import ParameterError
from ordering_read.models import OrderSummary
from ordering_read.models.sales_by_day import SalesByDay
from ordering_read.queries import Page, get_query_bus, keyset
from ordering_read.queries.customers import ListCustomers
from ordering_read.queries.order_lists import ListOrders
from ordering_read.queries.reports import GetSalesByDay
from tests.integration.test_http_freshness import PATHS
from tests.integration.test_read_api import ROOT, Shop, client_of
from tests.kit_projections import NOON, History, customer_registered, go_live, order_placed

pytestmark = pytest.mark.django_db(databases=["default", "read"])

ask = get_query_bus().dispatch
PAGED = [
    path
    for path in PATHS
    if path.rpartition("/")[2]
    in (
        "orders",
        "timeline",
        "customers",
        "inventory",
        "movements",
        "fulfilment-queue",
        "parked-events",
        "webhook-endpoints",
        "webhook-deliveries",
    )
    or "reports" in path
]


@pytest.fixture
def admin() -> APIClient:
    return client_of(Role.ADMIN)


@pytest.fixture
def history() -> History:
    return History()


def place(history: History, *numbers: int, hours: int = 0) -> None:
    """Place and project orders of these numbers, two at each moment."""
    history.add(
        *(
            order_placed(number=f"2026-{n:06}", at=NOON + timedelta(hours=hours + n // 2))
            for n in numbers
        )
    )
    go_live(history)


def links_of(answer: Any) -> dict[str, str]:
    return {
        relation: address
        for address, relation in re.findall(r'<([^>]*)>; rel="(\w+)"', answer["Link"])
    }


def walk(client: APIClient, address: str) -> Iterator[list[Any]]:
    """Yield the results of each page from ``address`` on, by following the links."""
    following: str | None = address
    while following:
        answer = client.get(following)
        assert answer.status_code == 200, answer.content
        yield answer.json()["results"]
        following = links_of(answer).get("next")


# --- Links -------------------------------------------------------------------------------------
def test_pages_are_linked(admin: APIClient, history: History) -> None:
    place(history, *range(5))
    address = f"http://testserver{ROOT}/orders?status=pending&page_size=2"

    first, second, last, past = (admin.get(f"{address}&page={n}") for n in (1, 2, 3, 9))

    ends = {"first": f"{address}&page=1", "last": f"{address}&page=3"}
    assert links_of(first) == {**ends, "next": f"{address}&page=2"}
    assert links_of(second) == {**ends, "prev": f"{address}&page=1", "next": f"{address}&page=3"}
    assert links_of(last) == {**ends, "prev": f"{address}&page=2"}
    assert links_of(past) == {**ends, "prev": f"{address}&page=3"}
    assert second.json()["next"] == links_of(second)["next"]
    assert second.json()["previous"] == links_of(second)["prev"]
    assert (past.json()["count"], past.json()["results"]) == (5, [])


def test_an_empty_list_has_one_page(admin: APIClient) -> None:
    answer = admin.get(f"{ROOT}/orders")

    address = f"http://testserver{ROOT}/orders?page=1"
    assert links_of(answer) == {"first": address, "last": address}
    assert answer.json()["next_cursor"] is None


def test_a_capped_list_has_no_link_to_its_last_page(
    admin: APIClient, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ordering_read.queries.lists.COUNT_CAP", 3)
    place(history, *range(6))

    answer = admin.get(f"{ROOT}/orders?page_size=2&page=2")

    assert answer.json()["count_capped"]
    assert links_of(answer).keys() == {"first", "prev", "next"}


# --- Cursors -----------------------------------------------------------------------------------
def test_cursors_lead_through_all_of_a_list(
    admin: APIClient, history: History, subtests: pytest.Subtests
) -> None:
    place(history, *range(7))
    expected = admin.get(f"{ROOT}/orders?page_size=100").json()["results"]
    for size in [1, 2, 3, 7, 8]:
        with subtests.test(size=size):
            pages = list(walk(admin, f"{ROOT}/orders?cursor=&page_size={size}"))

            assert [order for page in pages for order in page] == expected
            assert {len(page) for page in pages[:-1]} <= {size}


def test_every_list_has_cursors(admin: APIClient, subtests: pytest.Subtests) -> None:
    shop = Shop()
    for path in PAGED:
        with subtests.test(path):
            address = ROOT + path.format(
                order=shop.first.pk, customer=shop.customer.pk, product=shop.product.pk
            )
            expected = admin.get(address).json()["results"]

            pages = list(walk(admin, f"{address}?page_size=1&cursor="))

            assert [item for page in pages for item in page] == expected
            assert all(len(page) == 1 for page in pages) or not expected


def test_a_page_is_not_counted_when_a_cursor_chose_it(admin: APIClient, history: History) -> None:
    place(history, *range(3))
    first = admin.get(f"{ROOT}/orders?page_size=2")

    answer = admin.get(f"{ROOT}/orders?page_size=2&cursor={first.json()['next_cursor']}")

    body = answer.json()
    assert (body["count"], body["count_capped"], body["previous"], body["next"]) == (
        None,
        False,
        None,
        None,
    )
    assert len(body["results"]) == 1
    assert links_of(answer) == {"first": f"http://testserver{ROOT}/orders?page_size=2&cursor="}


def test_new_rows_do_not_shift_the_pages_of_a_cursor(admin: APIClient, history: History) -> None:
    place(history, *range(10, 16))
    old = [order["id"] for order in admin.get(f"{ROOT}/orders").json()["results"]]
    pages = walk(admin, f"{ROOT}/orders?page_size=2&cursor=")

    ids = [order["id"] for order in next(pages)]
    place(history, 20, 21, 0, 1)
    ids += [order["id"] for page in pages for order in page]

    assert ids[: len(old)] == old
    # The two new orders that sort after the cursor are on the last pages.
    assert len(ids) == len(old) + 2
    assert len(set(ids)) == len(ids)


def test_a_cursor_outlives_the_row_it_was_made_of(history: History) -> None:
    place(history, *range(4))
    first = ask(ListOrders(page_size=2))
    OrderSummary.objects.filter(order_id=first.items[-1].id)._raw_delete("read")

    second = ask(ListOrders(page_size=2, cursor=first.next_cursor))

    assert len(second.items) == 2
    assert {order.id for order in first.items}.isdisjoint({order.id for order in second.items})


def test_an_invalid_cursor_is_refused(admin: APIClient, subtests: pytest.Subtests) -> None:
    for cursor in ["junk", "a.b", "W10.x", "x" * 1_001, "%00", "é"]:
        with subtests.test(cursor[:60]):
            answer = admin.get(f"{ROOT}/orders?cursor={cursor}")

            assert (answer.status_code, answer.json()["code"]) == (400, "invalid_parameter")
            assert answer.json()["parameter"] == "cursor"


def test_a_cursor_of_another_list_is_refused(history: History) -> None:
    place(history, *range(3))
    history.add(customer_registered(), customer_registered())
    go_live(history)
    cursor = ask(ListOrders(page_size=1)).next_cursor

    with pytest.raises(ParameterError, match="same list"):
        ask(ListCustomers(cursor=cursor))


def test_page_and_cursor_exclude_each_other(admin: APIClient) -> None:
    answer = admin.get(f"{ROOT}/orders?page=1&cursor=")

    assert answer.status_code == 400
    assert "not by both" in answer.json()["detail"]


def test_the_next_page_keeps_the_filters(admin: APIClient, history: History) -> None:
    place(history, *range(3))
    other = order_placed(number="2026-000009")
    other.confirm(now=NOON)
    history.add(other)
    go_live(history)

    pages = list(walk(admin, f"{ROOT}/orders?status=pending&page_size=1&cursor="))

    assert [[order["status"] for order in page] for page in pages] == [["pending"]] * 3


def test_a_cursor_works_with_columns_of_both_directions(history: History) -> None:
    for day in range(3):
        history.add(
            *(
                order_placed(number=f"{day}-{code}", currency=code, at=NOON + timedelta(days=day))
                for code in ("EUR", "GBP", "USD")
            )
        )
    go_live(history)
    expected = ask(GetSalesByDay()).items
    items: list[Any] = []
    page: Page[Any] = ask(GetSalesByDay(page_size=2, cursor=""))
    while page.items:
        items += page.items
        if page.next_cursor is None:
            break
        page = ask(GetSalesByDay(page_size=2, cursor=page.next_cursor))

    assert len(expected) == 9
    assert tuple(items) == expected


# --- Cost --------------------------------------------------------------------------------------
def plan_of(rows: "QuerySet[Any]") -> str:
    with connections["read"].cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_sort = off")
    return rows.explain()


@pytest.mark.parametrize(
    ("model", "ordering", "keys"),
    [
        (OrderSummary, ("-created_at", "-order_id"), [str(NOON), str(UUID(int=1))]),
        (SalesByDay, ("-day", "currency"), ["2026-03-01", "EUR"]),
    ],
)
def test_an_index_finds_the_rows_after_a_row(
    model: Any, ordering: tuple[str, ...], keys: list[str]
) -> None:
    rows = model.live.order_by(*ordering).filter(keyset.after(ordering, keys))[:20]

    plan = plan_of(rows)

    assert re.search(r"Index (Only )?Scan", plan), plan


def test_the_rows_after_a_row_are_a_range_of_the_index(history: History) -> None:
    place(history, 1)
    rows = OrderSummary.live.order_by("-created_at", "-order_id").filter(
        keyset.after(("-created_at", "-order_id"), [str(NOON), str(UUID(int=1))])
    )

    plan = plan_of(rows[:20])

    conditions = re.findall(r"Index Cond: (.*)", plan)
    assert any("created_at" in condition for condition in conditions), plan


def test_a_page_takes_one_statement(history: History) -> None:
    place(history, *range(3))
    cursor = ask(ListOrders(page_size=1)).next_cursor

    for query in (ListOrders(page_size=2), ListOrders(page_size=1, cursor=cursor)):
        with CaptureQueriesContext(connections["read"]) as read:
            ask(query)
        assert len(read) == 1


def test_a_list_without_an_ordering_is_refused() -> None:
    with pytest.raises(TypeError, match="ordered by names"):
        keyset.ordering_of(OrderSummary.live.all())
