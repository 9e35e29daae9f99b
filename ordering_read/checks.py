"""System checks of the read side."""

from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Warning
from django.db import connections

from ordering_read.engine import status
from ordering_read.models import Projection


def check_code_fingerprints(
    *, databases: Sequence[str] | None = None, **_kwargs: Any
) -> list[CheckMessage]:
    """Warn about projections whose rows were made by other code of the same version."""
    if "read" not in (databases or ()) or not _is_migrated():
        return []
    return [
        Warning(
            f"The rows of {name} were made by other code of the same version.",
            hint=f"Raise its version if its rows change. manage.py rebuild_projections {name} "
            "makes new rows.",
            id="ordering_read.W001",
        )
        for name in status.made_by_other_code()
    ]


def _is_migrated() -> bool:
    # ``migrate`` runs this check before it creates the table or adds the column.
    connection = connections["read"]
    with connection.cursor() as cursor:
        table = Projection._meta.db_table
        if table not in connection.introspection.table_names(cursor):
            return False
        columns = connection.introspection.get_table_description(cursor, table)
    fingerprint = Projection._meta.get_field("code_fingerprint")
    return fingerprint.column in {column.name for column in columns}
