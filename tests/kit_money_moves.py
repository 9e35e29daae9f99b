"""The moves of all commands about an order, for random walks that change its goods or its money.

A move is a function of a ``Walk``, a ``choice`` of a line or of a variant, and a ``number`` of
units or of minor units. A move may be refused.
"""

from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from ordering_write.domain import commands as c
from ordering_write.domain import events as e
from ordering_write.domain.drafts import AskTaxes, PartToTax
from ordering_write.domain.errors import DomainError
from ordering_write.domain.events import OrderStatus
from ordering_write.domain.prices import Tax
from ordering_write.domain.values import MINOR_UNITS, Money
from ordering_write.models import Order
from tests.kit import ADDRESS, NOW, placed
from tests.kit_money import NO_OUTCOME, adjustment, exchange_line, free_order, order_of


def by_rate(rate: str, *, included: bool = False) -> Tax:
    return Tax(label=f"{rate} %", rate=Decimal(rate), included=included)


# The taxes in each country by tax class; prices contain some of them. None: nobody says taxes.
RATES: dict[str, dict[str, list[Tax]] | None] = {
    "ES": {"": [by_rate("21", included=True)], "food": [by_rate("4", included=True)]},
    "PT": {"": [by_rate("23")], "food": []},
    "CA": {"": [by_rate("5"), by_rate("9.975")]},
    "BR": {"": [by_rate("18", included=True), by_rate("9.25", included=True), by_rate("5")]},
    "US": {},
    "AQ": None,
}
COUNTRIES = sorted(RATES)
PAYMENT_KINDS = list(e.PaymentKind)


class Walk:
    """An order, and the taxes of the country that it goes to."""

    def __init__(self, order: Order, country: str) -> None:
        self.order = order
        self.country = country

    def ask_taxes(self, parts: Any) -> Any:
        return taxes_of(self.country)(parts)

    def try_move(self, name: str, choice: int, number: int) -> None:
        """Try a move of MOVES; a refusal changes nothing."""
        with suppress(DomainError):
            MOVES[name](self, choice, number)

    def line(self, choice: int) -> UUID:
        return list(self.order.lines)[choice % len(self.order.lines)]

    def units(self, choice: int, number: int) -> list[c.LineQuantity]:
        return [c.LineQuantity(line_id=self.line(choice), quantity=number % 4 + 1)]

    def amount(self, number: int) -> Decimal:
        return (number + 1) * MINOR_UNITS[self.order.currency]

    def shipments(self, status: str) -> list[UUID]:
        return [item.id for item in self.order.shipments.values() if item.status == status]


def taxes_of(country: str) -> AskTaxes:
    """Return the answers of a tax port for orders to ``country``."""

    def ask(parts: Any) -> Any:
        rates = RATES[country]
        return None if rates is None else {part.part_id: _taxes(rates, part) for part in parts}

    return ask


def _taxes(rates: dict[str, list[Tax]], part: PartToTax) -> list[Tax]:
    return rates.get(part.tax_class, rates.get("", []))


Move = Callable[[Walk, int, int], None]
MOVES: dict[str, Move] = {}
# The commands whose moves are in MOVES.
COVERED: set[type[c.Command]] = set()


def move(*commands: type[c.Command]) -> Callable[[Move], Move]:
    """Register a move that does what these commands do."""

    def register(function: Move) -> Move:
        MOVES[function.__name__] = function
        COVERED.update(commands)
        return function

    return register


# --- Editing -----------------------------------------------------------------------------------
@move(c.AddOrderItem)
def add_line(walk: Walk, choice: int, number: int) -> None:
    order = walk.order
    unit = MINOR_UNITS[order.currency]
    [_, added] = placed(number % 3 + 1, currency=order.currency, unit_price=str(choice + 1))
    terms: dict[str, Any] = {"tax_class": "food" if choice % 2 else None}
    if choice % 3 == 0:
        terms["discount"] = Money.of(number % 100 * unit, order.currency)
    if choice % 4 == 0:
        terms["taxes"] = (by_rate("10", included=bool(number % 2)),)
    added = added.model_copy(update={**NO_OUTCOME, "order_id": order.id, **terms})
    order.add_item(added, ask_taxes=walk.ask_taxes)


@move(c.ChangeItemQuantity)
def change_quantity(walk: Walk, choice: int, number: int) -> None:
    walk.order.change_quantity(walk.line(choice), number % 5 + 1, ask_taxes=walk.ask_taxes, now=NOW)


@move(c.CancelOrderItems)
def cancel_items(walk: Walk, choice: int, number: int) -> None:
    walk.order.cancel_items(walk.units(choice, number), "Too many", now=NOW)


@move(c.ChangeShippingAddress)
def change_address(walk: Walk, choice: int, number: int) -> None:
    country = COUNTRIES[number % len(COUNTRIES)]
    before, to = (
        e.PostalAddress(**ADDRESS | {"country": place}) for place in (walk.country, country)
    )
    walk.order.change_shipping_address(to, before=before, ask_taxes=taxes_of(country), now=NOW)
    walk.country = country


@move(c.AdjustOrder)
def adjust(walk: Walk, choice: int, number: int) -> None:
    kind = ("discount", "discount", "fee")[choice % 3]
    line_id = walk.line(choice) if number % 2 else None
    added = adjustment(walk.order, kind, walk.amount(number), line_id=line_id)
    walk.order.adjust(added, ask_taxes=walk.ask_taxes)


@move(c.RemoveAdjustment)
def remove_adjustment(walk: Walk, choice: int, number: int) -> None:
    ids = [UUID(item["adjustment_id"]) for item in walk.order.adjustments or ()]
    if ids:
        walk.order.remove_adjustment(ids[choice % len(ids)], ask_taxes=walk.ask_taxes, now=NOW)


@move(c.ChangeItemPrice)
def change_price(walk: Walk, choice: int, number: int) -> None:
    walk.order.change_price(
        walk.line(choice), walk.amount(number), "Agreed", ask_taxes=walk.ask_taxes, now=NOW
    )


# --- The whole order ---------------------------------------------------------------------------
@move(c.ConfirmOrder, c.StartProcessing, c.CompleteOrder, c.UpdateOrderStatus)
def move_on(walk: Walk, choice: int, number: int) -> None:
    allowed = [status for status in walk.order.allowed_moves() if status != OrderStatus.CANCELLED]
    if allowed:
        walk.order.move_to(allowed[number % len(allowed)], shipment_id=uuid4(), now=NOW)


@move(c.CancelOrder, c.ExpireOrder)
def cancel(walk: Walk, choice: int, number: int) -> None:
    if choice == number % 7:
        walk.order.cancel("Not needed", now=NOW)


@move(c.PlaceHold, c.ReleaseHold)
def hold_or_release(walk: Walk, choice: int, number: int) -> None:
    if walk.order.hold_reason:
        walk.order.release_hold(now=NOW)
    elif number % 4 == 0:
        walk.order.hold(e.HoldReason.PAYMENT, now=NOW)


# --- Parcels -----------------------------------------------------------------------------------
@move(c.CreateShipment)
def pack(walk: Walk, choice: int, number: int) -> None:
    if walk.order.status == OrderStatus.PENDING:
        walk.order.confirm(now=NOW)
    walk.order.pack(walk.units(choice, number), shipment_id=uuid4(), now=NOW)


@move(c.HandOverItems)
def hand_over(walk: Walk, choice: int, number: int) -> None:
    walk.order.hand_over(walk.units(choice, number), now=NOW)


@move(c.DispatchShipment, c.VoidShipment)
def end_packing(walk: Walk, choice: int, number: int) -> None:
    for shipment_id in walk.shipments("packed"):
        if number % 5 == 0:
            walk.order.void_shipment(shipment_id, now=NOW)
        else:
            walk.order.dispatch_shipment(shipment_id, now=NOW)


@move(c.ConfirmDelivery, c.FailDelivery)
def end_shipment(walk: Walk, choice: int, number: int) -> None:
    for shipment_id in walk.shipments("dispatched"):
        if number % 3 == 0:
            walk.order.fail_delivery(
                shipment_id, e.DeliveryFailure.LOST, resend=number % 2 == 0, at=NOW
            )
            walk.order.make_lost_units_good(now=NOW)
        else:
            walk.order.deliver(shipment_id, at=NOW)


# --- Returns -----------------------------------------------------------------------------------
@move(c.RequestReturn)
def request_return(walk: Walk, choice: int, number: int) -> None:
    line = walk.order.lines[walk.line(choice)]
    quantity = min(number % 4 + 1, line.returnable or 1)
    returned_line = c.ReturnedLine(
        line_id=line.id, quantity=quantity, reason=e.ReturnReason.UNWANTED
    )
    walk.order.request_return([returned_line], return_id=uuid4(), now=NOW)


@move(c.ReceiveReturn, c.RejectReturn)
def end_return(walk: Walk, choice: int, number: int) -> None:
    for return_id, expected in list(walk.order.returns.items()):
        if expected and number % 6 == 0:
            walk.order.reject_return(UUID(return_id), "Used", now=NOW)
        elif expected:
            line_id, quantity = next(iter(expected.items()))
            received = c.ReceivedLine(line_id=UUID(line_id), restock=number % quantity + 1)
            walk.order.receive_return(UUID(return_id), [received], now=NOW)


@move(c.PlaceExchange)
def exchange(walk: Walk, choice: int, number: int) -> None:
    """Exchange a unit at once, unless its goods are sold out."""
    order, line_id, return_id = walk.order, walk.line(choice), uuid4()
    returned_line = c.ReturnedLine(line_id=line_id, quantity=1, reason=e.ReturnReason.UNWANTED)
    lines = [exchange_line(order, walk.amount(number))]
    order.request_return([returned_line], return_id=return_id, exchange_for=lines, now=NOW)
    order.receive_return(return_id, [c.ReceivedLine(line_id=line_id, restock=1)], now=NOW)
    if choice % 3 == 0:
        order.fail_exchange(return_id, "Sold out", now=NOW)
    else:
        _, other = order_of([(1, number + 1)], {}, order.currency)
        order.exchange_by(other, return_id, now=NOW)


@move()
def replace(walk: Walk, choice: int, number: int) -> None:
    """Replace units of a line for nothing, before or after they get lost."""
    product_id = walk.order.lines[walk.line(choice)].product_id
    walk.order.replace_by(free_order(*[product_id] * (number % 3 + 1)), now=NOW)


# --- Money -------------------------------------------------------------------------------------
@move(c.RecordPayment)
def pay(walk: Walk, choice: int, number: int) -> None:
    """Record what is due as captured; a choice that 3 divides stands for another fact."""
    order = walk.order
    kind, amount = e.PaymentKind.CAPTURED, order.balance
    if choice % 3 == 0 or amount <= 0:
        kind = PAYMENT_KINDS[number % len(PAYMENT_KINDS)]
        amount = walk.amount(number)
    payment_id = f"payment-{choice % 2}"
    order.record_payment(payment_id, kind, amount, reference=f"fact-{order.version}", at=NOW)


@move(c.CapturePayment)
def request_capture(walk: Walk, choice: int, number: int) -> None:
    """Request a capture; some requests are answered at once."""
    order = walk.order
    order.request_capture(capture_id=uuid4(), now=NOW)
    kind = e.PaymentKind.FAILED if choice % 3 == 0 else e.PaymentKind.CAPTURED
    for capture in [*order.captures.values()][: number % 2]:
        amount, reference = Decimal(capture["amount"]), f"capture-{order.version}"
        order.record_payment(capture["payment_id"], kind, amount, reference=reference, at=NOW)


@move(c.ResolveAttention)
def resolve_attention(walk: Walk, choice: int, number: int) -> None:
    walk.order.resolve_attention("The bank is asked", now=NOW)


@move(c.RequestRefund)
def request_refund(walk: Walk, choice: int, number: int) -> None:
    lines = walk.units(choice, number) if choice % 3 == 0 else None
    walk.order.request_refund(
        walk.amount(number), "Not happy", refund_id=uuid4(), lines=lines, now=NOW
    )


@move()
def refund_credit(walk: Walk, choice: int, number: int) -> None:
    walk.order.request_refund(
        walk.order.credit, "the order costs less than was paid", refund_id=uuid4(), now=NOW
    )


@move(c.RecordRefund)
def record_refund(walk: Walk, choice: int, number: int) -> None:
    """Record that a refund settled, or failed, or one that was made elsewhere."""
    order = walk.order
    refund_ids = [UUID(key) for key in order.refunds]
    if not refund_ids or choice == 6:
        order.settle_refund(uuid4(), amount=walk.amount(number), at=NOW)
        return
    refund_id = refund_ids[number % len(refund_ids)]
    if choice % 3 == 0:
        order.fail_refund(refund_id, at=NOW)
    else:
        order.settle_refund(refund_id, at=NOW)


@move(c.GrantGoodwill)
def grant_goodwill(walk: Walk, choice: int, number: int) -> None:
    walk.order.grant_goodwill(walk.amount(number), "Sorry", refund_id=uuid4(), now=NOW)
