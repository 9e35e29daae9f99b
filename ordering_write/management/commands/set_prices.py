"""`manage.py set_prices`: sets the list prices in a file, one per line."""

from collections.abc import Mapping
from typing import Any

from ordering_write.client import SetListPrice
from ordering_write.management.csv_command import CsvCommand
from ordering_write.models import StockItem


class Command(CsvCommand):
    help = """Set the list prices in a CSV file with the columns sku, list_price and, if it changes,
    currency. Continues after refused lines and reports them. Can be run again: a price that is
    set already is unchanged."""
    command_type = SetListPrice
    purpose = "set list prices"
    done, done_before = "set", "unchanged"
    required = ("list_price",)
    optional = ("currency",)

    def change(self, product: StockItem, cells: Mapping[str, Any], line: bytes) -> bool:
        return self.dispatch(self.command({"product_id": product.pk, **cells}))
