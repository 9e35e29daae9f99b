"""Names, numbers and codes are found as people type them."""

import pytest

from ordering_read.queries import get_query_bus
from ordering_read.queries.customers import ListCustomers
from ordering_read.queries.inventory import GetInventory
from tests.integration.test_order_search import numbers
from tests.kit_projections import (
    History,
    customer_registered,
    go_live,
    order_placed,
    product_registered,
)

pytestmark = pytest.mark.usefixtures("db")

# By the name of a customer, the searches that find it.
NAMES: dict[str, list[str]] = {
    "山田太郎": ["山田", "太郎", "田太", "山", "郎", "山田太郎", "山田 太郎"],
    "山田 Taro": ["山田", "山田 taro", "taro 山", "山田Taro"],
    "ヤマダ タロウ": ["やまだ", "ヤマ", "ﾔﾏﾀﾞ", "ロウ"],
    "김철수": ["김", "철수", "김철수"],
    "สมชาย ใจดี": ["สม", "ชาย", "สมชาย", "ใจดี"],
    "राम कुमार": ["राम", "कुमा"],
    "Søren Ångström": ["soren", "SØREN", "angstrom", "Sören"],
    "Łukasz Żółć": ["lukasz", "zolc"],
    "Đorđe Þórður": ["dorde", "thord", "Þórður"],
    "Æsir Œuvre": ["aesir", "oeuvre", "œuvre"],
    "Ħal Weiß": ["hal", "weiss", "WEISS", "weiß"],
    "Iğdır İnce": ["igdir", "ığdır", "ince", "İNCE", "ınce"],
    "Οδυσσεύς Ανδρέας": ["οδυσσευσ", "ΟΔΥΣΣΕΎΣ", "ανδρεας"],
    "Ёлкин": ["елкин", "ЁЛКИН"],
    "O’Brien": [
        "o'brien",
        "obrien",
        "O`Brien",
        "o´brien",
        "oʼbrien",
        "o‘brien",
        "brien",
        "o brien",
    ],
    "D'Angelo": ["dangelo", "d’angelo", "angelo", "d angelo"],
    "Anne-Marie Kim": ["anne marie", "annemarie", "anne–marie", "anne‑marie kim", "marie"],
    "Anne Marie Kim": ["anne-marie", "annemarie", "annemarie kim"],
    "Annemarie Kim": ["anne-marie", "anne marie", "kim anne marie"],
    "Ｒｏｂｉｎ ４２": ["robin", "42", "Ｒｏｂｉｎ", "٤٢"],
    "Mül\u00adler": ["muller", "müller", "mu\u0308ller"],
}


def test_a_customer_and_the_orders_are_found_by_a_name_as_people_type_it(
    subtests: pytest.Subtests,
) -> None:
    history = History()
    for number, name in enumerate(NAMES):
        customer = customer_registered(name=name, email=f"c{number}@example.com")
        order = order_placed(number=str(number), customer_name=name)
        history.add(customer, order)
    go_live(history)

    for number, (name, searches) in enumerate(NAMES.items()):
        for text in searches:
            with subtests.test(name=name, text=text):
                assert str(number) in numbers(text)
                customers = get_query_bus().dispatch(ListCustomers(q=text)).items
                assert name in [customer.name for customer in customers]


def test_a_name_is_not_found_by_another_name(subtests: pytest.Subtests) -> None:
    history = History()
    for number, name in enumerate(["山田太郎", "O’Brien", "Søren", "Anne-Marie"]):
        history.add(order_placed(number=str(number), customer_name=name))
    go_live(history)

    for text in [
        "山太",
        "郎太",
        "本",
        "obrian",
        "so",
        "anne-maria",
        "anne mary",
        "'",
        "山田 Taro",
    ]:
        with subtests.test(text):
            assert numbers(text) == []


# By the number of an order, the searches that find it, among which is none for the others.
NUMBERS: dict[str, list[str]] = {
    "2026-001221": [
        "2026-001221",
        "2026-1221",
        "2026–1221",
        "2026—001221",
        "2026−001221",
        "2026 1221",
        "２０２６－１２２１",
        "1221",
        "001221",
        "221",
        "21",
        "1",
        "#1221",
        "Order 2026-001221",
        "order 1221",
        "Order #2026-1221",
        "Order no. 1221",
        "order-2026-001221",
        "Order: 1221",
        "2026001221",
        "2026-0012",
    ],
    "2025-000007": ["7", "2025-7", "order 7", "2025-000007", "07"],
}


def test_an_order_is_found_by_the_last_digits_of_its_number(subtests: pytest.Subtests) -> None:
    history = History()
    # The names of lines have digits too.
    fee = {"fee": "1.00"}
    history.add(
        *(
            order_placed(number=number, lines=0, adjustments=fee)
            for number in [*NUMBERS, "2026-912210"]
        )
    )
    go_live(history)

    for number, searches in NUMBERS.items():
        for text in searches:
            with subtests.test(text, number=number):
                assert numbers(text) == [number]


def test_the_word_order_alone_and_a_product_with_a_number_are_searched_too() -> None:
    history = History()
    history.add(product_registered(sku="NO-5", name="Order book no 5"))
    go_live(history)

    for text in ("order", "order book", "no 5", "no–5", "NO-5", "book 5"):
        products = get_query_bus().dispatch(GetInventory(q=text)).items
        assert [product.sku for product in products] == ["NO-5"], text


def test_parts_of_addresses_and_codes_are_found(subtests: pytest.Subtests) -> None:
    history = History()
    history.add(
        customer_registered(
            name="Robin Sample",
            email="robin.sample+shop@mail.example.com",
            phone="+34 600 12 34 56",
        ),
        product_registered(sku="LAMP–77/B", name="Desk lamp"),
    )
    go_live(history)

    for text in ("robin.sample", "sample", "shop", "mail", "robin.sample+shop@mail.example.com"):
        with subtests.test(text):
            assert len(get_query_bus().dispatch(ListCustomers(q=text)).items) == 1
    for text in ("600123456", "600 123 456", "+34 600123456", "0034-600-123456", "(600) 12.34.56"):
        with subtests.test(text):
            assert len(get_query_bus().dispatch(ListCustomers(q=text)).items) == 1
            hidden = ListCustomers(q=text, with_personal=False)
            assert get_query_bus().dispatch(hidden).items == ()
    for text in ("lamp-77", "LAMP‒77/B", "lamp77b", "LAMP−77", "77"):
        with subtests.test(text):
            assert len(get_query_bus().dispatch(GetInventory(q=text)).items) == 1
    for text in ("12345", "600 123 457"):
        with subtests.test(text):
            assert get_query_bus().dispatch(ListCustomers(q=text)).items == ()
