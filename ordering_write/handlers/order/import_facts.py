"""The facts of an imported order, in an order in which they can have happened."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from uuid import UUID

from uuid_utils.compat import uuid7

from ordering_write.domain import commands as c
from ordering_write.domain import errors
from ordering_write.domain.events import DeliveryFailure, OrderStatus, PaymentKind
from ordering_write.handlers.order.base import happened_at
from ordering_write.models import Order

# Moves the order at the time of the fact.
_Move = Callable[[Order, datetime], None]


@dataclass(frozen=True)
class Fact:
    """A fact: its time ``at``, and ``follows``, which isn't before the facts that it follows from.

    ``pointer`` is its place in the command.
    """

    at: datetime
    follows: datetime
    pointer: str
    move: _Move


def apply_facts(order: Order, command: c.ImportOrder) -> None:
    """Let ``order`` go through the facts of ``command``, each with its own time.

    The clocks of the past may have differed: a delivery that is older than its dispatch follows the
    dispatch all the same. Raises ImpossibleFactError, InFutureError, StatusMismatchError.
    """
    for fact in sorted(_Facts(command).all(), key=attrgetter("follows")):
        try:
            fact.move(order, fact.at)
        except errors.DomainError as error:
            raise errors.ImpossibleFactError(str(error), pointer=fact.pointer) from error
    if order.status != command.status:
        raise errors.StatusMismatchError(
            f"The facts make the order {order.status}, not {command.status}.", pointer="#/status"
        )


class _Facts:
    """Collects the facts of a command. A fact goes before a later one of the same time."""

    def __init__(self, command: c.ImportOrder) -> None:
        self._command = command
        self._facts: list[Fact] = []

    def all(self) -> Sequence[Fact]:
        command = self._command
        placed = command.placed_at
        confirmed = self._confirm(placed)
        captured = list(self._pay(placed))
        cancelled = [
            self._add(
                cancellation.happened_at,
                placed,
                f"#/cancellations/{number}",
                _cancelled(cancellation),
            )
            for number, cancellation in enumerate(command.cancellations)
        ]
        arrived = list(self._ship(confirmed))
        returned = [
            self._add(
                one_return.received_at,
                max(arrived, default=placed),
                f"#/returns/{number}",
                _returned(one_return),
            )
            for number, one_return in enumerate(command.returns)
        ]
        # Refunds follow all credits and captures: before them, a refund would count as goodwill.
        credited = max([*cancelled, *arrived, *returned, *captured], default=placed)
        for number, refund in enumerate(command.refunds):
            self._add(refund.happened_at, credited, f"#/refunds/{number}", _refunded(refund))
        if command.status == OrderStatus.COMPLETED:
            last = max(fact.follows for fact in self._facts)
            at = command.completed_at or last
            self._add(at, last, "#/completed_at", lambda order, at: order.complete(now=at))
        return self._facts

    def _add(self, at: datetime, not_before: datetime, pointer: str, move: _Move) -> datetime:
        """Add a fact; returns the time that it has among the facts. Raises InFutureError."""
        at = happened_at(at, now=self._command.timestamp, pointer=pointer)
        fact = Fact(at, max(at, not_before), pointer, move)
        self._facts.append(fact)
        return fact.follows

    def _confirm(self, placed: datetime) -> datetime:
        command = self._command
        is_confirmed = command.status not in (OrderStatus.PENDING, OrderStatus.CANCELLED)
        if not is_confirmed and command.confirmed_at is None:
            return placed
        at = command.confirmed_at or placed
        at = self._add(at, placed, "#/confirmed_at", lambda order, at: order.confirm(now=at))
        if command.status == OrderStatus.PROCESSING:
            self._add(at, at, "#/status", lambda order, at: order.start_processing(now=at))
        return at

    def _pay(self, placed: datetime) -> Iterator[datetime]:
        """Add the facts about payments; yields the times of the captures."""
        for number, payment in enumerate(self._command.payments):
            pointer = f"#/payments/{number}"
            at = self._add(payment.happened_at, placed, pointer, _paid(payment, number))
            if payment.kind == PaymentKind.CAPTURED:
                yield at

    def _ship(self, confirmed: datetime) -> Iterator[datetime]:
        """Add the facts of the shipments; yields the times of their arrivals."""
        for number, shipment in enumerate(self._command.shipments):
            pointer, shipment_id = f"#/shipments/{number}", uuid7()
            left = self._add(
                shipment.dispatched_at, confirmed, pointer, _dispatched(shipment, shipment_id)
            )
            if at := shipment.delivered_at:
                yield self._add(at, left, pointer, _delivered(shipment_id))
            if at := shipment.failed_at:
                yield self._add(at, left, pointer, _failed(shipment_id, shipment.outcome))


def _line_id(order: Order, number: int) -> UUID:
    """Return the id of the line with this number. Raises UnknownLineError."""
    line_ids = list(order.lines)
    if number > len(line_ids):
        raise errors.UnknownLineError(f"The order has no line {number}.", pointer="")
    return line_ids[number - 1]


def _units(order: Order, items: Iterable[c.ImportedUnits] | None) -> list[c.LineQuantity]:
    """Return the units of ``items``; without items, every unit that is open."""
    if items is None:
        return [
            c.LineQuantity(line_id=line.id, quantity=line.open)
            for line in order.lines.values()
            if line.open
        ]
    return [
        c.LineQuantity(line_id=_line_id(order, item.line), quantity=item.quantity) for item in items
    ]


# --- Moves -------------------------------------------------------------------------------------
def _paid(payment: c.ImportedPayment, number: int) -> _Move:
    def move(order: Order, at: datetime) -> None:
        order.record_payment(
            payment.payment_id or f"payment-{number + 1}",
            payment.kind,
            payment.amount,
            method=payment.method,
            reference=payment.reference,
            happened_at=at,
            at=at,
        )

    return move


def _cancelled(cancellation: c.ImportedCancellation) -> _Move:
    def move(order: Order, at: datetime) -> None:
        if cancellation.items is None:
            order.cancel(cancellation.reason, now=at)
        else:
            order.cancel_items(_units(order, cancellation.items), cancellation.reason, now=at)

    return move


def _dispatched(shipment: c.ImportedShipment, shipment_id: UUID) -> _Move:
    def move(order: Order, at: datetime) -> None:
        units = _units(order, shipment.items)
        order.pack(units, shipment_id=shipment_id, carrier=shipment.carrier, now=at)
        order.dispatch_shipment(
            shipment_id,
            tracking_number=shipment.tracking_number,
            tracking_url=shipment.tracking_url,
            dispatched_at=at,
            now=at,
        )

    return move


def _delivered(shipment_id: UUID) -> _Move:
    return lambda order, at: order.deliver(shipment_id, at=at)


def _failed(shipment_id: UUID, outcome: DeliveryFailure) -> _Move:
    return lambda order, at: order.fail_delivery(shipment_id, outcome, at=at)


def _returned(one_return: c.ImportedReturn) -> _Move:
    def move(order: Order, at: datetime) -> None:
        return_id, items = uuid7(), one_return.items
        line_ids = [_line_id(order, item.line) for item in items]
        order.request_return(
            [
                c.ReturnedLine(line_id=line_id, quantity=item.quantity, reason=one_return.reason)
                for line_id, item in zip(line_ids, items, strict=True)
            ],
            return_id=return_id,
            now=at,
        )
        order.receive_return(
            return_id,
            [
                c.ReceivedLine(
                    line_id=line_id,
                    restock=item.quantity - item.damaged,
                    damaged=item.damaged,
                )
                for line_id, item in zip(line_ids, items, strict=True)
            ],
            now=at,
        )

    return move


def _refunded(refund: c.ImportedRefund) -> _Move:
    def move(order: Order, at: datetime) -> None:
        reference, amount = refund.reference, refund.amount
        refund_id = order.reported_refund_id(
            None, reference=reference, amount=amount, new_id=uuid7()
        )
        if str(refund_id) not in order.refunds:
            order.request_refund(amount, refund.reason, refund_id=refund_id, now=at)
        order.settle_refund(refund_id, amount=amount, reference=reference, at=at)

    return move
