"""Handlers of the commands about stock."""

from django.conf import settings
from uuid_utils.compat import uuid7

from ordering_write.domain import events as e
from ordering_write.domain.commands import ReceiveStock, RegisterStockItem
from ordering_write.domain.errors import (
    DuplicateProductError,
    DuplicateSkuError,
    InvalidAmountError,
    ProductNotFoundError,
)
from ordering_write.domain.events import DomainEvent
from ordering_write.domain.values import Money, has_minor_units_only
from ordering_write.handlers.base import CommandHandler, unique
from ordering_write.models import StockItem, save


class RegisterStockItemHandler(CommandHandler[RegisterStockItem]):
    """Make a product known, with its opening stock."""

    def handle(self, command: RegisterStockItem) -> list[DomainEvent]:
        product_id = command.product_id or uuid7()
        item = StockItem.register(
            e.StockItemRegistered(
                timestamp=command.timestamp,
                product_id=product_id,
                sku=command.sku,
                name=command.name,
                list_price=_list_price(command),
                reorder_point=command.reorder_point,
                backorderable=command.backorderable,
            ),
            on_hand=command.on_hand,
        )
        sku_taken = DuplicateSkuError(f"Another product has the SKU {command.sku}.")
        id_taken = DuplicateProductError(f"Product {product_id} is registered already.")
        with unique(
            {
                "ordering_write_stockitem_sku_key": sku_taken,
                "ordering_write_stockitem_pkey": id_taken,
            }
        ):
            return save([item], caused_by=command)


def _list_price(command: RegisterStockItem) -> Money | None:
    if command.list_price is None:
        return None
    currency = command.currency or settings.DEFAULT_CURRENCY
    if not has_minor_units_only(command.list_price, currency):
        raise InvalidAmountError(
            f"{command.list_price} has more decimals than {currency}.", pointer="#/list_price"
        )
    return Money.of(command.list_price, currency)


class ReceiveStockHandler(CommandHandler[ReceiveStock]):
    """Add units that came in."""

    def handle(self, command: ReceiveStock) -> list[DomainEvent]:
        item = StockItem.load_all([command.product_id]).get(command.product_id)
        if item is None:
            raise ProductNotFoundError
        item.expect(command.expected_version)
        item.receive(command.quantity, reference=command.reference, now=command.timestamp)
        return save([item], caused_by=command)
