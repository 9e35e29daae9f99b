"""Applies events to the documents that are embedded in an order's own row."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from ordering_read.documents import AdjustmentView
from ordering_read.models import OrderSummary
from ordering_read.projections.actor_names import actor_name
from ordering_write.published import events as e
from ordering_write.published import prices

_Document = dict[str, Any]

# The final statuses of a shipment; the field with the time is the status with ``_at``.
_SHIPMENT_ENDS: dict[type[e.OrderEvent], str] = {
    e.ShipmentDelivered: "delivered",
    e.ShipmentFailed: "failed",
    e.ShipmentVoided: "voided",
}


def change_documents(row: OrderSummary, event: e.OrderEvent) -> None:
    """Apply ``event`` to the documents of ``row``."""
    match event:
        case e.OrderAdjustmentAdded() | e.OrderItemAdded():
            _add_adjustments(row, event)
        case e.OrderAdjustmentRemoved():
            removed_id = str(event.adjustment_id)
            row.adjustments = [
                item
                for item in row.adjustments
                if removed_id not in (item["adjustment_id"], item["part_id"])
            ]
        case e.OrderHeld():
            row.hold = _hold(event)
        case e.NoteAdded():
            row.notes.append(_note(event))
        case e.ShipmentCreated():
            row.shipments.append(_shipment(event))
        case e.ShipmentDispatched():
            shipment = _find(row.shipments, "shipment_id", event.shipment_id)
            shipment |= {"status": "dispatched", "dispatched_at": _time(event.dispatched_at)}
            shipment |= _tracking(event)
        case e.TrackingUpdated():
            _find(row.shipments, "shipment_id", event.shipment_id).update(_tracking(event))
        case e.ShipmentDelivered() | e.ShipmentFailed() | e.ShipmentVoided():
            shipment = _find(row.shipments, "shipment_id", event.shipment_id)
            status = _SHIPMENT_ENDS[type(event)]
            shipment |= {"status": status, f"{status}_at": _time(event.timestamp)}
            if isinstance(event, e.ShipmentFailed):
                shipment["failure"] = event.outcome
        case e.PaymentRecorded():
            row.payments.append(_payment(event))
        case e.RefundRequested() | e.RefundSettled() | e.RefundFailed() | e.RefundBounced():
            _change_refund(row.refunds, event)
        case e.RefundReferenced():
            _find(row.refunds, "refund_id", event.refund_id)["reference"] = event.reference
        case e.ReturnRequested():
            row.returns.append(_return(event))
        case e.ReturnReceived() | e.ReturnRejected():
            _change_return(_find(row.returns, "return_id", event.return_id), event)
        case e.OrderReplaced():
            row.replaced_by.append(_replacement(event))
            if event.return_id is not None:
                placed = {"status": "placed", "order_id": str(event.replaced_by)}
                placed["order_number"] = event.replaced_by_number
                _find(row.returns, "return_id", event.return_id)["exchange"] |= placed
        case e.ExchangeFailed():
            failed = {"status": "failed", "failure": event.reason}
            _find(row.returns, "return_id", event.return_id)["exchange"] |= failed
        case e.CreditTransferred():
            row.transfers.append(_transfer(event))
    if event.on_hold is False:
        row.hold = None
    if isinstance(event, e.PricedEvent):
        _set_charges(row, event)


def _find(documents: list[_Document], id_field: str, document_id: UUID) -> _Document:
    return next(document for document in documents if document[id_field] == str(document_id))


def _time(time: datetime) -> str:
    return time.astimezone(UTC).isoformat()


def _units(items: list[Any]) -> list[_Document]:
    return [{"line_id": str(item.line_id), "quantity": item.quantity} for item in items]


def _add_adjustments(row: OrderSummary, event: e.OrderAdjustmentAdded | e.OrderItemAdded) -> None:
    """Add an adjustment to ``row``, and the discount that a line or charge was added with."""
    if isinstance(event, e.OrderItemAdded):
        part_id = event.line_id
    else:
        part_id = event.adjustment_id or prices.adjustment_id(event.order_id, len(row.adjustments))
        row.adjustments.append(
            {
                "adjustment_id": str(part_id),
                "kind": event.kind,
                "label": event.label,
                "amount": str(event.amount.amount),
                "rate": None if event.rate is None else str(event.rate),
                "part_id": event.part_id and str(event.part_id),
            }
        )
    if event.discount:
        discount = prices.part_discount(part_id, event.discount.amount)
        row.adjustments.append(
            discount.model_dump(mode="json", include=set(AdjustmentView.model_fields))
        )


def _set_charges(row: OrderSummary, event: e.PricedEvent) -> None:
    if event.price is not None:
        row.charges = [
            {
                "kind": charge.kind,
                "label": charge.label,
                "list_value": str(charge.list_value),
                "discount": str(charge.discount),
                "total": str(charge.net),
                "taxes": [tax.model_dump(mode="json") for tax in charge.taxes],
            }
            for charge in event.price.charges
        ]


def _hold(event: e.OrderHeld) -> _Document:
    return {
        "reason": event.reason,
        "note": event.note,
        "placed_by": actor_name(event.recorded.actor),
        "placed_at": _time(event.timestamp),
    }


def _note(event: e.NoteAdded) -> _Document:
    return {
        "note_id": str(event.note_id),
        "text": event.text,
        "visibility": event.visibility,
        "by": actor_name(event.recorded.actor),
        "at": _time(event.timestamp),
    }


def _shipment(event: e.ShipmentCreated) -> _Document:
    return {
        "shipment_id": str(event.shipment_id),
        "status": "packed",
        "items": _units(event.items),
        "carrier": event.carrier or "",
        "service": event.service or "",
        "tracking_number": "",
        "tracking_url": "",
        "packed_at": _time(event.timestamp),
        "dispatched_at": None,
        "delivered_at": None,
        "failed_at": None,
        "voided_at": None,
        "failure": None,
    }


def _tracking(event: e.ShipmentDispatched | e.TrackingUpdated) -> _Document:
    fields = {name: getattr(event, name) for name in ("carrier", "tracking_number", "tracking_url")}
    # Left out, so that an empty field of the event doesn't replace an earlier text.
    return {name: text for name, text in fields.items() if text}


def _payment(event: e.PaymentRecorded) -> _Document:
    return {
        "payment_id": event.payment_id,
        "kind": event.kind,
        "amount": str(event.amount.amount),
        "method": event.method,
        "reference": event.reference,
        "reason": event.reason or "",
        "at": _time(event.timestamp),
    }


def _change_refund(
    refunds: list[_Document],
    event: e.RefundRequested | e.RefundSettled | e.RefundFailed | e.RefundBounced,
) -> None:
    refund_id = str(event.refund_id)
    refund = next((refund for refund in refunds if refund["refund_id"] == refund_id), None)
    if refund is None:
        # A refund that was recorded without a request begins with its outcome.
        refund = {
            "refund_id": refund_id,
            "reason": "",
            "reference": "",
            "lines": [],
            "return_id": None,
            "requested_at": None,
            "settled_at": None,
            "failed_at": None,
            "bounced_at": None,
            "failure": "",
        }
        refunds.append(refund)
    refund["amount"] = str(event.amount.amount)
    match event:
        case e.RefundRequested():
            refund |= {
                "status": "requested",
                "reason": event.reason,
                "lines": _units(event.lines or []),
                "return_id": event.return_id and str(event.return_id),
                "requested_at": _time(event.timestamp),
            }
        case e.RefundSettled():
            refund |= {"status": "settled", "settled_at": _time(event.timestamp)}
            refund["reference"] = event.reference or refund["reference"]
        case e.RefundFailed():
            refund |= {"status": "failed", "failed_at": _time(event.timestamp)}
            refund["reference"], refund["failure"] = event.reference, event.reason
        case e.RefundBounced():
            refund |= {"status": "bounced", "bounced_at": _time(event.timestamp)}
            refund["reference"] = event.reference or refund["reference"]
            refund["failure"] = event.reason or refund["failure"]


def _return(event: e.ReturnRequested) -> _Document:
    return {
        "return_id": str(event.return_id),
        "status": "requested",
        "items": [
            {
                "line_id": str(item.line_id),
                "quantity": item.quantity,
                "reason": item.reason,
                "restocked": 0,
                "damaged": 0,
                "rejected": 0,
            }
            for item in event.items
        ],
        "rejection": "",
        "exchange": event.exchange_for and _exchange(event.exchange_for),
        "requested_at": _time(event.timestamp),
        "closed_at": None,
    }


def _change_return(document: _Document, event: e.ReturnReceived | e.ReturnRejected) -> None:
    for units in event.items:
        item = _find(document["items"], "line_id", units.line_id)
        if isinstance(units, e.ReceivedUnits):
            item["restocked"] += units.restock
            item["damaged"] += units.damaged
        else:
            item["rejected"] += units.quantity
    if isinstance(event, e.ReturnRejected):
        document["rejection"] = event.reason
    items = document["items"]
    received = sum(item["restocked"] + item["damaged"] for item in items)
    rejected = sum(item["rejected"] for item in items)
    if received + rejected == sum(item["quantity"] for item in items):
        document["status"] = "received" if received else "rejected"
        if not received and document.get("exchange"):
            document["exchange"]["status"] = "dropped"
        document["closed_at"] = _time(event.timestamp)


def _exchange(lines: list[e.ExchangeLine]) -> _Document:
    return {
        "status": "pending",
        "items": [
            {
                "product_id": str(line.product_id),
                "sku": line.sku,
                "name": line.name,
                "quantity": line.quantity,
                "unit_price": str(line.unit_price.amount),
            }
            for line in lines
        ],
        "order_id": None,
        "order_number": None,
        "failure": "",
    }


def _replacement(event: e.OrderReplaced) -> _Document:
    return {
        "order_id": str(event.replaced_by),
        "order_number": event.replaced_by_number,
        "return_id": event.return_id and str(event.return_id),
    }


def _transfer(event: e.CreditTransferred) -> _Document:
    return {
        "direction": event.direction,
        "other_order_id": str(event.other_order_id),
        "other_order_number": event.other_order_number,
        "return_id": str(event.return_id),
        "amount": str(event.amount.amount),
        "at": _time(event.timestamp),
    }
