"""The report of a period: sums, comparison, products, taxes, chart and CSV, in one currency."""

import csv
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from config.accounts.models import User
from config.accounts.roles import Role
from ordering_read.models.sales_by_day import SalesByDay
from ordering_read.projector import writing
from ordering_read.queries import get_query_bus
from ordering_read.queries.product_sales import RankProducts
from ordering_read.queries.reports import GetSalesByDay, GetSalesByProduct, GetTaxesByDay
from ordering_read.queries.sales_report import GetSalesReport
from ordering_read.screens import charts
from ordering_read.screens.charts import Value, chart
from tests import kit
from tests.kit_admin import logged_in, page_text, run_projections

pytestmark = pytest.mark.usefixtures("db")

REPORT = "/admin/reports/"
# A Monday; the period has four whole weeks, and so has the one before.
FIRST, LAST = date(2026, 3, 2), date(2026, 3, 29)
PERIOD = f"?from={FIRST}&to={LAST}"
ask = get_query_bus().dispatch


def on(day: date, product: Any, quantity: int, price: str, **fields: Any) -> Any:
    """Return an order of that day, in euros unless ``fields`` say otherwise."""
    tax = {"label": "IVA 21 %", "jurisdiction": "ES", "rate": "21", "included": True}
    item = {"product_id": product.pk, "quantity": quantity, "unit_price": price, "taxes": [tax]}
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    return kit.placed_order(kit.registered_customer(), items=[item], timestamp=noon, **fields)


@pytest.fixture(scope="module")
def shop(module_db: None) -> dict[str, Any]:
    """Sales of lamps and chairs in both periods, and on the days around them."""
    products = {
        name: kit.registered_product(500, sku=f"{name}-1", name=f"A {name}")
        for name in ("lamp", "chair", "sofa")
    }
    lamp, chair, sofa = products.values()
    on(FIRST - timedelta(29), lamp, 9, "1.00")
    on(FIRST - timedelta(28), chair, 4, "10.00")
    on(FIRST - timedelta(1), sofa, 1, "60.00")
    on(FIRST, lamp, 3, "19.99")
    on(FIRST + timedelta(8), chair, 1, "10.01")
    on(LAST, lamp, 2, "20.00")
    on(LAST, lamp, 5, "900", currency="JPY")
    on(LAST + timedelta(1), lamp, 7, "1.00")
    cancelled = on(LAST - timedelta(1), chair, 2, "5.55")
    noon = datetime(2026, 3, 28, 13, tzinfo=UTC)
    kit.dispatch(kit.cancel(cancelled, timestamp=noon))
    run_projections()
    return products


def report(**fields: Any) -> Any:
    return ask(GetSalesReport(first_day=FIRST, last_day=LAST, currency="EUR", **fields))


def ranking(**fields: Any) -> Any:
    period = {"first_day": FIRST, "last_day": LAST, "currency": "EUR"}
    return ask(RankProducts(**{**period, **fields}))


@pytest.mark.usefixtures("shop")
def test_every_sum_equals_the_rows_of_the_lists_to_the_cent() -> None:
    period = {"first_day": FIRST, "last_day": LAST, "currency": "EUR"}
    days = ask(GetSalesByDay(page_size=100, **period)).items
    lines = ask(GetSalesByProduct(page_size=100, **period)).items
    taxes = ask(GetTaxesByDay(page_size=100, **period)).items

    for group in ("day", "week", "month"):
        found = report(group=group)
        for name in type(found.sums).model_fields:
            total = sum(getattr(day, name) for day in days)
            assert getattr(found.sums, name) == total, (group, name)
            assert sum(getattr(part, name) for part in found.periods) == total, (group, name)
    assert (found.sums.net, found.sums.orders) == (Decimal("109.98"), 4)
    products = ranking().best
    assert sum(product.gross for product in products) == sum(line.gross for line in lines)
    assert sum(product.units for product in products) == sum(line.units for line in lines)
    [tax] = found.taxes
    assert (tax.amount, tax.base) == (
        sum(row.amount for row in taxes),
        sum(row.base for row in taxes),
    )
    assert tax.amount == found.sums.tax


@pytest.mark.usefixtures("shop")
def test_the_period_before_has_the_same_length() -> None:
    found = report(group="week")

    assert found.sums_before.net == Decimal("100.00")
    assert [str(part.day) for part in found.periods] == [
        "2026-03-02",
        "2026-03-09",
        "2026-03-16",
        "2026-03-23",
    ]
    assert [str(part.net) for part in found.periods] == ["59.97", "10.01", "0.00", "40.00"]
    ranked = ranking(fewest=5)
    assert [(product.sku, product.gross_before) for product in ranked.best] == [
        ("lamp-1", 0),
        ("chair-1", 40),
        ("sofa-1", 60),
    ]
    assert [(product.sku, product.units, product.units_before) for product in ranked.worst] == [
        ("sofa-1", 0, 1),
        ("chair-1", 3, 4),
        ("lamp-1", 5, 0),
    ]
    yen = ask(GetSalesReport(first_day=FIRST, last_day=LAST, currency="JPY"))
    assert (str(yen.sums.net), str(yen.sums_before.net)) == ("4500", "0")


@pytest.mark.usefixtures("shop")
def test_a_short_ranking_has_the_best_sellers_and_the_worst_of_all(
    subtests: pytest.Subtests,
) -> None:
    whole = ranking(fewest=5)
    assert not whole.has_more
    for most, fewest in ((1, 0), (1, 5), (2, 0), (2, 2), (3, 0)):
        with subtests.test(most=most, fewest=fewest):
            short = ranking(most=most, fewest=fewest)
            assert short.best == whole.best[:most]
            assert short.worst == whole.worst[:fewest]
            assert short.has_more == (most < 3)
    later = ranking(first_day=LAST + timedelta(2), last_day=LAST + timedelta(3), fewest=5)
    assert [(product.sku, product.units_before) for product in later.worst] == [("lamp-1", 9)]
    between = ranking(first_day=LAST, last_day=LAST)
    assert [(product.sku, product.units) for product in between.best] == [
        ("lamp-1", 2),
        ("chair-1", 0),
    ]


@pytest.mark.usefixtures("shop")
def test_the_page_compares_the_periods_and_its_csv_has_what_it_shows(
    admin_user: User, subtests: pytest.Subtests
) -> None:
    client = logged_in(admin_user)
    client.get("/admin/")
    with (
        CaptureQueriesContext(connections["default"]) as write,
        CaptureQueriesContext(connections["read"]) as read,
    ):
        text = page_text(client, REPORT + PERIOD)
    assert len(write) + len(read) <= 10

    assert "Net 109.98 100.00 9.98 +10.0 %" in text
    assert "2 Feb 2026 to 1 Mar 2026" in text
    assert "Captured" not in text or "Paid by customers 0.00 0.00 0.00 –" in text
    for by in ("day", "week", "month", "product"):
        address = f"{REPORT}{PERIOD}&currency=EUR&by={by}"
        shown = page_text(client, address)
        for table in ("sums", "periods", "products", "taxes"):
            with subtests.test(f"{table} by {by}"):
                answer = client.get(f"{address}&table={table}")
                rows = list(csv.DictReader(answer.content.decode("utf-8-sig").splitlines()))
                assert rows
                assert {row["currency"] for row in rows} == {"EUR"}
                amount = {"sums": "amount", "taxes": "base", "products": "gross"}.get(table, "net")
                is_shown = {"periods": by != "product", "products": by == "product"}
                if is_shown.get(table, True):
                    assert all(row[amount] in shown for row in rows)
    page = client.get(f"{REPORT}{PERIOD}&by=product")
    assert "A lamp" in page.text
    assert page.text.count("<rect") == 28


@pytest.mark.usefixtures("shop")
def test_a_page_awaits_the_sellers_as_a_part_or_shows_them_at_once(admin_user: User) -> None:
    client = logged_in(admin_user)
    page = client.get(f"{REPORT}{PERIOD}").text
    part = client.get(f"{REPORT}{PERIOD}&part=sellers").text
    [link] = re.findall(r'href="(\?from[^"]*sellers=shown)"', page)
    whole = client.get(REPORT + link.replace("&amp;", "&")).text

    assert 'id="sellers" data-refresh="' in page
    assert part.strip().startswith('<div class="report-sellers" id="sellers">')
    assert part.strip() in whole
    best, worst = re.split("Worst sellers", part)
    assert re.findall(r">([a-z]+-1)</a>", best) == ["lamp-1", "chair-1"]
    assert re.findall(r">([a-z]+-1)</a>", worst) == ["sofa-1", "chair-1", "lamp-1"]


@pytest.mark.usefixtures("shop")
def test_bad_input_is_explained_and_the_form_stays(
    admin_user: User, make_user: Any, subtests: pytest.Subtests
) -> None:
    client = logged_in(admin_user)
    for query, words in {
        "?from=2026-03-29&to=2026-03-01": "before the first",
        "?from=yesterday": "Enter a valid date",
        "?from=1900-01-01": "ten years",
        "?from=2024-01-01&to=2026-03-01": "weeks or months",
        "?currency=XXX": "Select a valid choice",
        "?by=year": "Select a valid choice",
        "?from=": "required",
    }.items():
        with subtests.test(query):
            text = page_text(client, REPORT + query)
            assert words in text
            assert "Taxes by rate" not in text
    assert client.get(f"{REPORT}{PERIOD}&table=secrets").status_code == 400
    for label in ("This month", "Last month", "Last 28 days", "This year"):
        assert label in page_text(client, REPORT)
    for url in re.findall(r'href="(\?from[^"]*)"', client.get(REPORT).text):
        assert client.get(REPORT + url.replace("&amp;", "&")).status_code == 200
    warehouse = logged_in(make_user(Role.WAREHOUSE, is_staff=True))
    assert warehouse.get(REPORT).status_code == 403


def test_an_empty_shop_has_an_empty_report(admin_user: User) -> None:
    with writing():
        SalesByDay.objects.all().delete()

    assert "Nothing has been sold yet" in page_text(logged_in(admin_user), REPORT)


# --- Charts ------------------------------------------------------------------------------------
def test_the_axis_of_a_chart_has_round_amounts_around_all_values(
    subtests: pytest.Subtests,
) -> None:
    for amounts, texts in {
        ("0", "25"): ["0", "10", "20", "30"],
        ("-3", "25.50"): ["-10", "0", "10", "20", "30"],
        ("0",): ["0", "0.25"],
        ("1234567", "3000000"): ["0", "1M", "2M", "3M"],
        ("39000", "12.5"): ["0", "10k", "20k", "30k", "40k"],
        ("-7", "-2"): ["-8", "-6", "-4", "-2", "0"],
    }.items():
        with subtests.test(str(amounts)):
            found = chart("Sales", [Value("", Decimal(amount), "") for amount in amounts])
            assert [tick.text for tick in found.ticks] == texts
            assert all(0 <= bar.y <= bar.y + bar.height <= 100.001 for bar in found.bars)
            heights = [tick.at for tick in found.ticks]
            assert heights == sorted(heights, reverse=True)
            assert len(found.labels) <= charts._MOST_LABELS
