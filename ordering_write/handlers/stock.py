"""Handlers of the commands about products in stock."""

from abc import abstractmethod
from datetime import UTC
from decimal import Decimal
from typing import TypeVar

from django.conf import settings
from uuid_utils.compat import uuid7

from config.accounts.roles import Role
from ordering_write.domain import commands as c
from ordering_write.domain import errors
from ordering_write.domain import events as e
from ordering_write.domain.events import DomainEvent
from ordering_write.domain.values import Money, has_minor_units_only
from ordering_write.handlers.base import CommandHandler, Permission, handles
from ordering_write.models import StockItem, save
from ordering_write.ports import tax_port


@handles(c.RegisterStockItem)
class RegisterStockItemHandler(CommandHandler[c.RegisterStockItem]):
    aggregate = StockItem
    makes_new = True
    permission = Permission("register_stock_item", (Role.WAREHOUSE, Role.INTEGRATION))
    events = (e.StockItemRegistered, e.StockReceived)
    refusals = (
        errors.DuplicateProductError,
        errors.DuplicateSkuError,
        errors.InvalidAmountError,
        errors.UnknownTaxClassError,
    )

    def handle(self, command: c.RegisterStockItem) -> list[DomainEvent]:
        _refuse_unknown_class(command.tax_class)
        product_id = command.product_id or uuid7()
        currency = command.currency or settings.DEFAULT_CURRENCY
        item = StockItem.register(
            e.StockItemRegistered(
                timestamp=command.timestamp,
                product_id=product_id,
                sku=command.sku,
                name=command.name,
                list_price=_list_price(command.list_price, currency),
                reorder_point=command.reorder_point,
                backorderable=command.backorderable,
                tax_class=command.tax_class,
                requires_shipping=None if command.requires_shipping else False,
            ),
            on_hand=command.on_hand,
        )
        duplicate_sku = errors.DuplicateSkuError(f"Another product has the SKU {command.sku}.")
        duplicate_id = errors.DuplicateProductError(f"Product {product_id} is registered already.")
        return save(
            [item],
            caused_by=command,
            duplicates={
                "ordering_write_stockitem_sku_key": duplicate_sku,
                "identifier_unique": duplicate_sku,
                "identifier_of_owner": duplicate_id,
                "ordering_write_stockitem_pkey": duplicate_id,
                "event_stream_version_unique": duplicate_id,
            },
        )


def _list_price(amount: Decimal | None, currency: str) -> Money | None:
    if amount is None:
        return None
    if not has_minor_units_only(amount, currency):
        raise errors.InvalidAmountError(
            f"{amount} has more decimals than {currency}.", pointer="#/list_price"
        )
    return Money.of(amount, currency)


def _refuse_unknown_class(tax_class: str | None) -> None:
    """Raise UnknownTaxClassError for a tax class for which the shop has no rates."""
    if tax_class is None:
        return
    classes = tax_port().tax_classes()
    if classes is not None and tax_class not in classes:
        raise errors.UnknownTaxClassError(
            f"There are no rates for {tax_class}; the tax classes are {', '.join(sorted(classes))}."
            if classes
            else f"There are no rates for {tax_class}, nor for any other tax class.",
            pointer="#/tax_class",
        )


C = TypeVar(
    "C",
    c.ReceiveStock,
    c.ExpectStock,
    c.AdjustStock,
    c.RenameStockItem,
    c.DiscontinueStockItem,
    c.ReinstateStockItem,
    c.SetListPrice,
    c.SetTaxClass,
    c.SetStockPolicy,
)


class StockHandler(CommandHandler[C]):
    """Loads a product, calls ``act`` and saves the product."""

    aggregate = StockItem

    def handle(self, command: C) -> list[DomainEvent]:
        item = StockItem.load_all([command.product_id]).get(command.product_id)
        if item is None:
            raise errors.ProductNotFoundError
        item.expect(command.expected_version)
        self.act(item, command)
        return save([item], caused_by=command)

    @abstractmethod
    def act(self, item: StockItem, command: C) -> None:
        """Call the method of ``item`` that ``command`` asks for."""


@handles(c.ReceiveStock)
class ReceiveStockHandler(StockHandler[c.ReceiveStock]):
    permission = Permission("receive_stock", (Role.WAREHOUSE, Role.INTEGRATION))
    events = (e.StockReceived,)
    refusals = (errors.TooManyUnitsError,)

    def act(self, item: StockItem, command: c.ReceiveStock) -> None:
        StockItem.load_backordered({item.pk: item}, {item.pk: command.quantity})
        item.receive(command.quantity, reference=command.reference, now=command.timestamp)


@handles(c.ExpectStock)
class ExpectStockHandler(StockHandler[c.ExpectStock]):
    permission = Permission("expect_stock", (Role.WAREHOUSE, Role.INTEGRATION))
    events = (e.StockExpected,)
    refusals = (errors.InPastError, errors.TooManyExpectationsError)

    def act(self, item: StockItem, command: c.ExpectStock) -> None:
        item.expect_units(command.quantity, at=command.at.astimezone(UTC), now=command.timestamp)


@handles(c.AdjustStock)
class AdjustStockHandler(StockHandler[c.AdjustStock]):
    permission = Permission("adjust_stock", (Role.WAREHOUSE,))
    events = (e.StockAdjusted,)
    refusals = (errors.TooManyUnitsError, errors.WouldGoNegativeError)

    def act(self, item: StockItem, command: c.AdjustStock) -> None:
        if command.delta > 0:
            StockItem.load_backordered({item.pk: item}, {item.pk: command.delta})
        elif item.backorderable:
            item.load_backed(-command.delta)
        item.adjust(
            command.delta, reason=command.reason, comment=command.comment, now=command.timestamp
        )


@handles(c.RenameStockItem)
class RenameStockItemHandler(StockHandler[c.RenameStockItem]):
    permission = Permission("rename_stock_item", (Role.WAREHOUSE, Role.INTEGRATION))
    events = (e.StockItemRenamed,)

    def act(self, item: StockItem, command: c.RenameStockItem) -> None:
        item.rename(command.name, now=command.timestamp)


@handles(c.DiscontinueStockItem)
class DiscontinueStockItemHandler(StockHandler[c.DiscontinueStockItem]):
    permission = Permission("discontinue_stock_item", (Role.WAREHOUSE, Role.INTEGRATION))
    events = (e.StockItemDiscontinued,)

    def act(self, item: StockItem, command: c.DiscontinueStockItem) -> None:
        item.discontinue(now=command.timestamp)


@handles(c.ReinstateStockItem)
class ReinstateStockItemHandler(StockHandler[c.ReinstateStockItem]):
    permission = Permission("reinstate_stock_item", (Role.WAREHOUSE, Role.INTEGRATION))
    events = (e.StockItemReinstated,)

    def act(self, item: StockItem, command: c.ReinstateStockItem) -> None:
        item.reinstate(now=command.timestamp)


@handles(c.SetListPrice)
class SetListPriceHandler(StockHandler[c.SetListPrice]):
    permission = Permission("set_list_price", (Role.INTEGRATION,))
    events = (e.ListPriceChanged,)
    refusals = (errors.InvalidAmountError,)

    def act(self, item: StockItem, command: c.SetListPrice) -> None:
        currency = command.currency or item.currency or settings.DEFAULT_CURRENCY
        item.set_list_price(
            _list_price(command.list_price, currency), currency=currency, now=command.timestamp
        )


@handles(c.SetTaxClass)
class SetTaxClassHandler(StockHandler[c.SetTaxClass]):
    permission = Permission("set_tax_class", (Role.INTEGRATION,))
    events = (e.TaxClassChanged,)
    refusals = (errors.UnknownTaxClassError,)

    def act(self, item: StockItem, command: c.SetTaxClass) -> None:
        _refuse_unknown_class(command.tax_class)
        item.set_tax_class(command.tax_class, now=command.timestamp)


@handles(c.SetStockPolicy)
class SetStockPolicyHandler(StockHandler[c.SetStockPolicy]):
    permission = Permission("set_stock_policy", (Role.WAREHOUSE,))
    events = (e.StockPolicyChanged,)
    refusals = (errors.WouldGoNegativeError,)

    def act(self, item: StockItem, command: c.SetStockPolicy) -> None:
        reorder_point, backorderable = command.reorder_point, command.backorderable
        item.set_policy(
            reorder_point=item.reorder_point if reorder_point is None else reorder_point,
            backorderable=item.backorderable if backorderable is None else backorderable,
            requires_shipping=command.requires_shipping,
            now=command.timestamp,
        )
