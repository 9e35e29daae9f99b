"""System checks of the read side."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.db import connections

from ordering_read.engine import status
from ordering_read.models import Projection
from ordering_read.projector import registered
from ordering_write.published import DomainEvent


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


def check_erasable(**_kwargs: Any) -> list[CheckMessage]:
    """Check that a projection that may show personal fields also reads their erasure."""
    errors: list[CheckMessage] = []
    for name, projector in registered().items():
        event_types = [e for e in DomainEvent.types.values() if issubclass(e, projector.events)]
        personal = [event_type.__name__ for event_type in event_types if event_type.personal]
        is_told = any(event_type.erases for event_type in event_types)
        # Rows that mix streams hold no personal data.
        if projector.sliced_by == "stream" and personal and not is_told:
            text = f"The projection {name} reads personal fields of {personal[0]}, and no erasure."
            hint = "Its events must include the event with erases = True of the same streams."
            errors.append(Error(text, hint=hint, obj=projector, id="ordering_read.E001"))
    return errors


def check_read_site(**_kwargs: Any) -> list[CheckMessage]:
    """Check that a read site has a read database of its own."""
    if not settings.READ_SITE or not settings.READ_SCHEMA:
        return []
    text = "READ_SITE names a read site, which has no read database of its own."
    hint = "Set READ_DATABASE_URL to the read database of the site, or leave READ_SITE empty."
    return [Error(text, hint=hint, id="ordering_read.E002")]


def _is_migrated() -> bool:
    # ``migrate`` runs this check before it creates the table or adds columns.
    connection = connections["read"]
    with connection.cursor() as cursor:
        table = Projection._meta.db_table
        if table not in connection.introspection.table_names(cursor):
            return False
        columns = connection.introspection.get_table_description(cursor, table)
    names = {column.name for column in columns}
    return names.issuperset(field.column for field in Projection._meta.concrete_fields)
