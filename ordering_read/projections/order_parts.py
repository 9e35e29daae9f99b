"""What events do to the parts that are kept on an order's own row, as JSON."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from ordering_read.models import OrderSummary
from ordering_read.projections.actors import actor_name
from ordering_write.published import events as e

_Part = dict[str, Any]

# What becomes of a shipment, and which column says when.
_SHIPMENT_ENDS: dict[type[e.OrderEvent], str] = {
    e.ShipmentDelivered: "delivered",
    e.ShipmentFailed: "failed",
    e.ShipmentVoided: "voided",
}


def change_parts(row: OrderSummary, event: e.OrderEvent) -> None:
    """Change the parts of ``row`` that ``event`` is about."""
    match event:
        case e.OrderAdjustmentAdded():
            row.adjustments.append(_adjustment(event))
        case e.OrderHeld():
            row.hold = _hold(event)
        case e.NoteAdded():
            row.notes.append(_note(event))
        case e.NoteRedacted():
            _find(row.notes, "note_id", event.note_id)["text"] = _ERASED_TEXT
        case e.OrderAnonymized():
            for note in row.notes:
                note["text"] = _ERASED_TEXT
        case e.ShipmentCreated():
            row.shipments.append(_shipment(event))
        case e.ShipmentDispatched():
            shipment = _find(row.shipments, "shipment_id", event.shipment_id)
            shipment |= {"status": "dispatched", "dispatched_at": _moment(event.dispatched_at)}
            shipment |= _tracking(event)
        case e.TrackingUpdated():
            _find(row.shipments, "shipment_id", event.shipment_id).update(_tracking(event))
        case e.ShipmentDelivered() | e.ShipmentFailed() | e.ShipmentVoided():
            shipment = _find(row.shipments, "shipment_id", event.shipment_id)
            end = _SHIPMENT_ENDS[type(event)]
            shipment |= {"status": end, f"{end}_at": _moment(event.timestamp)}
            if isinstance(event, e.ShipmentFailed):
                shipment["failure"] = event.outcome
        case e.PaymentRecorded():
            row.payments.append(_payment(event))
        case e.RefundRequested() | e.RefundSettled() | e.RefundFailed():
            _change_refund(row.refunds, event)
        case e.ReturnRequested():
            row.returns.append(_return(event))
        case e.ReturnReceived() | e.ReturnRejected():
            _change_return(_find(row.returns, "return_id", event.return_id), event)
    if event.on_hold is False:
        row.hold = None


# What a note says that was redacted.
_ERASED_TEXT = e.NoteAdded.erased_fields()["text"]


def _find(parts: list[_Part], name: str, part_id: UUID) -> _Part:
    return next(part for part in parts if part[name] == str(part_id))


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()


def _units(items: list[Any]) -> list[_Part]:
    return [{"line_id": str(item.line_id), "quantity": item.quantity} for item in items]


def _adjustment(event: e.OrderAdjustmentAdded) -> _Part:
    return {
        "kind": event.kind,
        "label": event.label,
        "amount": str(event.amount.amount),
        "rate": None if event.rate is None else str(event.rate),
    }


def _hold(event: e.OrderHeld) -> _Part:
    return {
        "reason": event.reason,
        "note": event.note,
        "placed_by": actor_name(event.recorded.actor),
        "placed_at": _moment(event.timestamp),
    }


def _note(event: e.NoteAdded) -> _Part:
    return {
        "note_id": str(event.note_id),
        "text": event.text,
        "visibility": event.visibility,
        "by": actor_name(event.recorded.actor),
        "at": _moment(event.timestamp),
    }


def _shipment(event: e.ShipmentCreated) -> _Part:
    return {
        "shipment_id": str(event.shipment_id),
        "status": "packed",
        "items": _units(event.items),
        "carrier": event.carrier or "",
        "service": event.service or "",
        "tracking_number": "",
        "tracking_url": "",
        "packed_at": _moment(event.timestamp),
        "dispatched_at": None,
        "delivered_at": None,
        "failed_at": None,
        "voided_at": None,
        "failure": None,
    }


def _tracking(event: e.ShipmentDispatched | e.TrackingUpdated) -> _Part:
    told = {name: getattr(event, name) for name in ("carrier", "tracking_number", "tracking_url")}
    return {name: text for name, text in told.items() if text}


def _payment(event: e.PaymentRecorded) -> _Part:
    return {
        "payment_id": event.payment_id,
        "kind": event.kind,
        "amount": str(event.amount.amount),
        "method": event.method,
        "reference": event.reference,
        "at": _moment(event.timestamp),
    }


def _change_refund(
    refunds: list[_Part], event: e.RefundRequested | e.RefundSettled | e.RefundFailed
) -> None:
    known = (refund for refund in refunds if refund["refund_id"] == str(event.refund_id))
    if (refund := next(known, None)) is None:
        refund = {
            "refund_id": str(event.refund_id),
            "reason": "",
            "reference": "",
            "lines": [],
            "return_id": None,
            "requested_at": None,
            "settled_at": None,
            "failed_at": None,
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
                "requested_at": _moment(event.timestamp),
            }
        case e.RefundSettled():
            refund |= {"status": "settled", "settled_at": _moment(event.timestamp)}
            refund["reference"] = event.reference
        case e.RefundFailed():
            refund |= {"status": "failed", "failed_at": _moment(event.timestamp)}
            refund["reference"], refund["failure"] = event.reference, event.reason


def _return(event: e.ReturnRequested) -> _Part:
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
        "requested_at": _moment(event.timestamp),
        "closed_at": None,
    }


def _change_return(part: _Part, event: e.ReturnReceived | e.ReturnRejected) -> None:
    for item in event.items:
        line = _find(part["items"], "line_id", item.line_id)
        if isinstance(item, e.ReceivedUnits):
            line["restocked"] += item.restock
            line["damaged"] += item.damaged
        else:
            line["rejected"] += item.quantity
    if isinstance(event, e.ReturnRejected):
        part["rejection"] = event.reason
    items = part["items"]
    came = sum(item["restocked"] + item["damaged"] for item in items)
    if came + sum(item["rejected"] for item in items) == sum(item["quantity"] for item in items):
        part["status"] = "received" if came else "rejected"
        part["closed_at"] = _moment(event.timestamp)
