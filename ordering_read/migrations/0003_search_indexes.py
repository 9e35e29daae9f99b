"""Indexes for searches by the beginning of a name, an e-mail address or a SKU."""

from django.db import migrations, models
from django.db.models.functions import Collate, Upper


def _by(model: str, table: str, field: str) -> migrations.AddIndex:
    index = models.Index("projection", Collate(Upper(field), "C"), name=f"{table}_by_{field}")
    return migrations.AddIndex(model_name=model, index=index)


class Migration(migrations.Migration):
    dependencies = [("ordering_read", "0002_read_models")]

    operations = [
        _by("ordersummary", "order_summary", "customer_name"),
        _by("customersummary", "customer_view", "name"),
        _by("customersummary", "customer_view", "email"),
        _by("inventorylevel", "inventory_level", "sku"),
        _by("inventorylevel", "inventory_level", "name"),
    ]
