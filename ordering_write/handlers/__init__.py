"""One handler per command: load aggregates, call one method on each, save them."""

from collections.abc import Mapping
from typing import Any

from ordering_write.domain import commands as c
from ordering_write.handlers import customer, erasing, placing, stock
from ordering_write.handlers.base import CommandHandler
from ordering_write.handlers.order import editing, fulfilment, money, moving, writing

HANDLERS: Mapping[type[c.Command], type[CommandHandler[Any]]] = {
    c.CreateOrder: placing.CreateOrderHandler,
    c.ConfirmOrder: moving.ConfirmOrderHandler,
    c.StartProcessing: moving.StartProcessingHandler,
    c.CompleteOrder: moving.CompleteOrderHandler,
    c.CancelOrder: moving.CancelOrderHandler,
    c.ExpireOrder: moving.ExpireOrderHandler,
    c.UpdateOrderStatus: moving.UpdateOrderStatusHandler,
    c.PlaceHold: moving.PlaceHoldHandler,
    c.ReleaseHold: moving.ReleaseHoldHandler,
    c.AddOrderItem: editing.AddOrderItemHandler,
    c.ChangeItemQuantity: editing.ChangeItemQuantityHandler,
    c.CancelOrderItems: editing.CancelOrderItemsHandler,
    c.ChangeShippingAddress: editing.ChangeShippingAddressHandler,
    c.CreateShipment: fulfilment.CreateShipmentHandler,
    c.DispatchShipment: fulfilment.DispatchShipmentHandler,
    c.UpdateTracking: fulfilment.UpdateTrackingHandler,
    c.VoidShipment: fulfilment.VoidShipmentHandler,
    c.ConfirmDelivery: fulfilment.ConfirmDeliveryHandler,
    c.FailDelivery: fulfilment.FailDeliveryHandler,
    c.RequestReturn: fulfilment.RequestReturnHandler,
    c.ReceiveReturn: fulfilment.ReceiveReturnHandler,
    c.RejectReturn: fulfilment.RejectReturnHandler,
    c.RecordPayment: money.RecordPaymentHandler,
    c.RequestRefund: money.RequestRefundHandler,
    c.RecordRefund: money.RecordRefundHandler,
    c.AddNote: writing.AddNoteHandler,
    c.RedactNote: writing.RedactNoteHandler,
    c.TagOrder: writing.TagOrderHandler,
    c.UntagOrder: writing.UntagOrderHandler,
    c.AssignOrder: writing.AssignOrderHandler,
    c.RegisterStockItem: stock.RegisterStockItemHandler,
    c.ReceiveStock: stock.ReceiveStockHandler,
    c.AdjustStock: stock.AdjustStockHandler,
    c.SetListPrice: stock.SetListPriceHandler,
    c.SetStockPolicy: stock.SetStockPolicyHandler,
    c.RegisterCustomer: customer.RegisterCustomerHandler,
    c.ChangeCustomerDetails: customer.ChangeCustomerDetailsHandler,
    c.BlockCustomer: customer.BlockCustomerHandler,
    c.UnblockCustomer: customer.UnblockCustomerHandler,
    c.EraseCustomer: erasing.EraseCustomerHandler,
}

__all__ = ["HANDLERS", "CommandHandler"]
