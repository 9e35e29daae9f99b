"""The shares of an adjustment that is added when some units of the order aren't owed any more.

The adjustment is for the owed units: their price changes by exactly its amount. Prices are those of
all ordered units, so a share is larger there, in proportion.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from ordering_write.domain.pricing import allocate, count, owed_part
from ordering_write.domain.values import MINOR_UNITS


@dataclass(frozen=True, slots=True)
class PartlyOwed:
    """The price ``net`` of all ``ordered`` units of a line, of which ``credited`` aren't owed.

    A charge is one unit.
    """

    net: Decimal
    ordered: int = 1
    credited: int = 0

    def owed_net(self, currency: str) -> Decimal:
        """Return the price of the owed units."""
        unit = MINOR_UNITS[currency]
        return self.owed(unit) * unit

    def owed(self, unit: Decimal, *, change: int = 0) -> int:
        """Return the price of the owed units, in minor units of the currency.

        ``change`` is added to the price of all ordered units first.
        """
        net = count(self.net, unit) + change
        return owed_part(net, credited=self.credited, ordered=self.ordered)

    def for_ordered(self, amount: int, unit: Decimal, *, sign: int) -> int:
        """Return the least change of the price of all ordered units for a change by ``amount``.

        The price of the owed units then falls (``sign`` is -1) or rises (1) by ``amount``.
        """
        target = amount + sign * self.owed(unit)
        change = amount * self.ordered // (self.ordered - self.credited)

        def is_enough(change: int) -> bool:
            return sign * self.owed(unit, change=sign * change) >= target

        # The price of the owed units is rounded, so the division can be one unit off.
        while not is_enough(change):
            change += 1
        while change and is_enough(change - 1):
            change -= 1
        return change


def discount_shares(
    amount: Decimal,
    lines: Mapping[UUID, PartlyOwed],
    charges: Mapping[UUID, PartlyOwed],
    currency: str,
) -> dict[UUID, Decimal]:
    """Return the shares of ``lines`` and ``charges``, by their ids, in a discount of ``amount``.

    The lines share in proportion to their owed prices; the charges get what exceeds these.
    """
    unit = MINOR_UNITS[currency]
    undivided = count(amount, unit)
    shares: dict[UUID, Decimal] = {}
    for parts in (lines, charges):
        owed = [part.owed(unit) for part in parts.values()]
        divided = min(undivided, sum(owed))
        undivided -= divided
        for (part_id, part), share in zip(parts.items(), allocate(divided, owed), strict=True):
            if share:
                shares[part_id] = part.for_ordered(share, unit, sign=-1) * unit
    return shares


def surcharge_share(amount: Decimal, line: PartlyOwed, currency: str) -> Decimal:
    """Return the share of all ordered units of ``line`` in a charge of ``amount``."""
    unit = MINOR_UNITS[currency]
    return line.for_ordered(count(amount, unit), unit, sign=1) * unit
