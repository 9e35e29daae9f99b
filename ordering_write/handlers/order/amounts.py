"""Checks the discounts, charges and taxes of a command, and makes events and values of them."""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal

from django.conf import settings
from uuid_utils.compat import uuid7

from ordering_write.domain import commands as c
from ordering_write.domain import errors
from ordering_write.domain import events as e
from ordering_write.domain.prices import Tax
from ordering_write.domain.values import Money, has_minor_units_only
from ordering_write.models.order.editing import refuse_too_large

# The errors that the functions of this module raise.
REFUSALS = (errors.AmountTooLargeError, errors.InvalidAmountError)


def adjustments_of(
    command: c.CreateOrder | c.ImportOrder,
    created: e.OrderCreated,
    items: Sequence[e.OrderItemAdded],
    price_adjustments: Sequence[c.Adjustment],
) -> list[e.OrderAdjustmentAdded]:
    """Return the adjustments of the command and of our pricing.

    Raises an error of REFUSALS for the first line or adjustment that makes the total impossible.
    """
    commanded = [
        *((item, f"#/adjustments/{number}") for number, item in enumerate(command.adjustments)),
        *((item, "#/items") for item in price_adjustments),
    ]
    adjustments = [
        (_added(adjustment, created, pointer), pointer) for adjustment, pointer in commanded
    ]
    total = _RunningTotal(items)
    # A discount can be on charges that are given after the discount.
    for added, pointer in sorted(adjustments, key=lambda item: item[0].kind == "discount"):
        total.add(added, pointer if pointer == "#/items" else f"{pointer}/amount")
    return [added for added, _ in adjustments]


def line_discount(
    amount: Decimal | None, value: Decimal, currency: str, pointer: str
) -> Money | None:
    """Return the discount on a line or charge that costs ``value``.

    Raises InvalidAmountError for a discount that is larger, or has too many decimals.
    """
    if amount is None:
        return None
    refuse_fractions(amount, currency, pointer)
    if amount > value:
        raise errors.InvalidAmountError(
            f"The discount is {amount}, its price only {value}.", pointer=pointer
        )
    return Money.of(amount, currency) if amount else None


def given_taxes(
    taxes: Sequence[c.NewTax] | None, net: Decimal, currency: str, pointer: str
) -> tuple[Tax, ...] | None:
    """Return the taxes that a command gives for a line or charge with the price ``net``.

    Raises InvalidAmountError if the included taxes exceed the price, or have too many decimals.
    """
    if taxes is None:
        return None
    included_sum = Decimal(0)
    result = []
    for number, tax in enumerate(taxes):
        is_included = settings.PRICES_INCLUDE_TAX if tax.included is None else tax.included
        amount_pointer = f"{pointer}/{number}/amount"
        if tax.amount is not None:
            refuse_fractions(tax.amount, currency, amount_pointer)
            included_sum += tax.amount if is_included else 0
        if included_sum > net:
            raise errors.InvalidAmountError(
                f"The included taxes are {included_sum}, the price only {net}.",
                pointer=amount_pointer,
            )
        result.append(
            Tax(
                label=tax.label,
                jurisdiction=tax.jurisdiction,
                rate=tax.rate,
                included=is_included,
                amount=tax.amount,
            )
        )
    return tuple(result)


def refuse_fractions(amount: Decimal, currency: str, pointer: str) -> None:
    """Raise InvalidAmountError at ``pointer`` for an amount with too many decimals."""
    if not has_minor_units_only(amount, currency):
        raise errors.InvalidAmountError(
            f"{amount} has more decimals than {currency}.", pointer=pointer
        )


def _added(
    adjustment: c.Adjustment, created: e.OrderCreated, pointer: str
) -> e.OrderAdjustmentAdded:
    currency = created.currency
    refuse_fractions(
        adjustment.amount, currency, pointer if pointer == "#/items" else f"{pointer}/amount"
    )
    discount = line_discount(
        adjustment.discount, adjustment.amount, currency, f"{pointer}/discount"
    )
    net = adjustment.amount - (discount.amount if discount else 0)
    return e.OrderAdjustmentAdded(
        timestamp=created.timestamp,
        order_id=created.order_id,
        kind=adjustment.kind,
        label=adjustment.label,
        amount=Money.of(adjustment.amount, currency),
        rate=adjustment.rate,
        adjustment_id=uuid7(),
        discount=discount,
        taxes=given_taxes(adjustment.taxes, net, currency, f"{pointer}/taxes"),
    )


class _RunningTotal:
    """Adds up the total of a new order; refuses the part that makes the total impossible."""

    def __init__(self, items: Sequence[e.OrderItemAdded]) -> None:
        self._total = self._taxes = Decimal(0)
        for number, item in enumerate(items):
            self._total += item.line_total.amount
            refuse_too_large(self._total, f"#/items/{number}/unit_price")
        self._total -= sum(_amounts(item.discount for item in items), Decimal(0))

    def add(self, added: e.OrderAdjustmentAdded, pointer: str) -> None:
        amount = added.amount.amount - sum(_amounts([added.discount]), Decimal(0))
        self._total += -amount if added.kind == "discount" else amount
        if added.kind == "tax":
            self._taxes += amount
        # A discount isn't on the taxes.
        if self._total < self._taxes:
            raise errors.InvalidAmountError(
                "The order would cost less than nothing.", pointer=pointer
            )
        refuse_too_large(self._total, pointer)


def _amounts(discounts: Iterable[Money | None]) -> Iterator[Decimal]:
    return (discount.amount for discount in discounts if discount)
