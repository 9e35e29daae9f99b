"""The query that ranks the products of a period by their sales, in one currency."""

from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connections
from django.db.models import BooleanField, FloatField, Max, Q, Sum
from django.db.models.expressions import RawSQL
from django.db.models.functions import Cast, Coalesce
from pydantic import Field

from ordering_read.fields import CurrencyAmount, CurrencyCode, ProductId, ProductName, Sku
from ordering_read.models import InventoryLevel
from ordering_read.models.sales_by_product import SalesByProduct
from ordering_read.queries.base import QueryHandler, handles
from ordering_read.queries.sales_report import PeriodQuery
from ordering_read.queries.views import View

# The most products of a ranking.
MOST_PRODUCTS = 1_000

# The best sellers and the worst ones, by the sums of ``products``, which are added up once. An
# array keeps the order of its rows.
_RANKED = """
WITH product AS MATERIALIZED ({products})
SELECT ARRAY(
    SELECT product_id FROM product
    ORDER BY gross_now DESC, units_now DESC, product_id LIMIT %s
), ARRAY(
    SELECT product_id FROM product
    ORDER BY units_now, gross_now, units_before DESC, product_id LIMIT %s
)
"""
_UNITS, _AMOUNTS = ("units", "cancelled_units", "returned_units"), ("gross", "refunded")
_Sums = dict[str, Any]


class ProductReportView(View):
    """The sales of a product in the period (see SalesByProductView), and in the period before."""

    product_id: ProductId
    sku: Sku
    name: ProductName
    units: int
    cancelled_units: int
    returned_units: int
    gross: CurrencyAmount
    refunded: CurrencyAmount
    units_before: int
    gross_before: CurrencyAmount


class ProductRankingView(View):
    """The products that were sold in the period or in the one before it, ranked.

    ``best`` are sorted by ``gross``; with ``has_more``, there are more than these. ``worst`` are
    those that sold the fewest units, the worst first. Equal sellers are sorted by SKU; a limit
    leaves some of them out by id.
    """

    currency: CurrencyCode
    best: tuple[ProductReportView, ...]
    has_more: bool
    worst: tuple[ProductReportView, ...]


class RankProducts(PeriodQuery[ProductRankingView]):
    """Rank the products of a period: the best ``most`` by gross, and the worst ``fewest`` by units.

    A ranking without worst ones takes half of the time.
    """

    most: int = Field(MOST_PRODUCTS, ge=1, le=MOST_PRODUCTS)
    fewest: int = Field(0, ge=0, le=MOST_PRODUCTS)


@handles(RankProducts)
class RankProductsHandler(QueryHandler[RankProducts, ProductRankingView]):
    """Ranks by a statement or two, and reads the sums and names of the ranked by one each."""

    def handle(self, query: RankProducts) -> ProductRankingView:
        sales = _ProductSales(query)
        best, worst = None if query.fewest else sales.best_sellers(query.most + 1), list[UUID]()
        if best is None:
            best, worst = sales.ranked(query.most + 1, query.fewest)
        shown = best[: query.most]
        products = sales.sums({*shown, *worst})
        fields = {
            "currency": query.currency,
            "best": sorted(_of(products, shown), key=_best_first),
            "has_more": len(best) > len(shown),
            "worst": sorted(_of(products, worst), key=_worst_first),
        }
        return ProductRankingView.model_validate(fields, context=query.currency)


class _ProductSales:
    """The sales of the products in the period of ``query``, and in the one before."""

    def __init__(self, query: RankProducts) -> None:
        self._rows: Any = query.rows(SalesByProduct)
        self._now, self._before = Q(day__gte=query.first_day), Q(day__lt=query.first_day)

    def best_sellers(self, most: int) -> list[UUID] | None:
        """Return the ids of the ``most`` best sellers by gross, from the rows of the period alone.

        None if fewer have a positive gross: then products of the period before are among the best.
        """
        products = self._rows.filter(self._now).values("product_id")
        sums = products.annotate(gross_now=Sum("gross"), units_now=_float_units(self._now))
        ranked = sums.filter(gross_now__gt=0).order_by("-gross_now", "-units_now", "product_id")
        best = list(ranked.values_list("product_id", flat=True)[:most])
        return best if len(best) == most else None

    def ranked(self, most: int, fewest: int) -> tuple[list[UUID], list[UUID]]:
        """Return the ids of the best sellers by gross and the worst ones by units, at most so many.

        By one statement with as few sums as possible, because a shop may have many products. Ranks
        those of which something happened in the period, and those that sold in the one before.
        """
        # Without their SKUs, so that equal sellers are ranked by id.
        products = self._rows.filter(self._now | Q(units__gt=0)).values("product_id")
        products = products.annotate(
            gross_now=_amount("gross", self._now),
            units_now=Coalesce(_float_units(self._now), 0.0),
            units_before=Coalesce(_float_units(self._before), 0.0),
        )
        if products.query.is_empty():
            return [], []
        statement, parameters = products.query.sql_with_params()
        with connections["read"].cursor() as cursor:
            cursor.execute(_RANKED.format(products=statement), [*parameters, most, fewest])
            best, worst = cursor.fetchone()
        return best, worst

    def sums(self, ids: Collection[UUID]) -> dict[UUID, _Sums]:
        """Return the fields of a ProductReportView of each of these products, by two statements.

        Products have the names that they have now; a product without one keeps the name of then.
        """
        products: Any = InventoryLevel.live.filter(_is_any_of(ids))
        present = {key: texts for key, *texts in products.values_list("product_id", "sku", "name")}
        sums = {
            **{name: _units(name, self._now) for name in _UNITS},
            **{name: _amount(name, self._now) for name in _AMOUNTS},
            "units_before": _units("units", self._before),
            "gross_before": _amount("gross", self._before),
        }
        # Sums may not have the names of columns.
        columns = {f"sum_{name}": value for name, value in sums.items()}
        sales = self._rows.filter(_is_any_of(ids)).values("product_id")
        rows = sales.annotate(last_sku=Max("sku"), last_name=Max("name"), **columns)
        fields = {}
        names = ("product_id", "sku", "name", *sums)
        for key, *then in rows.values_list("product_id", "last_sku", "last_name", *columns):
            texts = present.get(key, then[:2])
            fields[key] = dict(zip(names, (key, *texts, *then[2:]), strict=True))
        return fields


def _of(products: Mapping[UUID, _Sums], ids: Iterable[UUID]) -> list[_Sums]:
    # A promotion between two statements can take a product away.
    return [products[key] for key in ids if key in products]


def _best_first(product: _Sums) -> tuple[Any, ...]:
    return -product["gross"], -product["units"], product["sku"]


def _worst_first(product: _Sums) -> tuple[Any, ...]:
    return product["units"], product["gross"], -product["units_before"], product["sku"]


def _float_units(part: Q) -> Sum:
    # A float is exact up to 2 to the 53rd, and its sum takes no memory of its own per product.
    return Sum(Cast("units", FloatField()), filter=part)


def _units(name: str, part: Q) -> Coalesce:
    return Coalesce(Sum(name, filter=part), 0)


def _amount(name: str, part: Q) -> Coalesce:
    return Coalesce(Sum(name, filter=part), Decimal(0))


def _is_any_of(ids: Collection[UUID]) -> RawSQL:
    # One text: psycopg takes longer than PostgreSQL with a thousand parameters or elements.
    array = f"{{{','.join(map(str, ids))}}}"
    return RawSQL("product_id = ANY(%s::uuid[])", [array], output_field=BooleanField())
