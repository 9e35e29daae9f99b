"""Handlers of the commands about stock."""

from abc import abstractmethod
from decimal import Decimal
from typing import TypeVar

from django.conf import settings
from uuid_utils.compat import uuid7

from ordering_write.domain import events as e
from ordering_write.domain.commands import (
    AdjustStock,
    ReceiveStock,
    RegisterStockItem,
    SetListPrice,
    SetStockPolicy,
)
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
                list_price=_money(
                    command.list_price, command.currency or settings.DEFAULT_CURRENCY
                ),
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


def _money(amount: Decimal | None, currency: str) -> Money | None:
    if amount is None:
        return None
    if not has_minor_units_only(amount, currency):
        raise InvalidAmountError(
            f"{amount} has more decimals than {currency}.", pointer="#/list_price"
        )
    return Money.of(amount, currency)


C = TypeVar("C", ReceiveStock, AdjustStock, SetListPrice, SetStockPolicy)


class _KnownProductHandler(CommandHandler[C]):
    """The base of the handlers that change a product which is there."""

    def handle(self, command: C) -> list[DomainEvent]:
        item = StockItem.load_all([command.product_id]).get(command.product_id)
        if item is None:
            raise ProductNotFoundError
        item.expect(command.expected_version)
        self.change(item, command)
        return save([item], caused_by=command)

    @abstractmethod
    def change(self, item: StockItem, command: C) -> None:
        """Do to ``item`` what ``command`` asks for."""


class ReceiveStockHandler(_KnownProductHandler[ReceiveStock]):
    """Add units that came in."""

    def change(self, item: StockItem, command: ReceiveStock) -> None:
        item.receive(command.quantity, reference=command.reference, now=command.timestamp)


class AdjustStockHandler(_KnownProductHandler[AdjustStock]):
    """Bring the books in line with the shelf."""

    def change(self, item: StockItem, command: AdjustStock) -> None:
        item.adjust(
            command.delta, reason=command.reason, comment=command.comment, now=command.timestamp
        )


class SetListPriceHandler(_KnownProductHandler[SetListPrice]):
    """Set what a unit costs; without a currency, in that of the price before."""

    def change(self, item: StockItem, command: SetListPrice) -> None:
        currency = command.currency or item.currency or settings.DEFAULT_CURRENCY
        item.set_list_price(_money(command.list_price, currency), now=command.timestamp)


class SetStockPolicyHandler(_KnownProductHandler[SetStockPolicy]):
    """Set when a product counts as low, and whether it may be oversold."""

    def change(self, item: StockItem, command: SetStockPolicy) -> None:
        point, back = command.reorder_point, command.backorderable
        item.set_policy(
            reorder_point=item.reorder_point if point is None else point,
            backorderable=item.backorderable if back is None else back,
            now=command.timestamp,
        )
