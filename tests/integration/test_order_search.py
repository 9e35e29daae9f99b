"""The search for orders, customers and products, as each role may use it."""

import random
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from config.accounts.roles import Role
from ordering_read.models.search import CustomerSearch, OrderSearch
from ordering_read.queries import get_query_bus
from ordering_read.queries.customers import ListCustomers
from ordering_read.queries.order_lists import ListOrders
from ordering_write.domain.commands import LineQuantity
from ordering_write.domain.events import Visibility
from ordering_write.models import Order
from tests.integration.test_read_api import ROOT, client_of
from tests.kit_projections import (
    NOON,
    History,
    customer_registered,
    cut_at_random,
    go_live,
    new_generation,
    order_placed,
    product_registered,
    project,
    rows_of,
)

pytestmark = pytest.mark.usefixtures("db")


def order_with_everything(**details: Any) -> Order:
    """Return an order that has all the texts by which orders are found."""
    order = order_placed(lines=2, number="2026-000123", external_reference="SHOP/77", **details)
    order.tag("gift", now=NOON)
    order.add_note("Suspicious", note_id=uuid4(), visibility=Visibility.INTERNAL, now=NOON)
    order.add_note("Ring twice", note_id=uuid4(), visibility=Visibility.CUSTOMER, now=NOON)
    order.confirm(now=NOON)
    shipment_id = uuid4()
    units = [LineQuantity(line_id=UUID(str(line)), quantity=1) for line in list(order.lines)[:1]]
    order.pack(units, shipment_id=shipment_id, now=NOON)
    order.dispatch_shipment(shipment_id, tracking_number="TRACK-9X", now=NOON)
    return order


def numbers(text: str, **limits: Any) -> list[str]:
    """Return the numbers of the orders that ``text`` finds."""
    page = get_query_bus().dispatch(ListOrders(q=text, **limits))
    return [order.order_number for order in page.items]


# --- Texts -------------------------------------------------------------------------------------
def test_an_order_is_found_by_each_of_its_texts(subtests: pytest.Subtests) -> None:
    history = History()
    history.add(order_with_everything(), order_placed(number="1999-9"))
    go_live(history)
    cases = [
        "2026-000123",
        "2026-0001",
        "000123",
        "shop/77",
        "Robin",
        "sample robin",
        "ROBÍN",
        "robin@example.com",
        "robin@exam",
        "SKU-2",
        "sku-",
        "TRACK-9",
        "gift",
        "suspic",
        "ring twice",
        "robin gift sku-1",
        "  2026-000123.  ",
    ]
    for text in cases:
        with subtests.test(text):
            assert "2026-000123" in numbers(text)


def test_an_order_is_not_found_by_another_text(subtests: pytest.Subtests) -> None:
    history = History()
    history.add(order_with_everything())
    go_live(history)
    for text in ["2026-000124", "robin nobody", "gi", "!!!", "o'hara\\", "':* & |", "a" * 200]:
        with subtests.test(text[:60]):
            assert numbers(text) == []


def test_a_corrected_tracking_number_and_a_removed_tag_no_longer_find_the_order() -> None:
    order = order_with_everything()
    [shipment_id] = order.shipments
    order.update_tracking(UUID(str(shipment_id)), tracking_number="RIGHT-1", now=NOON)
    order.untag("gift", now=NOON)
    history = History()
    history.add(order)
    go_live(history)

    assert (numbers("RIGHT-1"), numbers("TRACK-9X"), numbers("gift")) == (["2026-000123"], [], [])


@pytest.mark.parametrize(
    ("text", "to_customer", "to_auditor"),
    [
        ("Robin", True, True),
        ("TRACK-9X", True, True),
        ("robin@example.com", True, False),
        ("ring twice", True, False),
        ("gift", False, True),
        ("suspicious", False, False),
    ],
)
def test_a_text_finds_nothing_for_users_who_may_not_read_it(
    text: str, to_customer: bool, to_auditor: bool
) -> None:
    customer_id = uuid4()
    history = History()
    history.add(order_with_everything(customer_id=customer_id))
    go_live(history)

    assert bool(numbers(text, customer_scope=customer_id)) is to_customer
    assert bool(numbers(text, with_personal=False)) is to_auditor


def test_a_customer_finds_own_orders_only() -> None:
    history = History()
    history.add(order_with_everything())
    go_live(history)

    assert numbers("Robin", customer_scope=uuid4()) == []


def test_an_order_is_found_by_the_new_and_the_old_name_of_its_customer() -> None:
    customer = customer_registered()
    customer.change_details(name="Robin Newname", now=NOON)
    history = History()
    history.add(customer, order_placed(customer_id=customer.pk))
    go_live(history)

    assert numbers("newname") == numbers("sample") == ["2026-000001"]


def test_the_ordering_by_relevance_puts_the_best_match_first() -> None:
    noted = order_placed(number="1")
    noted.add_note("lamp", note_id=uuid4(), visibility=Visibility.INTERNAL, now=NOON)
    named = order_placed(number="2", external_reference="lamp")
    tagged = order_placed(number="3")
    tagged.tag("lamp", now=NOON)
    history = History()
    history.add(noted, named, tagged)
    go_live(history)

    assert numbers("lamp", ordering="relevance") == ["2", "3", "1"]
    assert numbers("lamp", ordering="-relevance") == ["1", "3", "2"]


def test_pages_by_relevance_hold_each_order_once() -> None:
    history = History()
    for number in range(5):
        history.add(order_placed(number=str(number)))
    go_live(history)

    numbers_of_pages: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        query = ListOrders(q="Robin", ordering="relevance", page_size=2, cursor=cursor)
        page = get_query_bus().dispatch(query)
        numbers_of_pages += [order.order_number for order in page.items]
        cursor = page.next_cursor

    assert sorted(numbers_of_pages) == list("01234")


def test_an_order_with_too_many_words_is_still_found() -> None:
    order = order_placed()
    for _ in range(200):
        words = " ".join(f"{random.getrandbits(128):032x}" for _ in range(120))
        order.add_note(words, note_id=uuid4(), visibility=Visibility.INTERNAL, now=NOON)
    history = History()
    history.add(order)
    go_live(history)

    assert numbers("2026-000001 robin") == ["2026-000001"]


# --- Erasure -----------------------------------------------------------------------------------
def test_an_erased_customer_is_not_found() -> None:
    order, customer = order_with_everything(), customer_registered()
    order.anonymize(now=NOON)
    customer.erase("Requested", erased={}, now=NOON)
    history = History()
    history.add(order, customer)
    go_live(history)

    for text in ("Robin", "robin@example.com", "suspicious", "ring", "erased"):
        assert numbers(text) == [], text
        assert get_query_bus().dispatch(ListCustomers(q=text)).items == (), text
    assert numbers("SKU-1") == ["2026-000123"]
    for model in (OrderSearch, CustomerSearch):
        [texts] = model.live.values_list("texts", flat=True)
        assert "robin" not in str(texts).lower()


def test_a_redacted_note_is_not_found() -> None:
    order, note_id = order_placed(), uuid4()
    order.add_note("Suspicious", note_id=note_id, visibility=Visibility.INTERNAL, now=NOON)
    order.redact_note(note_id, now=NOON)
    history = History()
    history.add(order)
    go_live(history)

    assert numbers("suspicious") == []


@pytest.mark.parametrize("seed", range(5))
def test_batches_of_any_size_make_the_same_rows(seed: int) -> None:
    history = History()
    history.add(order_with_everything(), customer_registered(), product_registered())
    generation = new_generation("search")

    for batch in cut_at_random(history.events, random.Random(seed)):
        project(batch, generation)

    assert rows_of(OrderSearch, generation) == history.rows(OrderSearch)
    assert rows_of(CustomerSearch, generation) == history.rows(CustomerSearch)


# --- GET /search -------------------------------------------------------------------------------
class Shop:
    """A customer with two orders, and a product."""

    def __init__(self) -> None:
        self.customer = customer_registered()
        self.product = product_registered(sku="LAMP-1")
        self.order = order_placed(number="2026-000001", customer_id=self.customer.pk)
        self.other = order_placed(
            number="2026-0000012", customer_id=self.customer.pk, external_reference="WEB-5"
        )
        history = History()
        history.add(self.customer, self.product, self.order, self.other)
        go_live(history)


def search(client: APIClient, text: str) -> dict[str, Any]:
    answer = client.get(f"{ROOT}/search", {"q": text})
    assert answer.status_code == 200, answer.content
    body: dict[str, Any] = answer.json()
    return body


def test_one_search_finds_orders_customers_and_products() -> None:
    shop = Shop()

    body = search(client_of(Role.CLERK), "sample")

    assert {order["id"] for order in body["orders"]} == {str(shop.order.pk), str(shop.other.pk)}
    assert [customer["email"] for customer in body["customers"]] == ["robin@example.com"]
    assert [product["sku"] for product in body["products"]] == ["LAMP-1"]
    assert body["redirect"] is None


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("2026-000001", "orders"),
        ("WEB-5", "orders"),
        ("Robin@Example.com", "customers"),
        ("lamp-1", "inventory"),
        ("Order 2026–1", "orders"),
        ("lamp–1", "inventory"),
    ],
)
def test_one_exact_match_gives_a_redirect(text: str, path: str) -> None:
    shop = Shop()
    ids = {
        "2026-000001": shop.order.pk,
        "WEB-5": shop.other.pk,
        "Robin@Example.com": shop.customer.pk,
        "lamp-1": shop.product.pk,
        "Order 2026–1": shop.order.pk,
        "lamp–1": shop.product.pk,
    }

    redirect = search(client_of(Role.CLERK), text)["redirect"]

    assert redirect == f"http://testserver{ROOT}/{path}/{ids[text]}"


def test_two_exact_matches_give_no_redirect() -> None:
    history = History()
    history.add(
        order_placed(number="1", external_reference="X-1"),
        order_placed(number="2", external_reference="X-1"),
    )
    go_live(history)

    body = search(client_of(Role.CLERK), "X-1")

    assert (len(body["orders"]), body["redirect"]) == (2, None)


def test_each_role_finds_what_it_may_see() -> None:
    shop = Shop()

    warehouse = search(client_of(Role.WAREHOUSE), "sample")
    auditor = search(client_of(Role.AUDITOR), "robin@example.com")
    customer = search(client_of(Role.CUSTOMER, customer_id=shop.customer.pk), "sample")
    stranger = search(client_of(Role.CUSTOMER, customer_id=uuid4()), "sample")

    assert (len(warehouse["orders"]), warehouse["customers"]) == (2, [])
    assert (auditor["orders"], auditor["customers"], auditor["redirect"]) == ([], [], None)
    assert (len(customer["orders"]), len(customer["customers"])) == (2, 1)
    assert customer["products"][0]["on_hand"] is None
    assert (stranger["orders"], stranger["customers"]) == ([], [])
    assert search(client_of(Role.CUSTOMER, customer_id=uuid4()), "2026-000001")["redirect"] is None


def test_an_empty_search_finds_nothing() -> None:
    Shop()

    assert search(client_of(Role.CLERK), "") == {
        "orders": [],
        "customers": [],
        "products": [],
        "redirect": None,
        "projection_gap": None,
        "projection_gaps": 0,
    }


@pytest.mark.parametrize(("query", "problem"), [("q=%00", 400), ("q=" + "x" * 201, 400)])
def test_an_invalid_search_is_refused(query: str, problem: int) -> None:
    assert client_of(Role.CLERK).get(f"{ROOT}/search?{query}").status_code == problem


def test_a_searched_list_costs_three_queries_at_most() -> None:
    Shop()
    query = ListOrders(q="sample", ordering="relevance", status="pending", sku="SKU-1")

    with CaptureQueriesContext(connections["read"]) as statements:
        page = get_query_bus().dispatch(query)

    assert len(page.items) == 2
    assert len(statements) <= 3
