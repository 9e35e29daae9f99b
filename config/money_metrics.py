"""The figures of ``/metrics`` about sales, taxes and payments: sums since the first order.

The reports by day have a row per day, so that their sums cost the same at any number of orders.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from django.db.models import Sum
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from ordering_read.models import OrderSummary
from ordering_read.models.sales_by_day import SalesByDay
from ordering_read.models.tax_by_day import TaxByDay
from ordering_write.published import events as e

# Bounds the cost of a scrape: callers can give each line a tax label of its own.
_MOST_TAXES = 100
_MOST_ATTENTION = 1000
_TAX_LABELS = ("currency", "jurisdiction", "label", "rate")
_OTHER_TAXES = "(other taxes)"

# The columns of sales_by_day, which have the same names in the report.
_AMOUNTS: Mapping[str, str] = {
    "gross": "Totals of orders and later additions, with shipping, taxes and discounts.",
    "cancelled": "Amounts cancelled.",
    "refunded": "Amounts of returned and lost units, and goodwill.",
    "discount": "Discounts in the amounts due.",
    "goodwill": "Goodwill granted.",
    "captured": "Payments captured.",
    "charged_back": "Chargebacks, less those that were reversed.",
    "paid_back": "Refunds that reached customers, less those that bounced.",
}


def money_metrics() -> Iterable[Metric]:
    """Yield the figures, in the major unit of each currency, from three statements."""
    yield from _sales()
    yield from _taxes()
    yield _attention()


def _sales() -> Iterable[Metric]:
    sums = {name: Sum(name) for name in _AMOUNTS}
    rows: Any = SalesByDay.live.order_by().values("currency").annotate(**sums, placed=Sum("orders"))
    sales = list(rows.order_by("currency"))
    placed_orders = CounterMetricFamily(
        "orders_placed", "Orders placed, also imported ones.", labels=["currency"]
    )
    for row in sales:
        placed_orders.add_metric([row["currency"]], row["placed"])
    yield placed_orders
    for name, documentation in _AMOUNTS.items():
        # No counters: a later correction lowers most of these sums.
        amounts = GaugeMetricFamily(f"orders_{name}_amount", documentation, labels=["currency"])
        for row in sales:
            amounts.add_metric([row["currency"]], row[name])
        yield amounts


def _taxes() -> Iterable[Metric]:
    bases: defaultdict[tuple[str, ...], Decimal] = defaultdict(Decimal)
    amounts: defaultdict[tuple[str, ...], Decimal] = defaultdict(Decimal)
    for number, row in enumerate(_tax_sums()):
        labels = tuple(row[name] for name in _TAX_LABELS)
        if number >= _MOST_TAXES:
            labels = (row["currency"], "", _OTHER_TAXES, "")
        bases[labels] += row["sum_base"]
        amounts[labels] += row["sum_amount"]
    yield _by_tax("orders_tax_amount", "Taxes in the amounts due.", amounts)
    yield _by_tax("orders_tax_base_amount", "Prices without taxes that the taxes are on.", bases)


def _tax_sums() -> Any:
    """Return a row of sums per tax, the largest first."""
    rows = TaxByDay.live.order_by().values(*_TAX_LABELS)
    sums = rows.annotate(sum_base=Sum("base"), sum_amount=Sum("amount"))
    return sums.order_by("-sum_base", *_TAX_LABELS)


def _by_tax(name: str, documentation: str, values: Mapping[tuple[str, ...], Decimal]) -> Metric:
    family = GaugeMetricFamily(name, documentation, labels=_TAX_LABELS)
    for labels, value in values.items():
        family.add_metric(labels, float(value))
    return family


def _attention() -> Metric:
    family = GaugeMetricFamily(
        "orders_needing_attention",
        f"Orders whose money a person must look at; at most {_MOST_ATTENTION} orders are counted.",
        labels=["reason"],
    )
    reasons = OrderSummary.live.exclude(attention=[]).values_list("attention", flat=True)
    counts = Counter(reason for row in reasons[:_MOST_ATTENTION] for reason in row)
    for reason in e.Attention:
        family.add_metric([reason], counts[reason])
    return family
