"""Moves of an order that another order replaces: exchanges, and replacements for nothing."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Self
from uuid import UUID

from ordering_write.domain import events as e
from ordering_write.domain.errors import ExchangeNotDueError, ReturnNotFoundError
from ordering_write.domain.events import PaymentKind
from ordering_write.domain.pricing import LinePrice, rest
from ordering_write.models.order.accounting import Accounting
from ordering_write.models.order.parts import OrderItem
from ordering_write.models.order.payments import sum_of_all


class Replacing(Accounting):
    """Moves that replace an order, pay its exchanges and make its lost units good."""

    class Meta(Accounting.Meta):
        abstract = True

    @property
    def held_credit(self) -> Decimal:
        """The credit for received units whose exchange isn't placed yet."""
        credits = (Decimal(exchange["credit"]) for exchange in self.exchanges.values())
        return sum(credits, Decimal(0))

    @property
    def unheld_credit(self) -> Decimal:
        """The credit that isn't held for an exchange, nor from the reversal of a later chargeback.

        Gateways may report a reversal before its chargeback, which ends the credit.
        """
        payments = self.payments.values()
        chargebacks = sum_of_all(payments, PaymentKind.CHARGEBACK)
        reversals = sum_of_all(payments, PaymentKind.CHARGEBACK_REVERSED)
        early_reversals = max(reversals - chargebacks, Decimal(0))
        return max(self.credit - self.held_credit - early_reversals, Decimal(0))

    # --- Exchanges -------------------------------------------------------------------------------
    def is_exchange_due(self, return_id: UUID) -> bool:
        """Return True if units of the return were received, and no more are expected."""
        exchange = self.exchanges.get(str(return_id))
        return bool(exchange and exchange["received"] and not self.returns[str(return_id)])

    def may_place_exchange(self) -> None:
        if not any(self.is_exchange_due(UUID(return_id)) for return_id in self.exchanges):
            raise ExchangeNotDueError(f"No exchange of order {self.order_number} is due.")

    def refuse_unless_due(self, return_id: UUID) -> None:
        """Raise ReturnNotFoundError or ExchangeNotDueError unless the exchange is due."""
        if str(return_id) not in self.returns:
            raise ReturnNotFoundError
        self.may_place_exchange()
        if not self.is_exchange_due(return_id):
            raise ExchangeNotDueError

    def exchange_by(self, other: Self, return_id: UUID, *, now: datetime) -> None:
        """Record that ``other`` was placed in exchange for a return, and pay it with the credit."""
        self._record(
            e.OrderReplaced,
            now=now,
            replaced_by=other.id,
            replaced_by_number=other.order_number,
            return_id=return_id,
        )
        amount = min(self.credit, other.balance)
        if amount <= 0:
            return
        payment_ids = self.payment_ids
        self._transfer("out", amount, other, return_id, payment_ids, now)
        other._transfer("in", amount, self, return_id, payment_ids, now)

    def _transfer(
        self,
        direction: str,
        amount: Decimal,
        other: Self,
        return_id: UUID,
        payment_ids: list[str],
        now: datetime,
    ) -> None:
        self._record(
            e.CreditTransferred,
            now=now,
            return_id=return_id,
            direction=direction,
            other_order_id=other.id,
            other_order_number=other.order_number,
            amount=self.money(amount),
            payment_ids=payment_ids,
        )

    def fail_exchange(self, return_id: UUID, reason: str, *, now: datetime) -> None:
        """Record that the order for the new lines of a return can't be placed."""
        self._record(e.ExchangeFailed, now=now, return_id=return_id, reason=reason)

    # --- Replacements ----------------------------------------------------------------------------
    def replace_by(self, other: Self, *, now: datetime) -> None:
        """Record that ``other`` was placed in place of this order.

        If ``other`` costs nothing, its units make lost units of the same products good: those that
        were lost before, and those that get lost later.
        """
        units = Counter[UUID]()
        if not other.total:
            for line in other.lines.values():
                units[line.product_id] += line.ordered
        self._record(
            e.OrderReplaced,
            now=now,
            replaced_by=other.id,
            replaced_by_number=other.order_number,
            free_units=[
                e.FreeUnits(product_id=product_id, quantity=quantity)
                for product_id, quantity in units.items()
            ]
            or None,
        )
        self.make_lost_units_good(now=now)

    def make_lost_units_good(self, *, now: datetime) -> None:
        """Charge lost units again that were replaced for nothing, as far as their credit is open.

        A credit that is refunded, or requested as a refund, stays: the customer never owes for
        units that were replaced for nothing.
        """
        units = list(self._replaced_units()) if self.free_units else []
        if units:
            self._record(e.LostUnitsMadeGood, now=now, items=units)

    def _replaced_units(self) -> Iterator[e.MadeGoodUnits]:
        prices, credit, free_units = self._line_prices(), self.unheld_credit, dict(self.free_units)
        for line in self.lines.values():
            free_count = free_units.get(str(line.product_id), 0)
            max_quantity = min(line.failed - line.made_good, free_count)
            charges = _Charges(line, prices[line.id], self.currency)
            quantity = bisect_right(range(1, max_quantity + 1), credit, key=charges.amount)
            if quantity:
                credit -= charges.amount(quantity)
                free_units[str(line.product_id)] = free_count - quantity
                yield e.MadeGoodUnits(
                    line_id=line.id,
                    product_id=line.product_id,
                    quantity=quantity,
                    amount=self.money(charges.amount(quantity)),
                    price=charges.price(quantity),
                )

    # --- For the state machine -------------------------------------------------------------------
    def _make_good(self, items: Sequence[e.MadeGoodUnits]) -> None:
        """Charge lost units again that were replaced for nothing."""
        for item in items:
            line = self.lines[item.line_id]
            line.made_good += item.quantity
            line.line_total = item.price.net
            self._changed.add(line.id)
        self._count_free_units(items, -1)
        self.total = min(self.total + sum(item.amount.amount for item in items), self._total())

    def _count_free_units(self, items: Sequence[e.FreeUnits | e.MadeGoodUnits], sign: int) -> None:
        """Add ``items`` to the free units, or subtract them if ``sign`` is -1."""
        for item in items:
            units = self.free_units.get(str(item.product_id), 0) + sign * item.quantity
            self.free_units[str(item.product_id)] = units

    def _hold_credit(self, event: e.ReturnReceived) -> None:
        """Hold the credit for received units until the exchange for their return is placed."""
        exchange = self.exchanges.get(str(event.return_id))
        if exchange:
            exchange["received"] += sum(item.quantity for item in event.items)
            credit = sum((item.amount.amount for item in event.items), Decimal(exchange["credit"]))
            exchange["credit"] = str(credit)


class _Charges:
    """The amounts that are charged again for units of a line."""

    def __init__(self, line: OrderItem, price: LinePrice, currency: str) -> None:
        self._line, self._price, self._currency = line, price, currency

    def price(self, units: int) -> LinePrice:
        """Return the price of the owed units and of ``units`` more."""
        line = self._line
        return rest(
            self._price,
            credited=line.credited - units,
            ordered=line.ordered,
            currency=self._currency,
        )

    def amount(self, units: int) -> Decimal:
        """Return the amount to charge for ``units`` more units."""
        return self.price(units).cost - self.price(0).cost
