"""The amounts of payments and refunds: what can be refunded, and which amounts are refused."""

from decimal import Decimal

from config.fields.text import identity
from ordering_write.domain.errors import (
    AmountTooLargeError,
    CurrencyMismatchError,
    InvalidAmountError,
    PaymentMismatchError,
)
from ordering_write.domain.values import TOO_LARGE, has_minor_units_only
from ordering_write.models.order.charging import Charging


class Accounting(Charging):
    """Guards of amounts that the moves of payments and refunds share."""

    class Meta(Charging.Meta):
        abstract = True

    @property
    def refundable(self) -> Decimal:
        """The amount that was captured and is neither refunded nor requested as a refund."""
        return self.captured - self.refunded - self.requested_refunds

    @property
    def payment_ids(self) -> list[str]:
        """The ids of the captured payments, and of those whose credit was transferred."""
        captured = [key for key, kinds in self.payments.items() if "captured" in kinds]
        return list(dict.fromkeys([*captured, *self.transferred_payments]))

    def _recorded_payment_id(self, payment_id: str) -> str:
        """Return ``payment_id`` as it was spelled when it was recorded first."""
        if payment_id in self.payments:
            return payment_id
        compared_id = identity(payment_id)
        recorded_ids = (name for name in self.payments if identity(name) == compared_id)
        return next(recorded_ids, payment_id)

    def _check_amount(self, amount: Decimal, currency: str | None) -> None:
        if currency not in (None, self.currency):
            raise CurrencyMismatchError(
                f"The order is in {self.currency}, not in {currency}.", pointer="#/currency"
            )
        if not has_minor_units_only(amount, self.currency):
            raise InvalidAmountError(
                f"{amount} has more decimals than {self.currency}.", pointer="#/amount"
            )

    def _refuse_other_amount(self, fact: str, sent: Decimal, recorded: Decimal) -> None:
        if sent != recorded:
            raise PaymentMismatchError(
                f"{fact} with {recorded} {self.currency}, not with {sent}.",
                sent=sent,
                recorded=recorded,
            )

    def _refuse_too_much(
        self,
        *,
        authorized: Decimal = Decimal(0),
        captured: Decimal = Decimal(0),
        refunded: Decimal = Decimal(0),
    ) -> None:
        """Raise AmountTooLargeError if the columns can't hold the sums after these changes."""
        captured, refunded = self.captured + captured, self.refunded + refunded
        largest = max(
            self.authorized + authorized, abs(captured), refunded, self.total + refunded - captured
        )
        if largest >= TOO_LARGE:
            raise AmountTooLargeError(
                f"The payments of an order can't add up to {TOO_LARGE} or more.",
                pointer="#/amount",
            )
