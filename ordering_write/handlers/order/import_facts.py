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
    """A fact of an imported order, with its time ``at`` and its JSON pointer in the command.

    Facts are sorted by ``sort_time``: ``at``, but not before the facts that must come first.
    """

    at: datetime
    sort_time: datetime
    pointer: str
    move: _Move


def apply_facts(order: Order, command: c.ImportOrder) -> None:
    """Let ``order`` go through the facts of ``command``, each with its own time.

    The clocks of the past may have differed: a delivery that is older than its dispatch follows the
    dispatch all the same. Raises ImpossibleFactError, InFutureError, StatusMismatchError.
    """
    for fact in sorted(_Facts(command).all(), key=attrgetter("sort_time")):
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
        placed_at = command.placed_at
        confirmed_at = self._confirm(placed_at)
        capture_times = list(self._pay(placed_at))
        cancellation_times = [
            self._add(
                cancellation.happened_at,
                placed_at,
                f"#/cancellations/{number}",
                _cancelled(cancellation),
            )
            for number, cancellation in enumerate(command.cancellations)
        ]
        arrival_times = list(self._ship(confirmed_at))
        return_times = [
            self._add(
                imported_return.received_at,
                max(arrival_times, default=placed_at),
                f"#/returns/{number}",
                _returned(imported_return),
            )
            for number, imported_return in enumerate(command.returns)
        ]
        # Refunds follow all credits and captures: before them, a refund would count as goodwill.
        credit_times = [*cancellation_times, *arrival_times, *return_times]
        refundable_at = max([*credit_times, *capture_times], default=placed_at)
        for number, refund in enumerate(command.refunds):
            self._add(refund.happened_at, refundable_at, f"#/refunds/{number}", _refunded(refund))
        if command.status == OrderStatus.COMPLETED:
            last = max(fact.sort_time for fact in self._facts)
            at = command.completed_at or last
            pointer = "#/completed_at" if command.completed_at else "#/status"
            self._add(at, last, pointer, lambda order, at: order.complete(now=at))
        return self._facts

    def _add(self, at: datetime, not_before: datetime, pointer: str, move: _Move) -> datetime:
        """Add a fact; return its sort time. Raises InFutureError."""
        at = happened_at(at, now=self._command.timestamp, pointer=pointer)
        fact = Fact(at, max(at, not_before), pointer, move)
        self._facts.append(fact)
        return fact.sort_time

    def _confirm(self, placed_at: datetime) -> datetime:
        command = self._command
        is_confirmed = command.status not in (OrderStatus.PENDING, OrderStatus.CANCELLED)
        if not is_confirmed and command.confirmed_at is None:
            return placed_at
        at = command.confirmed_at or placed_at
        at = self._add(at, placed_at, "#/confirmed_at", lambda order, at: order.confirm(now=at))
        if command.status == OrderStatus.PROCESSING:
            self._add(at, at, "#/status", lambda order, at: order.start_processing(now=at))
        return at

    def _pay(self, placed_at: datetime) -> Iterator[datetime]:
        """Add the facts about payments; yield the times of the captures."""
        for number, payment in enumerate(self._command.payments):
            pointer = f"#/payments/{number}"
            at = self._add(payment.happened_at, placed_at, pointer, _paid(payment, number))
            if payment.kind == PaymentKind.CAPTURED:
                yield at

    def _ship(self, confirmed_at: datetime) -> Iterator[datetime]:
        """Add the facts of the shipments; yield the times of their arrivals."""
        for number, shipment in enumerate(self._command.shipments):
            pointer, shipment_id = f"#/shipments/{number}", uuid7()
            dispatched_at = self._add(
                shipment.dispatched_at, confirmed_at, pointer, _dispatched(shipment, shipment_id)
            )
            if at := shipment.delivered_at:
                yield self._add(at, dispatched_at, pointer, _delivered(shipment_id))
            if at := shipment.failed_at:
                yield self._add(at, dispatched_at, pointer, _failed(shipment_id, shipment.outcome))


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


def _returned(imported_return: c.ImportedReturn) -> _Move:
    def move(order: Order, at: datetime) -> None:
        return_id, items, reason = uuid7(), imported_return.items, imported_return.reason
        line_ids = [_line_id(order, item.line) for item in items]
        order.request_return(
            [
                c.ReturnedLine(line_id=line_id, quantity=item.quantity, reason=reason)
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
