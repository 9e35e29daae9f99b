"""Fills the identifiers of existing rows; of several equal ones, the first row has it."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from django.db import migrations

from ordering_write.models.identifier import digest_of

_AT_ONCE = 2_000


def fill(apps: Any, _schema_editor: Any) -> None:
    identifiers = apps.get_model("ordering_write", "Identifier")
    rows = (
        identifiers(kind=kind, scope=scope, digest=digest_of(text), owner_id=owner_id)
        for kind, scope, text, owner_id in _existing(apps)
    )
    while batch := list(islice(rows, _AT_ONCE)):
        identifiers.objects.bulk_create(batch, ignore_conflicts=True)


def _existing(apps: Any) -> Iterator[tuple[str, str, str, Any]]:
    """Yield kind, scope, text and owner of every identifier, the oldest owner of a kind first."""
    customers = apps.get_model("ordering_write", "Customer").objects.exclude(status="erased")
    for pk, email in customers.order_by("pk").values_list("pk", "email").iterator():
        yield "email", "", email, pk
    products = apps.get_model("ordering_write", "StockItem").objects.order_by("pk")
    for pk, sku in products.values_list("pk", "sku").iterator():
        yield "sku", "", sku, pk
    orders = apps.get_model("ordering_write", "Order").objects.exclude(external_reference=None)
    columns = orders.order_by("pk").values_list("pk", "source", "external_reference")
    for pk, source, reference in columns.iterator():
        yield "reference", source, reference, pk


class Migration(migrations.Migration):
    # Each batch commits by itself; a repeat adds what is missing.
    atomic = False
    dependencies = [("ordering_write", "0020_identifier")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop, elidable=True)]
