"""`manage.py adjust_stock`: corrects the stock by the counts or differences in a file."""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from ordering_write.client import AdjustStock
from ordering_write.domain.errors import VersionConflictError
from ordering_write.management.csv_command import CsvCommand, RefusedLineError
from ordering_write.models import StockItem

# Tries of a count while other commands move the same product.
_TRIES = 5


class Command(CsvCommand):
    help = """Correct the stock by a CSV file with the columns sku, on_hand (the units counted) or
    delta (the difference), reason (count unless given) and comment. Continues after refused lines
    and reports them. Can be run again: a count that is right is unchanged, and a delta of the same
    line in a file of the same name is not adjusted again."""
    command_type = AdjustStock
    purpose = "adjust stock"
    done, done_before = "adjusted", "unchanged"
    optional = ("on_hand", "delta", "reason", "comment")
    integers = frozenset({"on_hand", "delta"})

    def change(self, product: StockItem, cells: Mapping[str, Any], line: bytes) -> bool:
        payload = {"reason": "count", **cells}
        on_hand = payload.pop("on_hand", None)
        if (on_hand is None) == ("delta" not in payload):
            raise RefusedLineError("A line has either on_hand or delta.")
        if on_hand is None:
            return self._adjust(product, payload, line)
        if not isinstance(on_hand, int) or on_hand < 0:
            raise RefusedLineError(f"on_hand is {on_hand}, not a number of units.")
        return self._count(product, on_hand, payload)

    def _adjust(self, product: StockItem, payload: Mapping[str, Any], line: bytes) -> bool:
        key = self.key_of(line, f"adjust_stock {PurePath(self.path).name}")
        return self.dispatch(self.command({"command_id": key, "product_id": product.pk, **payload}))

    def _count(self, product: StockItem, on_hand: int, payload: Mapping[str, Any]) -> bool:
        for tries_left in reversed(range(_TRIES)):
            if product.on_hand == on_hand:
                return False
            fields = {"product_id": product.pk, "delta": on_hand - product.on_hand, **payload}
            command = self.command(fields)
            # The delta is right for this version of the product only.
            command = command.model_copy(update={"expected_version": product.version})
            try:
                return self.dispatch(command)
            except VersionConflictError:
                if not tries_left:
                    raise
                product = StockItem.objects.get(pk=product.pk)
        raise AssertionError("unreachable")
