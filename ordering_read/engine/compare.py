"""Comparing the rows of two generations."""

from django.db import connections
from django.db.models import Model

from ordering_read.engine.base import projector
from ordering_read.models import Projection

_DIFFERING = """
SELECT count(*) FROM (
    (SELECT {columns} FROM {table} WHERE projection_id = %(one)s
     EXCEPT ALL SELECT {columns} FROM {table} WHERE projection_id = %(other)s)
    UNION ALL
    (SELECT {columns} FROM {table} WHERE projection_id = %(other)s
     EXCEPT ALL SELECT {columns} FROM {table} WHERE projection_id = %(one)s)
) AS differing
"""


def differing_rows(one: Projection, other: Projection) -> dict[str, int]:
    """For each table of a projection the number of rows that only one of the generations has.

    Rows are equal when all columns are, but for the key and the generation.
    """
    return {
        model._meta.db_table: _differing_rows(model, one, other)
        for model in projector(one.name).models
    }


def _differing_rows(model: type[Model], one: Projection, other: Projection) -> int:
    with connections["read"].cursor() as cursor:
        quote = connections["read"].ops.quote_name
        columns = ", ".join(
            quote(str(field.column))
            for field in model._meta.concrete_fields
            if field.name not in ("key", "projection")
        )
        cursor.execute(
            _DIFFERING.format(columns=columns, table=quote(model._meta.db_table)),
            {"one": one.pk, "other": other.pk},
        )
        return int(cursor.fetchone()[0])
