"""The next step of an order: the one command that its page offers first."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from ordering_read.queries.orders import OrderDetail
from ordering_write.client import Command
from ordering_write.client import commands as c
from ordering_write.published import OrderStatus


class NextStep(NamedTuple):
    """The next command of an order, and the other things that the order waits for.

    ``command`` is the command that the user may give now, or None. ``waits`` are sentences, the
    one about the command first. ``refusal`` says why the user's command can't be given now.
    """

    command: type[Command] | None
    waits: Sequence[str]
    refusal: str = ""


def next_step(order: OrderDetail, refusals: Mapping[type[Command], str]) -> NextStep:
    """Return the next step of ``order`` for a user.

    ``refusals`` has the commands that the user may give, each with its refusal now, or "".
    """
    due = [(command, wait) for command, wait_of in _STEPS.items() if (wait := wait_of(order))]
    permitted = [command for command, _ in due if command in refusals]
    command = next((command for command in permitted if not refusals[command]), None)
    waits = [wait for step, wait in due if step is command]
    waits += [wait for step, wait in due if step is not command]
    refusal = refusals[permitted[0]] if permitted and command is None else ""
    return NextStep(command, waits, refusal)


def _attention(order: OrderDetail) -> str:
    reasons = ", ".join(reason.replace("_", " ") for reason in order.attention)
    return f"A person must look at the money: {reasons}." if reasons else ""


def _hold(order: OrderDetail) -> str:
    return f"On hold: {order.hold.reason.replace('_', ' ')}." if order.hold else ""


def _confirmation(order: OrderDetail) -> str:
    return "Waits to be confirmed." if order.status == OrderStatus.PENDING else ""


def _return(order: OrderDetail) -> str:
    units = sum(line.return_requested for line in order.items)
    return f"To come back: {_units(units)}." if units else ""


def _dispatch(order: OrderDetail) -> str:
    parcels = [parcel for parcel in order.shipments if parcel.status == "packed"]
    return f"Packed and not dispatched: {_parcels(len(parcels))}." if parcels else ""


def _packing(order: OrderDetail) -> str:
    units = _open_units(order, requires_shipping=True)
    return f"To pack: {_units(units)}." if units else ""


def _hand_over(order: OrderDetail) -> str:
    units = _open_units(order, requires_shipping=False)
    return f"To hand over: {_units(units)}." if units else ""


def _refund(order: OrderDetail) -> str:
    requested = sum(refund.amount for refund in order.refunds if refund.status == "requested")
    credit = -order.balance - requested
    return f"{credit:,} {order.currency} are owed to the customer." if credit > 0 else ""


def _capture(order: OrderDetail) -> str:
    if not order.authorized or order.balance <= 0:
        return ""
    return f"Authorized and not captured: {order.authorized:,} {order.currency}."


def _delivery(order: OrderDetail) -> str:
    parcels = [parcel for parcel in order.shipments if parcel.status == "dispatched"]
    return f"On the way: {_parcels(len(parcels))}." if parcels else ""


def _payment(order: OrderDetail) -> str:
    is_due = order.balance > 0 and order.status in (OrderStatus.SHIPPED, OrderStatus.DELIVERED)
    return f"{order.balance:,} {order.currency} are due." if is_due else ""


def _completion(order: OrderDetail) -> str:
    is_returning = any(line.return_requested for line in order.items)
    is_over = order.status == OrderStatus.DELIVERED and not (order.balance or is_returning)
    return "Everything has arrived and is paid." if is_over else ""


# The steps, the first to do first; each function returns what waits, or "" if nothing does.
_STEPS: Mapping[type[Command], Callable[[OrderDetail], str]] = {
    c.ResolveAttention: _attention,
    c.ReleaseHold: _hold,
    c.ConfirmOrder: _confirmation,
    c.ReceiveReturn: _return,
    c.DispatchShipment: _dispatch,
    c.CreateShipment: _packing,
    c.HandOverItems: _hand_over,
    c.RequestRefund: _refund,
    c.CapturePayment: _capture,
    c.ConfirmDelivery: _delivery,
    c.RecordPayment: _payment,
    c.CompleteOrder: _completion,
}


def _open_units(order: OrderDetail, *, requires_shipping: bool) -> int:
    if order.status == OrderStatus.PENDING:
        return 0
    lines = (line for line in order.items if line.requires_shipping == requires_shipping)
    return sum(line.open for line in lines)


def _units(count: int) -> str:
    return "1 unit" if count == 1 else f"{count} units"


def _parcels(count: int) -> str:
    return "1 parcel" if count == 1 else f"{count} parcels"
