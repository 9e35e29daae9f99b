"""The sums of products in a period and in the one before: ranked, and in full for a few."""

from collections.abc import Collection
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connections
from django.db.models import BooleanField, Max, Q, QuerySet, Sum
from django.db.models.expressions import RawSQL
from django.db.models.functions import Coalesce

from ordering_read.models import InventoryLevel
from ordering_read.models.sales_by_product import SalesByProduct

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


class ProductSales:
    """The sales in ``rows``: those of a period from its ``first_day`` on, and of the one before."""

    def __init__(self, rows: QuerySet[SalesByProduct], *, first_day: date) -> None:
        self._rows = rows
        self._now, self._before = Q(day__gte=first_day), Q(day__lt=first_day)

    def ranked(self, most: int, fewest: int) -> tuple[list[UUID], list[UUID]]:
        """Return the ids of the best sellers by gross and the worst ones by units, at most so many.

        By one statement with as few sums as possible, because a shop may have many products. Ranks
        those of which something happened in the period, and those that sold in the one before.
        """
        # Without their SKUs, so that equal sellers are ranked by id.
        products: Any = self._rows.filter(self._now | Q(units__gt=0)).values("product_id")
        products = products.annotate(
            gross_now=_amount("gross", self._now),
            units_now=_units("units", self._now),
            units_before=_units("units", self._before),
        )
        if products.query.is_empty():
            return [], []
        statement, parameters = products.query.sql_with_params()
        with connections["read"].cursor() as cursor:
            cursor.execute(_RANKED.format(products=statement), [*parameters, most, fewest])
            best, worst = cursor.fetchone()
        return best, worst

    def sums(self, ids: Collection[UUID]) -> dict[UUID, dict[str, Any]]:
        """Return the fields of a ProductReportView of each of these products, by two statements.

        Products have the names that they have now; a product without one keeps the name of then.
        """
        names: Any = InventoryLevel.live.filter(_is_any_of(ids))
        present = {key: texts for key, *texts in names.values_list("product_id", "sku", "name")}
        sales: Any = self._rows.filter(_is_any_of(ids)).values("product_id")
        rows = sales.annotate(
            **{f"{name}_now": _units(name, self._now) for name in _UNITS},
            **{f"{name}_now": _amount(name, self._now) for name in _AMOUNTS},
            **{f"{name}_now": Max(name) for name in ("sku", "name")},
            units_before=_units("units", self._before),
            gross_before=_amount("gross", self._before),
        )
        fields = {}
        for row in rows:
            key = row["product_id"]
            row["sku_now"], row["name_now"] = present.get(key, (row["sku_now"], row["name_now"]))
            fields[key] = {name.removesuffix("_now"): value for name, value in row.items()}
        return fields


def _units(name: str, part: Q) -> Coalesce:
    return Coalesce(Sum(name, filter=part), 0)


def _amount(name: str, part: Q) -> Coalesce:
    return Coalesce(Sum(name, filter=part), Decimal(0))


def _is_any_of(ids: Collection[UUID]) -> RawSQL:
    # One text: psycopg takes longer than PostgreSQL with a thousand parameters or elements.
    array = f"{{{','.join(map(str, ids))}}}"
    return RawSQL("product_id = ANY(%s::uuid[])", [array], output_field=BooleanField())
