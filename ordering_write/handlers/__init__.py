"""One handler per command: load aggregates, call one method on each, save them."""

from collections.abc import Mapping
from typing import Any

from ordering_write.domain import commands as c
from ordering_write.handlers import customer, order, placing, stock
from ordering_write.handlers.base import CommandHandler

HANDLERS: Mapping[type[c.Command], type[CommandHandler[Any]]] = {
    c.CreateOrder: placing.CreateOrderHandler,
    c.CancelOrder: order.CancelOrderHandler,
    c.UpdateOrderStatus: order.UpdateOrderStatusHandler,
    c.RegisterStockItem: stock.RegisterStockItemHandler,
    c.ReceiveStock: stock.ReceiveStockHandler,
    c.AdjustStock: stock.AdjustStockHandler,
    c.SetListPrice: stock.SetListPriceHandler,
    c.SetStockPolicy: stock.SetStockPolicyHandler,
    c.RegisterCustomer: customer.RegisterCustomerHandler,
}

__all__ = ["HANDLERS", "CommandHandler"]
