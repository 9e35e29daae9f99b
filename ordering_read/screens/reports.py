"""The report of the sales of a period, as a page and as CSV of its tables."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from django import forms
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.timezone import localdate

from config.http.admin import list_url, page_url
from config.http.errors import ParameterError
from ordering_read import permissions
from ordering_read.admin.gaps import incomplete_named
from ordering_read.engine.gaps import answer_gap
from ordering_read.exports.formats import BYTE_ORDER_MARK, csv_lines
from ordering_read.models import InventoryLevel
from ordering_read.models.sales_by_day import SalesByDay
from ordering_read.models.sales_by_product import SalesByProduct
from ordering_read.models.tax_by_day import TaxByDay
from ordering_read.queries.product_sales import (
    MOST_PRODUCTS,
    ProductRankingView,
    ProductReportView,
    RankProducts,
)
from ordering_read.queries.reports import Group
from ordering_read.queries.sales_report import (
    GetSalesReport,
    ListSalesCurrencies,
    SalesReportView,
)
from ordering_read.screens.base import Screen
from ordering_read.screens.charts import Chart, Value, chart

_DEFAULT_DAYS = 28
# The longest period, and the longest one with a row for each day.
_MOST_DAYS, _MOST_SINGLE_DAYS = 3_660, 400
# The most products of the page; the CSV has MOST_PRODUCTS.
_SHOWN_PRODUCTS = 100
# The products that are called best or worst sellers.
_FEW_PRODUCTS = 5
_SUMS = {
    "orders": "Orders",
    "units": "Units",
    "gross": "Gross",
    "cancelled": "Cancelled",
    "refunded": "Returned, lost, goodwill",
    "goodwill": "Goodwill in it",
    "net": "Net",
    "discount": "Discounts in net",
    "tax": "Taxes in net",
    "captured": "Paid by customers",
    "charged_back": "Charged back",
    "paid_back": "Paid back",
}
# The sums of a day, a week or a month in the order of the columns, with their headings.
_PERIOD_SUMS = {
    "orders": "Orders",
    "units": "Units",
    "gross": "Gross",
    "discount": "Discounts",
    "tax": "Taxes",
    "cancelled": "Cancelled",
    "refunded": "Returned, lost, goodwill",
    "net": "Net",
    "captured": "Paid",
    "charged_back": "Charged back",
    "paid_back": "Paid back",
}
_GROUPS = {"day": "Day", "week": "Week", "month": "Month", "product": "Product"}


class ReportForm(forms.Form):
    """The period, the currency and the rows of a report."""

    # "from" is a keyword, so the fields get their names below.
    def __init__(self, data: Mapping[str, str], *, currencies: Sequence[str]) -> None:
        first, last = last_days(_DEFAULT_DAYS)
        defaults = {"from": first, "to": last, "currency": currencies[0], "by": "day"}
        chosen = {name: data[name] for name in defaults if name in data}
        super().__init__({**defaults, **chosen}, label_suffix="")
        day = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
        self.fields["from"] = forms.DateField(label="From", widget=day, input_formats=["%Y-%m-%d"])
        self.fields["to"] = forms.DateField(label="To", widget=day, input_formats=["%Y-%m-%d"])
        self.fields["currency"] = forms.ChoiceField(
            label="Currency", choices=[(currency, currency) for currency in currencies]
        )
        self.fields["by"] = forms.ChoiceField(label="By", choices=list(_GROUPS.items()))

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        first, last = values.get("from"), values.get("to")
        if first and last:
            days = (last - first).days + 1
            if days < 1:
                self.add_error("to", "The last day is before the first one.")
            elif days > _MOST_DAYS or first.year < 1971:
                self.add_error("from", "Choose ten years at most, after 1970.")
            elif values.get("by") == "day" and days > _MOST_SINGLE_DAYS:
                self.add_error(
                    "by", f"Choose weeks or months for more than {_MOST_SINGLE_DAYS} days."
                )
        return values


class Comparison(NamedTuple):
    """A sum of the period beside that of the period before; ``percent`` is "" without a base."""

    name: str
    label: str
    now: object
    before: object
    change: object
    percent: str


class ReportsScreen(Screen):
    """The sales of a period in one currency.

    The best and worst sellers are a part of their own, for which the page asks after it is shown:
    ranking all products takes longer than the rest of the page. With ``part=sellers``, the answer
    is that part; with ``sellers=shown``, the page has it from the beginning.
    """

    template_name = "screens/reports.html"
    title = "Sales report"
    needed_permission = permissions.VIEW_REPORTS

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        currencies = self.ask(ListSalesCurrencies())
        if not currencies:
            return self.render_to_response(self.get_context_data())
        form = ReportForm(request.GET.dict(), currencies=currencies)
        context: dict[str, Any] = {"form": form, "presets": _presets(form)}
        if form.is_valid():
            query = _query(form)
            if table := request.GET.get("table", ""):
                return self._csv(table, query)
            if request.GET.get("part") == "sellers":
                return HttpResponse(
                    render_to_string("screens/report_sellers.html", self._sellers(query))
                )
            by = form.cleaned_data["by"]
            context |= _context(self.ask(query), query, by)
            if by == "product":
                context |= _products(self._ranking(query, most=_SHOWN_PRODUCTS))
            if request.GET.get("sellers") == "shown":
                context |= self._sellers(query)
            projections = (SalesByDay, SalesByProduct, TaxByDay)
            gap = answer_gap(incomplete_named([model.projection_name for model in projections]))
            context["projection_gaps"] = [gap.detail] if gap else []
        return self.render_to_response(self.get_context_data(**context))

    def _ranking(self, query: GetSalesReport, **limits: int) -> ProductRankingView:
        period = query.model_dump(include={"first_day", "last_day", "currency"})
        return self.ask(RankProducts(**period, **limits))

    def _sellers(self, query: GetSalesReport) -> dict[str, Any]:
        ranking = self._ranking(query, most=_FEW_PRODUCTS, fewest=_FEW_PRODUCTS)
        best = [product for product in ranking.best if product.units]
        return {
            "sellers": {"Best sellers, by gross": best, "Worst sellers, by units": ranking.worst}
        }

    def _csv(self, table: str, query: GetSalesReport) -> HttpResponse:
        """Return the rows of a table of the page. Raises ParameterError for another table."""
        if table == "products":
            rows = [vars(view) for view in self._ranking(query, most=MOST_PRODUCTS).best]
        elif table in _TABLES:
            rows = _TABLES[table](self.ask(query))
        else:
            tables = ", ".join([*_TABLES, "products"])
            raise ParameterError("table", f"The report has the tables {tables}.")
        return _csv_file(table, rows, query)


def _query(form: ReportForm) -> GetSalesReport:
    """Return the query of the page."""
    values = form.cleaned_data
    days = (values["to"] - values["from"]).days + 1
    group: Group = values["by"]
    if values["by"] == "product":
        group = "day" if days <= 62 else "week" if days <= _MOST_SINGLE_DAYS else "month"
    return GetSalesReport(
        first_day=values["from"], last_day=values["to"], currency=values["currency"], group=group
    )


def _context(report: SalesReportView, query: GetSalesReport, by: str) -> dict[str, Any]:
    period_filter = f"?day__gte={query.first_day}&day__lt={query.last_day + timedelta(days=1)}"
    in_currency = f"{period_filter}&currency={query.currency}"
    return {
        "report": report,
        "query": query,
        "last_day_before": query.first_day - timedelta(days=1),
        "by": by,
        "group_label": _GROUPS[query.group],
        "sums": [
            (item, (item.now, item.before, item.change, item.percent or "–"))
            for item in _comparisons(report)
        ],
        "period_labels": _PERIOD_SUMS.values(),
        "periods": [
            (
                period_label(period.day, query.group),
                [getattr(period, name) for name in _PERIOD_SUMS],
            )
            for period in report.periods
        ],
        "chart": _chart(report, query.group),
        "days_url": list_url(SalesByDay, in_currency),
        "products_url": list_url(SalesByProduct, period_filter),
        "taxes_url": list_url(TaxByDay, in_currency),
    }


def _products(ranking: ProductRankingView) -> dict[str, Any]:
    return {
        "products": [
            (product, page_url(InventoryLevel, product.product_id), _numbers(product))
            for product in ranking.best
        ],
        "has_more_products": ranking.has_more,
        "most_products": _SHOWN_PRODUCTS,
        "most_in_csv": MOST_PRODUCTS,
    }


def _numbers(product: ProductReportView) -> tuple[object, ...]:
    """Return the numbers of a product as the columns of the page have them."""
    return (
        product.units,
        product.gross,
        product.cancelled_units,
        product.returned_units,
        product.refunded,
        product.units_before,
        product.gross_before,
        _percent(product.gross, product.gross_before) or "–",
    )


# --- Periods -----------------------------------------------------------------------------------
def last_days(count: int) -> tuple[date, date]:
    """Return the first and the last of the last ``count`` days, today included."""
    today = localdate()
    return today - timedelta(days=count - 1), today


def _presets(form: ReportForm) -> list[dict[str, Any]]:
    """Return the usual periods, with the currency and the rows of ``form``."""
    today = localdate()
    month = today.replace(day=1)
    end_of_last_month = month - timedelta(days=1)
    periods = {
        "This month": (month, today),
        "Last month": (end_of_last_month.replace(day=1), end_of_last_month),
        "Last 28 days": last_days(_DEFAULT_DAYS),
        "This year": (today.replace(month=1, day=1), today),
    }
    chosen = (str(form["from"].value()), str(form["to"].value()))
    return [
        {
            "label": label,
            "from": first,
            "to": last,
            "is_current": (str(first), str(last)) == chosen,
        }
        for label, (first, last) in periods.items()
    ]


def period_label(day: date, group: Group, *, is_short: bool = False) -> str:
    """Return the name of the day, week or month that begins on ``day``."""
    if group == "month":
        return f"{day:%b %Y}" if is_short else f"{day:%B %Y}"
    if is_short:
        return f"{day:%-d %b}"
    return f"Week of {day:%-d %b %Y}" if group == "week" else f"{day:%-d %b %Y}"


# --- Sums --------------------------------------------------------------------------------------
def _comparisons(report: SalesReportView) -> Iterable[Comparison]:
    for name, label in _SUMS.items():
        now, before = getattr(report.sums, name), getattr(report.sums_before, name)
        yield Comparison(name, label, now, before, now - before, _percent(now, before))


def _percent(now: Decimal | int, before: Decimal | int) -> str:
    """Return the change in percent, such as "+12.5 %"; "" if there was nothing before."""
    if not before:
        return ""
    percent = Decimal(now - before) / abs(Decimal(before)) * 100
    return f"{percent:+.1f} %" if now != before else "0.0 %"


def _chart(report: SalesReportView, group: Group) -> Chart:
    values = [
        Value(
            period_label(period.day, group, is_short=True),
            period.net,
            f"{period_label(period.day, group)}: {period.net:,} {report.currency}",
        )
        for period in report.periods
    ]
    return chart(f"Net sales by {group} in {report.currency}", values)


# --- CSV ---------------------------------------------------------------------------------------
_TABLES: Mapping[str, Callable[[SalesReportView], list[dict[str, Any]]]] = {
    "sums": lambda report: [
        {
            "sum": item.name,
            "amount": item.now,
            "before": item.before,
            "change": item.change,
            "percent": item.percent.removesuffix(" %").removeprefix("+"),
        }
        for item in _comparisons(report)
    ],
    "periods": lambda report: [vars(view) for view in report.periods],
    "taxes": lambda report: [vars(view) for view in report.taxes],
}


def _csv_file(table: str, rows: Sequence[Mapping[str, Any]], query: GetSalesReport) -> HttpResponse:
    period = {"currency": query.currency, "from": str(query.first_day), "to": str(query.last_day)}
    lines = [[*row.values(), *period.values()] for row in rows]
    names = [*rows[0], *period] if rows else list(period)
    file_name = f"sales-{table}-{query.first_day}-{query.last_day}-{query.currency}.csv"
    return HttpResponse(
        BYTE_ORDER_MARK.encode() + csv_lines([names, *lines]),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{file_name}"'},
    )
