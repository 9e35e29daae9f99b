"""Rows that are copied into a table, compared with rows that are inserted."""

import pytest
from django.db import DataError, IntegrityError, transaction
from uuid_utils.compat import uuid7

from config.databases import copying, tables
from ordering_read.models import OrderSummary
from tests.kit_projections import NOON

TEXTS = [
    "",
    "null",
    "NULL",
    r"\N",
    r"\.",
    r"\n is no line break, and \\ are two backslashes",
    'a "quoted", {braced} [text], with commas',
    "line\nbreak\r\nand\ttab\b\f\x01\x1f\x7f\x85\u2028\u202e",
    "Ñandú 日本 😀",
]


def order(generation: int, number: int, text: str) -> OrderSummary:
    """A row with ``text`` in a column, in an array and in documents."""
    return OrderSummary(
        projection_id=generation,
        order_id=uuid7(),
        order_number=f"2026-{number}",
        customer_id=uuid7(),
        customer_name=text,
        currency="EUR",
        total_amount="19.9000",
        balance="-0.5",
        tags=[text[:40], "gift"] if number % 2 else [],
        metadata={text: text},
        notes=[{"text": text, "at": None, "units": [1, 2]}],
        shipping_address=None if number % 2 else {"line1": text},
        created_at=NOON,
        placed_on=NOON.date(),
        updated_at=NOON,
        position=number,
    )


def columns_of(generation: int) -> list[dict[str, object]]:
    rows = OrderSummary.objects.filter(projection_id=generation).order_by("position")
    return [
        {column: value for column, value in row.items() if column not in ("key", "projection_id")}
        for row in rows.values()
    ]


def test_rows_that_are_copied_equal_rows_that_are_inserted(db: None) -> None:
    rows = [order(1, number, text) for number, text in enumerate(TEXTS)]
    tables.insert(rows)
    for row in rows:
        row.projection_id = 2

    copying.copy(rows)

    assert columns_of(2) == columns_of(1)
    assert [row["customer_name"] for row in columns_of(2)] == TEXTS


def test_a_text_that_postgresql_has_no_place_for_is_refused(db: None) -> None:
    with pytest.raises(DataError), transaction.atomic(using="read"):
        copying.copy([order(1, 1, "a\x00b")])


def test_a_row_that_is_there_already_is_refused(db: None) -> None:
    row = order(1, 1, "once")
    copying.copy([row])
    with pytest.raises(IntegrityError), transaction.atomic(using="read"):
        copying.copy([row])
