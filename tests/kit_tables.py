"""Fills the read models with any number of orders by SQL."""

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import connections, models

from ordering_read.models import (
    CustomerSummary,
    InventoryLevel,
    OrderLine,
    OrderSummary,
    Projection,
    ReadModel,
)
from ordering_read.models.fulfilment import QueuedOrder
from ordering_read.models.search import CustomerSearch, OrderSearch, ProductSearch

PRODUCTS = 1_000
# The value of a column that no query uses, by the type of its field.
_BLANK = {
    models.JSONField: "'{}'::jsonb",
    models.DecimalField: "0",
    models.IntegerField: "0",
    models.BooleanField: "false",
    models.DateTimeField: "timestamptz '2026-01-01 00:00Z'",
    models.DateField: "date '2026-01-01'",
    models.UUIDField: "md5('')::uuid",
}

# SQL about the order number n of {size}: the newest hundredth isn't completed.
_IS_NEW = "n > {size} * 0.99"
_STATUS = f"""
CASE WHEN {_IS_NEW} THEN (ARRAY['pending', 'confirmed', 'processing', 'shipped'])[1 + n % 4]
WHEN n % 50 = 0 THEN 'cancelled' WHEN n % 9 = 0 THEN 'delivered' ELSE 'completed' END
"""
_NUMBER = "'2026-' || lpad(n::text, 7, '0')"
_CUSTOMER = "(n % ({size} / 5))"
_PRODUCT = f"(n % {PRODUCTS})"
_CHINESE_NAME = "CASE WHEN n % 1000 = 77 THEN ' 山田:1A 田太:1A 太郎:1A 郎:1A' ELSE '' END"
_PLACED = "timestamptz '2026-06-01 00:00Z' - ({size} - n) * interval '1 minute'"


def fill_shop(size: int) -> None:
    """Insert ``size`` orders of one line, a fifth as many customers, and PRODUCTS products."""
    _fill(
        OrderSummary,
        size,
        order_id="md5('order ' || n)::uuid",
        order_number=_NUMBER,
        customer_id=f"md5('customer ' || {_CUSTOMER})::uuid",
        customer_name=f"'Robin ' || {_CUSTOMER}",
        status=_STATUS,
        payment_status=f"CASE WHEN {_IS_NEW} THEN 'unpaid' WHEN n % 500 = 0 THEN 'refunded' "
        "ELSE 'paid' END",
        fulfilment_status=f"CASE WHEN {_IS_NEW} THEN 'unfulfilled' ELSE 'fulfilled' END",
        return_status="CASE WHEN n % 400 = 0 THEN 'returned' ELSE 'none' END",
        hold_reason=f"CASE WHEN {_IS_NEW} AND n % 7 = 0 THEN 'stock' ELSE '' END",
        attention="CASE WHEN n % 700 = 0 THEN ARRAY['chargeback'] ELSE '{}' END",
        balance="CASE WHEN n % 90 = 0 THEN 5 WHEN n % 800 = 0 THEN -5 ELSE 0 END",
        assigned_to="CASE WHEN n % 900 = 0 THEN 'ada' ELSE '' END",
        total_amount="(n::bigint * 7919 % 100000) / 100.0",
        currency="CASE WHEN n % 300 = 0 THEN 'JPY' WHEN n % 3 = 0 THEN 'USD' ELSE 'EUR' END",
        external_reference="CASE WHEN n % 3 = 0 THEN 'WEB-' || n ELSE '' END",
        external_reference_key="CASE WHEN n % 3 = 0 THEN 'web-' || n ELSE '' END",
        po_number_key="CASE WHEN n % 3 = 0 THEN 'po-' || n ELSE '' END",
        metadata="CASE WHEN n % 3 = 0 THEN jsonb_build_object('erp', n::text) ELSE '{}' END",
        tags="CASE WHEN n % 1000 = 0 THEN ARRAY['gift'] ELSE '{}' END",
        created_at=_PLACED,
        updated_at=f"{_PLACED} + n % 40 * interval '1 hour'",
    )
    _fill(
        OrderLine,
        size,
        order_id="md5('order ' || n)::uuid",
        line_id="md5('line ' || n)::uuid",
        product_id=f"md5('product ' || {_PRODUCT})::uuid",
        sku=f"'SKU-' || {_PRODUCT}",
        sku_key=f"'sku-' || {_PRODUCT}",
    )
    _fill(
        OrderSearch,
        size,
        order_id="md5('order ' || n)::uuid",
        customer_id=f"md5('customer ' || {_CUSTOMER})::uuid",
        document="(format('%L:1A %L:1A %L:1A %L:1A %L:1A ''2026'':1A ''robin'':1A ''sku'':1A"
        f" ''note'':4D', {_NUMBER}, lpad(n::text, 7, '0'), {_CUSTOMER}::text, 'sku-' || {_PRODUCT},"
        f" '~' || n) || {_CHINESE_NAME})::tsvector",
    )
    _fill(
        QueuedOrder,
        size,
        order_id="md5('order ' || n)::uuid",
        order_number=_NUMBER,
        status=_STATUS,
        placed_at=_PLACED,
        lines="'{}'::jsonb",
        open_products=f"ARRAY[md5('product ' || {_PRODUCT})::uuid]",
        units=f"CASE WHEN {_IS_NEW} THEN 1 + n % 5 ELSE 0 END",
    )
    _fill(
        CustomerSummary,
        size // 5,
        customer_id="md5('customer ' || n)::uuid",
        name="'Robin ' || n",
        email="'robin' || n || '@example.com'",
        email_key="'robin' || n || '@example.com'",
        status="CASE WHEN n % 100 = 0 THEN 'blocked' ELSE 'active' END",
        metadata="CASE WHEN n % 3 = 2 THEN jsonb_build_object('crm', n::text) ELSE '{}' END",
        registered_at="timestamptz '2026-01-01 00:00Z' + n * interval '1 minute'",
    )
    _fill(
        CustomerSearch,
        size // 5,
        customer_id="md5('customer ' || n)::uuid",
        document="(format('''robin'':1A %L:1A %L:2B', n::text, 'robin' || n || '@example.com')"
        f" || {_CHINESE_NAME})::tsvector",
        version="1",
    )
    _fill(
        InventoryLevel,
        PRODUCTS,
        product_id="md5('product ' || n)::uuid",
        sku="'SKU-' || n",
        sku_key="'sku-' || n",
        name="'Sample ' || n",
        available="CASE WHEN n % 100 = 0 THEN -1 ELSE 5 END",
        is_low="n % 10 = 0",
    )
    _fill(
        ProductSearch,
        PRODUCTS,
        product_id="md5('product ' || n)::uuid",
        document="format('''sample'':1A %L:1A ''sku'':1A', 'sku-' || n)::tsvector",
    )


def _fill(model: type[ReadModel], size: int, **columns: str) -> None:
    """Insert ``size`` live rows. ``columns`` are SQL about n, the number of the row."""
    live = Projection.objects.get(name=model.projection_name, status=Projection.Status.LIVE)
    values = {"projection_id": str(live.pk)}
    for field in model._meta.concrete_fields:
        if not field.primary_key and field.name != "projection":
            values[str(field.column)] = columns.pop(field.name, "") or _blank(field)
    assert not columns, columns
    table = model._meta.db_table
    expressions = ", ".join(values.values()).replace("{size}", str(size))
    with connections["read"].cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute(
            f"INSERT INTO {table} ({', '.join(values)}) "
            f"SELECT {expressions} FROM generate_series(1, {size}) n"
        )
        # A GIN index keeps new entries in a list, which is slow when it is long.
        cursor.execute(f"REINDEX TABLE {table}")
        cursor.execute(f"ANALYZE {table}")


def _blank(field: Any) -> str:
    if field.null:
        return "NULL"
    if field.default is list:
        return "'{}'" if isinstance(field, ArrayField) else "'[]'::jsonb"
    return next((sql for type_, sql in _BLANK.items() if isinstance(field, type_)), "''")
