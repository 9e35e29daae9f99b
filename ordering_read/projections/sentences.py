"""What each event of an order means to people, in one sentence."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from ordering_read.models.order_timeline import TimelineEntry
from ordering_write.published import events as e

Icon = TimelineEntry.Icon
# What each line's product is called.
Products = Mapping[UUID, str]

# Lines that a sentence lists; of more it tells the number.
_LISTED = 4

# What stands where something personal was.
ERASED = e.ERASED_PERSON["name"]


class Told(NamedTuple):
    """A sentence for those who work here, and the customer's; None when that isn't for them."""

    icon: Icon
    sentence: str
    to_customer: str | None = None


def tell(event: e.OrderEvent, actor: str, products: Products) -> Told:
    """What ``event``, by ``actor``, says.

    Raises KeyError for an event about a line that isn't one of ``products``.
    """
    match event:
        case e.OrderCreated():
            return placed(event.customer.name, actor)
        case e.NoteAdded(text=text, visibility=visibility):
            for_customer = visibility == e.Visibility.CUSTOMER
            to_customer = note_sentence(text, None) if for_customer else None
            return Told(Icon.NOTE, note_sentence(text, actor), to_customer)
    for family in (_of_the_whole, _of_lines, _of_shipments, _of_money, _of_returns):
        if told := family(event, products):
            return told._replace(sentence=f"{actor} {told.sentence}")
    return Told(Icon.ORDER, f"{actor}: {event.type}")


def placed(customer: str, actor: str) -> Told:
    """What a new order says."""
    return Told(Icon.ORDER, f"{actor} placed the order for {customer}", "Order placed")


def note_sentence(text: str, actor: str | None) -> str:
    """What a note says; None for the actor where customers read it."""
    return f"{actor} noted: {text}" if actor else f"Note: {text}"


# --- Families: of each sentence, what follows the actor ----------------------------------------
def _of_the_whole(event: e.OrderEvent, _products: Products) -> Told | None:
    match event:
        case e.OrderStatusChanged():
            did, to_customer = _MOVES[event.to_status]
            return Told(Icon.ORDER, _because(did, event.reason), to_customer)
        case e.OrderCancelled():
            # Why is told among those who work here: it may be a suspicion.
            return Told(
                Icon.ORDER, _because("cancelled the order", event.reason), "Order cancelled"
            )
        case e.OrderHeld():
            held = f"put the order on hold for {_words(event.reason)}"
            return Told(Icon.HOLD, _because(held, event.note))
        case e.OrderHoldReleased():
            return Told(Icon.HOLD, _because("released the hold", event.note))
        case e.ShippingAddressChanged():
            return Told(Icon.ADDRESS, "changed the shipping address", "Shipping address changed")
        case e.OrderTagged():
            return Told(Icon.TAG, f"added the tag {event.tag}")
        case e.OrderUntagged():
            return Told(Icon.TAG, f"removed the tag {event.tag}")
        case e.OrderAssigned():
            return Told(Icon.PERSON, f"assigned the order to {event.assignee or 'nobody'}")
        case e.NoteRedacted():
            return Told(Icon.NOTE, "erased what a note says")
        case e.OrderAnonymized():
            return Told(Icon.PERSON, "erased who the customer was")
        case _:
            return None


def _of_lines(event: e.OrderEvent, products: Products) -> Told | None:
    match event:
        case e.OrderItemAdded():
            added = f"added {event.quantity} × {event.name} at {_money(event.unit_price)}"
            to_customer = f"{event.quantity} × {event.name} at {_money(event.unit_price)}"
            return Told(Icon.LINE, _because(added, event.price_reason), to_customer)
        case e.OrderItemQuantityChanged():
            name = products[event.line_id]
            counts = f"from {event.from_quantity} to {event.to_quantity} units"
            return Told(Icon.LINE, f"changed {name} {counts}", f"{name} changed {counts}")
        case e.OrderItemsCancelled():
            units = _units(event.items, products)
            cancelled = _because(f"cancelled {units}", event.reason)
            return Told(Icon.LINE, cancelled, f"{units} cancelled")
        case e.OrderAdjustmentAdded(kind="discount", amount=amount):
            return Told(
                Icon.MONEY,
                f"took {_money(amount)} off: {event.label}",
                f"{event.label}: -{_money(amount)}",
            )
        case e.OrderAdjustmentAdded(amount=amount):
            return Told(
                Icon.MONEY,
                f"added {_money(amount)}: {event.label}",
                f"{event.label}: {_money(amount)}",
            )
        case _:
            return None


def _of_shipments(event: e.OrderEvent, products: Products) -> Told | None:
    match event:
        case e.ShipmentCreated(items=items):
            units = _units(items, products)
            return Told(Icon.PARCEL, f"packed {units}", f"{units} packed")
        case e.ShipmentVoided(items=items):
            units = _units(items, products)
            return Told(Icon.PARCEL, f"unpacked {units}", f"{units} unpacked")
        case e.ShipmentDispatched(items=items):
            units, way = _units(items, products), _way(event)
            return Told(Icon.PARCEL, f"shipped {units}{way}", f"{units} shipped{way}")
        case e.TrackingUpdated():
            way = _way(event)
            return Told(Icon.PARCEL, f"said how a parcel travels{way}", f"A parcel travels{way}")
        case e.ShipmentDelivered(items=items):
            units = _units(items, products)
            return Told(Icon.PARCEL, f"recorded that {units} arrived", f"{units} arrived")
        case e.ShipmentFailed(items=items):
            lost = event.outcome == e.DeliveryFailure.LOST
            fate = f"{_units(items, products)} {'got lost' if lost else 'came back undelivered'}"
            return Told(Icon.PARCEL, f"recorded that {fate}", fate)
        case _:
            return None


def _of_money(event: e.OrderEvent, _products: Products) -> Told | None:
    match event:
        case e.PaymentRecorded():
            did, to_customer = _PAYMENTS[event.kind]
            amount = _money(event.amount)
            by = f" by {event.method}" if event.method else ""
            return Told(Icon.MONEY, f"{did} of {amount}{by}", to_customer.format(amount))
        case e.RefundRequested():
            amount = _money(event.amount)
            asked = _because(f"asked for a refund of {amount}", event.reason)
            return Told(Icon.MONEY, asked, f"Refund of {amount} asked for")
        case e.RefundSettled():
            amount = _money(event.amount)
            return Told(Icon.MONEY, f"recorded a refund of {amount}", f"{amount} refunded")
        case e.RefundFailed():
            failed = f"recorded that a refund of {_money(event.amount)} failed"
            return Told(Icon.MONEY, _because(failed, event.reason))
        case _:
            return None


def _of_returns(event: e.OrderEvent, products: Products) -> Told | None:
    match event:
        case e.ReturnRequested():
            units = _units(event.items, products)
            whys = ", ".join(dict.fromkeys(_words(item.reason) for item in event.items))
            return Told(
                Icon.RETURN, f"asked to return {units}: {whys}", f"Return of {units} asked for"
            )
        case e.ReturnReceived():
            units = _units(event.items, products)
            damaged = sum(item.damaged for item in event.items)
            state = f", {damaged} of them damaged" if damaged else ""
            return Told(Icon.RETURN, f"took back {units}{state}", f"{units} came back")
        case e.ReturnRejected():
            units = _units(event.items, products)
            rejected = _because(f"rejected the return of {units}", event.reason)
            return Told(Icon.RETURN, rejected, f"Return of {units} rejected")
        case _:
            return None


# What OrderStatusChanged can say; other statuses follow from facts.
_MOVES = {
    e.OrderStatus.CONFIRMED: ("confirmed the order", "Order confirmed"),
    e.OrderStatus.PROCESSING: ("started picking", "Picking started"),
    e.OrderStatus.COMPLETED: ("completed the order", "Order completed"),
}
_PAYMENTS = {
    e.PaymentKind.AUTHORIZED: ("recorded an authorization", "Payment of {} authorized"),
    e.PaymentKind.CAPTURED: ("recorded a payment", "Payment of {} received"),
    e.PaymentKind.FAILED: ("recorded a failed payment", "Payment of {} failed"),
    e.PaymentKind.VOIDED: ("recorded a voided payment", "Payment of {} voided"),
}


def _because(sentence: str, reason: str | None) -> str:
    return f"{sentence}: {reason}" if reason else sentence


def _money(money: e.Money) -> str:
    return f"{money.amount} {money.currency}"


def _words(value: str) -> str:
    return value.replace("_", " ")


def _units(items: Sequence[e.Units], products: Products) -> str:
    if len(items) > _LISTED:
        return f"{sum(item.quantity for item in items)} units of {len(items)} lines"
    *others, last = (f"{item.quantity} × {products[item.line_id]}" for item in items)
    return f"{', '.join(others)} and {last}" if others else last


def _way(event: e.ShipmentDispatched | e.TrackingUpdated) -> str:
    carrier = f" with {event.carrier}" if event.carrier else ""
    number = f", tracking number {event.tracking_number}" if event.tracking_number else ""
    return carrier + number
