"""The routes of the commands about orders."""

from ordering_write.api.bodies import (
    NewAdjustment,
    NewCapture,
    NewNote,
    NewOrder,
    NewPayment,
    NewRefund,
    NewReturn,
    NewShipment,
    OrderOutcome,
)
from ordering_write.api.routes import CommandRoutes, Route
from ordering_write.domain import commands as c
from ordering_write.domain.errors import OrderNotFoundError
from ordering_write.models import Order


class OrderCommands(CommandRoutes):
    """The unsafe methods of /orders."""

    address = "/api/v1/orders"
    missing = OrderNotFoundError
    aggregate = Order
    body = OrderOutcome
    routes = (
        Route("POST", "", c.CreateOrder, response_model=NewOrder),
        Route("POST", "confirm", c.ConfirmOrder),
        Route("POST", "process", c.StartProcessing),
        Route("POST", "complete", c.CompleteOrder),
        Route("POST", "cancel", c.CancelOrder),
        Route("POST", "expire", c.ExpireOrder),
        Route("POST", "status", c.UpdateOrderStatus, example={"status": "confirmed"}),
        Route("POST", "hold", c.PlaceHold),
        Route("POST", "release-hold", c.ReleaseHold),
        Route("POST", "items", c.AddOrderItem),
        Route("POST", "items/cancel", c.CancelOrderItems),
        Route("PATCH", "items/{line_id}", c.ChangeItemQuantity),
        Route("PUT", "items/{line_id}/price", c.ChangeItemPrice),
        Route(
            "POST",
            "adjustments",
            c.AdjustOrder,
            response_model=NewAdjustment,
            example={"kind": "discount"},
        ),
        Route("DELETE", "adjustments/{adjustment_id}", c.RemoveAdjustment),
        Route("PUT", "shipping-address", c.ChangeShippingAddress),
        Route("POST", "hand-over", c.HandOverItems),
        Route("POST", "shipments", c.CreateShipment, response_model=NewShipment),
        Route("PATCH", "shipments/{shipment_id}", c.UpdateTracking),
        Route("POST", "shipments/{shipment_id}/dispatch", c.DispatchShipment),
        Route("POST", "shipments/{shipment_id}/deliver", c.ConfirmDelivery),
        Route("POST", "shipments/{shipment_id}/fail", c.FailDelivery),
        Route("POST", "shipments/{shipment_id}/void", c.VoidShipment),
        Route("POST", "payments", c.RecordPayment, response_model=NewPayment, is_fact=True),
        Route(
            "POST",
            "captures",
            c.CapturePayment,
            response_model=NewCapture,
            example={"amount": "10.00"},
        ),
        Route("POST", "resolve-attention", c.ResolveAttention),
        Route("POST", "goodwill", c.GrantGoodwill),
        Route("POST", "refunds", c.RequestRefund, response_model=NewRefund),
        Route(
            "POST",
            "refunds/{refund_id}/record",
            c.RecordRefund,
            excluded_fields=("amount", "currency"),
        ),
        # A refund that was made elsewhere, without a request here.
        Route(
            "POST",
            "refunds/record",
            c.RecordRefund,
            response_model=NewRefund,
            excluded_fields=("refund_id",),
            name="record_other_refund",
            is_fact=True,
        ),
        Route("POST", "returns", c.RequestReturn, response_model=NewReturn),
        Route("POST", "returns/{return_id}/receive", c.ReceiveReturn),
        Route("POST", "returns/{return_id}/reject", c.RejectReturn),
        Route("POST", "returns/{return_id}/exchange", c.PlaceExchange),
        Route("POST", "notes", c.AddNote, response_model=NewNote),
        Route("POST", "notes/{note_id}/redact", c.RedactNote),
        Route("PUT", "tags/{tag}", c.TagOrder),
        Route("DELETE", "tags/{tag}", c.UntagOrder),
        Route("PATCH", "metadata", c.SetOrderMetadata),
        Route("PATCH", "items/{line_id}/metadata", c.SetLineMetadata),
        Route("PUT", "po-number", c.SetPoNumber),
        Route("POST", "assign", c.AssignOrder),
    )
