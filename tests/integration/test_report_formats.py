"""The reports of sales by week and by month, and as CSV."""

import csv
from datetime import timedelta
from decimal import Decimal

import pytest
from django.test import Client
from rest_framework.test import APIClient

from config.accounts.models import User
from ordering_read.api.spreadsheets import CSVRenderer
from ordering_read.queries import View, get_query_bus
from ordering_read.queries.reports import GetSalesByDay
from tests.kit_contract import document
from tests.kit_openapi import inlined
from tests.kit_projections import NOON, History, go_live, order_placed

pytestmark = pytest.mark.usefixtures("db")

BY_DAY, BY_PRODUCT = "/api/v1/reports/sales-by-day", "/api/v1/reports/sales-by-product"
# The first of March, 2026, is a Sunday.
SUNDAY = NOON


@pytest.fixture(autouse=True)
def shop() -> None:
    """Orders on three days of two weeks and two months, in two currencies."""
    history = History()
    for days, price, currency in ((-1, "1.00", "EUR"), (0, "2.00", "EUR"), (1, "4.00", "EUR")):
        at = SUNDAY + timedelta(days=days)
        number = f"{days} {currency}"
        history.add(order_placed(number=number, unit_price=price, currency=currency, at=at))
    history.add(order_placed(number="yen", unit_price="900", currency="JPY", at=SUNDAY))
    cancelled = order_placed(number="cancelled", unit_price="8.00", at=SUNDAY)
    cancelled.cancel("Not needed", now=SUNDAY + timedelta(days=2))
    history.add(cancelled)
    go_live(history)


@pytest.fixture
def client(clerk: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(clerk)
    return client


def rows_of(**parameters: object) -> list[tuple[str, str, int, Decimal]]:
    page = get_query_bus().dispatch(GetSalesByDay.model_validate(parameters))
    return [(str(row.day), row.currency, row.orders, row.net) for row in page.items]


def test_sales_are_summed_up_by_week_from_monday_on() -> None:
    assert rows_of(group="week") == [
        ("2026-03-02", "EUR", 1, Decimal("-8.00")),
        ("2026-02-23", "EUR", 3, Decimal("22.00")),
        ("2026-02-23", "JPY", 1, Decimal("1800")),
    ]


def test_sales_are_summed_up_by_month() -> None:
    assert rows_of(group="month", currency="EUR") == [
        ("2026-03-01", "EUR", 3, Decimal("12.00")),
        ("2026-02-01", "EUR", 1, Decimal("2.00")),
    ]


def test_a_month_sums_up_the_requested_days_only() -> None:
    assert rows_of(group="month", first_day="2026-03-02", currency="EUR") == [
        ("2026-03-01", "EUR", 1, Decimal("-8.00"))
    ]


def test_weeks_are_paged(client: APIClient) -> None:
    body = client.get(f"{BY_DAY}?group=week&page_size=2&page=2").json()

    assert (body["count"], len(body["results"]), body["next"]) == (3, 1, None)
    assert client.get(f"{BY_DAY}?group=week&page_size=2").json()["next"].endswith("page=2")


@pytest.mark.parametrize("query", ["group=year", "group=week&cursor=", "group="])
def test_an_invalid_group_is_refused(query: str, client: APIClient) -> None:
    assert client.get(f"{BY_DAY}?{query}").status_code == 400


@pytest.mark.parametrize("address", [BY_DAY, BY_PRODUCT])
def test_csv_has_the_rows_of_all_pages(address: str, client: APIClient) -> None:
    shown = client.get(f"{address}?page_size=100").json()["results"]

    answer = client.get(f"{address}?format=csv&page_size=1&page=7")

    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert answer["Content-Disposition"].endswith('.csv"')
    assert answer.content.startswith("\ufeff".encode()), "Excel needs a byte order mark"
    rows = list(csv.DictReader(answer.content.decode("utf-8-sig").splitlines()))
    assert len(rows) > 1
    assert [row["gross"] for row in rows] == [row["gross"] for row in shown]
    assert set(rows[0]) == set(shown[0]) - {"links"} | {"projection_gap"}


@pytest.mark.parametrize("address", [BY_DAY, BY_PRODUCT])
def test_the_name_of_the_file_is_documented(address: str) -> None:
    documented = inlined(document())["paths"][address]["get"]["responses"]
    named = [code for code in documented if "Content-Disposition" in documented[code]["headers"]]
    assert named == ["200"]


def test_the_header_accept_chooses_csv_too(client: APIClient) -> None:
    as_json = client.get(BY_DAY)
    as_csv = client.get(BY_DAY, headers={"Accept": "text/csv"})

    assert as_csv["Content-Type"] == "text/csv; charset=utf-8"
    assert as_csv["ETag"] != as_json["ETag"]


def test_a_refusal_of_csv_is_a_problem(client: APIClient, warehouse: User) -> None:
    assert client.get(f"{BY_DAY}?format=csv&colour=red").json()["code"] == "unknown_parameter"
    client.force_authenticate(warehouse)
    assert client.get(f"{BY_DAY}?format=csv").status_code == 403
    assert Client().get(f"{BY_DAY}?format=csv").status_code == 401


def test_a_text_of_a_csv_file_never_becomes_a_formula(subtests: pytest.Subtests) -> None:
    for text in ["=1+1", "+1", "-1", "@SUM", "\tx", "\rx", "\nx", *"＝＋－＠﹦﹢﹣﹫"]:
        with subtests.test(repr(text)):

            class Row(View):
                name: str
                amount: Decimal

            class Shown:
                row = Row

                def gap_of_answer(self) -> None:
                    return None

            sent = CSVRenderer().render(
                [Row(name=text, amount=Decimal("-1.50"))], renderer_context={"view": Shown()}
            )

            [row] = csv.DictReader(sent.decode("utf-8-sig").splitlines(keepends=True))
            assert (row["name"], row["amount"]) == (f"'{text}", "-1.50")
