"""The sentence of the order history for each event."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from ordering_read.models.order_timeline import TimelineEntry
from ordering_write.published import events as e

Icon = TimelineEntry.Icon
# The product names of lines.
Products = Mapping[UUID, str]

# The most lines that a sentence lists; a sentence about more lines gives their number.
_LISTED = 4
# The most letters of a value of metadata in a sentence.
_LETTERS = 60


class Sentence(NamedTuple):
    """The sentences of an event: for staff, and for the customer, None for an internal event."""

    icon: Icon
    text: str
    customer_text: str | None = None


_registered: dict[type[e.OrderEvent], Callable[[Any], Sentence]] = {}


def register(event_type: type[e.OrderEvent], write: Callable[[Any], Sentence]) -> None:
    """Let ``write`` make the sentences of an event type of a shop's app, without the actor.

    After a change of ``write``, rebuild ``order_timeline``: its fingerprint doesn't cover shops.
    """
    _registered[event_type] = write


def sentence_of(event: e.OrderEvent, actor: str, products: Products) -> Sentence:
    """Return the sentence of ``event``, which begins with ``actor``.

    Raises KeyError for an event about a line that isn't one of ``products``.
    """
    match event:
        case e.OrderCreated():
            return placed_sentence(event.customer.name, actor, event.replaces_order_number)
        case e.NoteAdded(text=text, visibility=visibility):
            is_public = visibility == e.Visibility.CUSTOMER
            customer_text = note_sentence(text, None) if is_public else None
            return Sentence(Icon.NOTE, note_sentence(text, actor), customer_text)
    if write := _registered.get(type(event)):
        icon, text, customer_text = write(event)
        return Sentence(icon, f"{actor} {text}", customer_text)
    for family in _FAMILIES:
        if predicate := family(event, products):
            icon, text, customer_text = predicate
            return Sentence(icon, f"{actor} {text}", customer_text)
    return Sentence(Icon.ORDER, f"{actor}: {event.type}")


def placed_sentence(customer: str, actor: str, replaced: str | None = None) -> Sentence:
    """Return the sentence of a new order; ``replaced`` is the number of the order it replaces."""
    place = f" in place of order {replaced}" if replaced else ""
    return Sentence(
        Icon.ORDER, f"{actor} placed the order for {customer}{place}", f"Order placed{place}"
    )


def note_sentence(text: str, actor: str | None) -> str:
    """Return the sentence of a note; the actor is None in the sentence for customers."""
    return f"{actor} noted: {text}" if actor else f"Note: {text}"


# --- Families of events: sentences without the actor, which ``sentence_of`` adds ---------------
def _about_order(event: e.OrderEvent, products: Products) -> Sentence | None:
    match event:
        case e.OrderStatusChanged():
            text, customer_text = _MOVES[event.to_status]
            return Sentence(Icon.ORDER, _because(text, event.reason), customer_text)
        case e.OrderCancelled():
            # The reason is for staff only: it may be a suspicion.
            return Sentence(
                Icon.ORDER, _because("cancelled the order", event.reason), "Order cancelled"
            )
        case e.OrderHeld():
            text = f"put the order on hold for {_spaced(event.reason)}"
            return Sentence(Icon.HOLD, _because(text, event.note))
        case e.OrderHoldReleased():
            return Sentence(Icon.HOLD, _because("released the hold", event.note))
        case e.ShippingAddressChanged(price=price):
            taxes = " and with it the taxes" if price else ""
            text, customer_text = "changed the shipping address", "Shipping address changed"
            return Sentence(Icon.ADDRESS, text + taxes, customer_text + taxes)
        case e.OrderTagged():
            return Sentence(Icon.TAG, f"added the tag {event.tag}")
        case e.OrderUntagged():
            return Sentence(Icon.TAG, f"removed the tag {event.tag}")
        case e.OrderPoNumberChanged(po_number=None):
            return Sentence(Icon.TAG, "removed the PO number", "PO number removed")
        case e.OrderPoNumberChanged(po_number=po_number):
            return Sentence(Icon.TAG, f"set the PO number {po_number}", f"PO number: {po_number}")
        case e.OrderMetadataChanged():
            return Sentence(Icon.TAG, _metadata(event, products))
        case e.OrderAssigned():
            return Sentence(Icon.PERSON, f"assigned the order to {event.assignee or 'nobody'}")
        case e.NoteRedacted():
            return Sentence(Icon.NOTE, "erased what a note says")
        case e.OrderAnonymized():
            return Sentence(Icon.PERSON, "erased who the customer was")
        case _:
            return None


def _about_lines(event: e.OrderEvent, products: Products) -> Sentence | None:
    match event:
        case e.OrderItemAdded():
            line = f"{event.quantity} × {event.name} at {_money(event.unit_price)}"
            line += _less(event.discount)
            return Sentence(Icon.LINE, _because(f"added {line}", event.price_reason), line)
        case e.OrderItemQuantityChanged():
            name = products[event.line_id]
            counts = f"from {event.from_quantity} to {event.to_quantity} units"
            return Sentence(Icon.LINE, f"changed {name} {counts}", f"{name} changed {counts}")
        case e.OrderItemsCancelled():
            units = _units(event.items, products)
            cancelled = _because(f"cancelled {units}", event.reason)
            return Sentence(Icon.LINE, cancelled, f"{units} cancelled")
        case e.OrderItemPriceChanged():
            name = products[event.line_id]
            prices = f"from {_money(event.from_unit_price)} to {_money(event.unit_price)}"
            return Sentence(
                Icon.LINE,
                _because(f"changed the price of {name} {prices}", event.reason),
                f"Price of {name} changed {prices}",
            )
        case e.OrderAdjustmentRemoved():
            removed = f"{event.label} of {_money(event.amount)}"
            return Sentence(Icon.MONEY, f"removed {removed}", f"{removed} removed")
        case e.OrderAdjustmentAdded(kind="discount", amount=amount):
            return Sentence(
                Icon.MONEY,
                _because(f"took {_money(amount)} off: {_adjusted(event, products)}", event.reason),
                f"{_adjusted(event, products)}: -{_money(amount)}",
            )
        case e.OrderAdjustmentAdded(kind="goodwill", amount=amount):
            granted = _because(f"granted goodwill of {_money(amount)}", event.reason)
            return Sentence(Icon.MONEY, granted, f"{event.label}: -{_money(amount)}")
        case e.OrderAdjustmentAdded(amount=amount):
            return Sentence(
                Icon.MONEY,
                _because(
                    f"added {_money(amount)}{_less(event.discount)}: {_adjusted(event, products)}",
                    event.reason,
                ),
                f"{_adjusted(event, products)}: {_money(amount)}{_less(event.discount)}",
            )
        case _:
            return None


def _about_shipments(event: e.OrderEvent, products: Products) -> Sentence | None:
    match event:
        case e.ShipmentCreated(items=items):
            units = _units(items, products)
            return Sentence(Icon.PARCEL, f"packed {units}", f"{units} packed")
        case e.ItemsHandedOver(items=items):
            units = _units(items, products)
            return Sentence(Icon.PARCEL, f"handed over {units}", f"{units} handed over")
        case e.ShipmentVoided(items=items):
            units = _units(items, products)
            return Sentence(Icon.PARCEL, f"unpacked {units}", f"{units} unpacked")
        case e.ShipmentDispatched(items=items):
            units, tracking = _units(items, products), _tracking(event)
            return Sentence(Icon.PARCEL, f"shipped {units}{tracking}", f"{units} shipped{tracking}")
        case e.TrackingUpdated():
            tracking = _tracking(event)
            return Sentence(
                Icon.PARCEL, f"said how a parcel travels{tracking}", f"A parcel travels{tracking}"
            )
        case e.ShipmentDelivered(items=items):
            units = _units(items, products)
            return Sentence(Icon.PARCEL, f"recorded that {units} arrived", f"{units} arrived")
        case e.ShipmentFailed(items=items):
            lost = event.outcome == e.DeliveryFailure.LOST
            text = f"{_units(items, products)} {'got lost' if lost else 'came back undelivered'}"
            text += " and will be sent again" if event.resend else ""
            return Sentence(Icon.PARCEL, f"recorded that {text}", text)
        case _:
            return None


def _about_money(event: e.OrderEvent, _products: Products) -> Sentence | None:
    match event:
        case e.PaymentRecorded():
            text, customer_text = _PAYMENTS[event.kind]
            amount = _money(event.amount)
            method = f" by {event.method}" if event.method else ""
            text = _because(f"{text} of {amount}{method}", event.reason)
            return Sentence(Icon.MONEY, text, customer_text.format(amount))
        case e.AttentionResolved():
            return Sentence(Icon.MONEY, f"looked at the money: {event.note}")
        case e.CaptureRequested():
            return Sentence(Icon.MONEY, f"asked for a capture of {_money(event.amount)}")
        case e.RefundRequested():
            amount = _money(event.amount)
            text = _because(f"asked for a refund of {amount}", event.reason)
            return Sentence(Icon.MONEY, text, f"Refund of {amount} asked for")
        case e.RefundSettled():
            amount = _money(event.amount)
            return Sentence(Icon.MONEY, f"recorded a refund of {amount}", f"{amount} refunded")
        case e.RefundBounced():
            amount = _money(event.amount)
            bounced = _because(f"recorded that a refund of {amount} bounced", event.reason)
            return Sentence(Icon.MONEY, bounced, f"Refund of {amount} came back to us")
        case e.RefundReferenced():
            return Sentence(Icon.MONEY, f"recorded the reference {event.reference} of a refund")
        case e.RefundFailed():
            failed = f"recorded that a refund of {_money(event.amount)} failed"
            return Sentence(Icon.MONEY, _because(failed, event.reason))
        case _:
            return None


def _about_returns(event: e.OrderEvent, products: Products) -> Sentence | None:
    match event:
        case e.ReturnRequested():
            units = _units(event.items, products)
            reasons = ", ".join(dict.fromkeys(_spaced(item.reason) for item in event.items))
            exchange = _exchange(event.exchange_for) if event.exchange_for else ""
            return Sentence(
                Icon.RETURN,
                f"asked to return {units}{exchange}: {reasons}",
                f"Return of {units}{exchange} asked for",
            )
        case e.ReturnReceived():
            units = _units(event.items, products)
            count = sum(item.damaged for item in event.items)
            damaged = f", {count} of them damaged" if count else ""
            return Sentence(Icon.RETURN, f"took back {units}{damaged}", f"{units} came back")
        case e.ReturnRejected():
            units = _units(event.items, products)
            rejected = _because(f"rejected the return of {units}", event.reason)
            return Sentence(Icon.RETURN, rejected, f"Return of {units} rejected")
        case _:
            return None


def _about_replacements(event: e.OrderEvent, products: Products) -> Sentence | None:
    match event:
        case e.OrderReplaced(replaced_by_number=number):
            way = "in place of this order" if event.return_id is None else "in exchange"
            return Sentence(
                Icon.ORDER, f"placed order {number} {way}", f"Order {number} placed {way}"
            )
        case e.LostUnitsMadeGood():
            units = _units(event.items, products)
            return Sentence(
                Icon.MONEY, f"replaced {units} for nothing", f"{units} replaced for nothing"
            )
        case e.ExchangeFailed():
            text = _because("could not place the exchange", event.reason)
            return Sentence(Icon.RETURN, text, "The exchange could not be placed")
        case e.CreditTransferred(other_order_number=number):
            credit = f"{_money(event.amount)} of credit"
            end = f"to order {number}" if event.direction == "out" else f"from order {number}"
            return Sentence(
                Icon.MONEY, f"transferred {credit} {end}", f"{credit} transferred {end}"
            )
        case _:
            return None


_FAMILIES = (
    _about_order,
    _about_lines,
    _about_shipments,
    _about_money,
    _about_returns,
    _about_replacements,
)
# The statuses that OrderStatusChanged sets; other events set the others.
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
    e.PaymentKind.CHARGEBACK: ("recorded a chargeback", "Payment of {} taken back by your bank"),
    e.PaymentKind.CHARGEBACK_REVERSED: (
        "recorded a reversed chargeback",
        "Payment of {} received again",
    ),
}


def _adjusted(event: e.OrderAdjustmentAdded, products: Products) -> str:
    """Return the label of an adjustment, with the name of its line."""
    line = event.part_id and products.get(event.part_id)
    return f"{event.label}, on {line}" if line else event.label


def _because(sentence: str, reason: str | None) -> str:
    return f"{sentence}: {reason}" if reason else sentence


def _money(money: e.Money) -> str:
    return f"{money.amount} {money.currency}"


def _less(discount: e.Money | None) -> str:
    return f" less {_money(discount)}" if discount else ""


def _spaced(value: str) -> str:
    return value.replace("_", " ")


def _units(items: Sequence[e.Units], products: Products) -> str:
    if len(items) > _LISTED:
        return f"{sum(item.quantity for item in items)} units of {len(items)} lines"
    *others, last = (f"{item.quantity} × {products[item.line_id]}" for item in items)
    return f"{', '.join(others)} and {last}" if others else last


def _metadata(event: e.OrderMetadataChanged, products: Products) -> str:
    of_line = f" of {products[event.line_id]}" if event.line_id else ""
    changes = [f"{key} = {_shortened(value)}" for key, value in sorted(event.values.items())]
    changes += [f"{key} removed" for key in sorted(event.removed)]
    if len(changes) > _LISTED:
        changes = [f"{len(changes)} pairs"]
    return _because(f"changed the metadata{of_line}", ", ".join(changes))


def _shortened(text: str) -> str:
    return text if len(text) <= _LETTERS else f"{text[:_LETTERS]}…"


def _exchange(lines: Sequence[e.ExchangeLine]) -> str:
    if len(lines) > _LISTED:
        return f" in exchange for {sum(line.quantity for line in lines)} units"
    return f" in exchange for {', '.join(f'{line.quantity} × {line.name}' for line in lines)}"


def _tracking(event: e.ShipmentDispatched | e.TrackingUpdated) -> str:
    carrier = f" with {event.carrier}" if event.carrier else ""
    number = f", tracking number {event.tracking_number}" if event.tracking_number else ""
    return carrier + number
