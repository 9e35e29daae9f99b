"""A wave: the orders that a person packs together, with the units counted so far.

The form of the packing page holds the whole wave, so that each scan is one round trip.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from config.fields.text import identity
from ordering_read.queries.packing import PackingLineView, PackingOrderView
from ordering_write import client
from ordering_write.client import commands as c

# The most lines of a wave, so that its form stays below the limits of a request.
MOST_LINES = 400


@dataclass
class OpenOrder:
    """An order of a wave.

    ``counts`` holds the typed number of units by the id of a line; ``problem`` says what is wrong.
    """

    order: PackingOrderView
    counts: dict[str, str] = field(default_factory=dict)
    tracking_number: str = ""
    problem: str = ""

    @property
    def rows(self) -> Iterator[tuple[PackingLineView, str]]:
        """Each line that can be packed, with the typed number of units."""
        for line in self.order.lines_to_pack:
            yield line, self.counts.get(str(line.line_id), "0")

    def count(self, line: PackingLineView) -> int:
        """Return the units of a line that are counted; 0 for a text that isn't a number."""
        text = self.counts.get(str(line.line_id), "").strip()
        return int(text) if text.isdecimal() and len(text) < 6 else 0

    def fill(self, *, is_full: bool = True) -> None:
        """Count every unit that is there, or none."""
        for line in self.order.lines_to_pack:
            self.counts[str(line.line_id)] = str(line.in_stock if is_full else 0)

    def count_up(self, line: PackingLineView) -> None:
        self.counts[str(line.line_id)] = str(self.count(line) + 1)

    @property
    def units(self) -> list[dict[str, Any]]:
        """The counted units by line, as a command takes them."""
        return [
            {"line_id": str(line.line_id), "quantity": quantity}
            for line in self.order.lines_to_pack
            if (quantity := self.count(line))
        ]

    def check(self, carrier: str) -> None:
        """Set ``problem`` if the counted units can't be packed, or the texts can't be sent."""
        self.problem = ""
        for line, text in self.rows:
            if text.strip() and not (text.strip().isdecimal() and len(text.strip()) < 6):
                self.problem = f"{line.sku}: “{text}” is not a number of units."
            elif self.count(line) > line.in_stock:
                self.problem = f"{line.sku}: only {line.in_stock} can be packed."
        if self.tracking_number and not self.units:
            self.problem = self.problem or "A tracking number, but no unit is counted."
        self.problem = self.problem or text_problem(carrier, self.tracking_number)


@dataclass
class Wave:
    """The orders of a wave, the scanned one last, and the carrier of all their parcels."""

    orders: list[OpenOrder]
    carrier: str = ""

    @classmethod
    def of_form(cls, orders: Sequence[PackingOrderView], fields: Mapping[str, str]) -> "Wave":
        """Return the wave that a sent form holds; ``orders`` as they are now."""
        wave = cls([], fields.get("carrier", "").strip())
        for order in orders:
            counts = {
                str(line.line_id): fields.get(f"units-{line.line_id}", "0") for line in order.lines
            }
            tracking_number = fields.get(f"tracking-{order.order_id}", "").strip()
            wave.orders.append(OpenOrder(order, counts, tracking_number))
        return wave

    @property
    def numbers(self) -> list[str]:
        """The numbers of the orders."""
        return [opened.order.order_number for opened in self.orders]

    @property
    def line_count(self) -> int:
        return sum(len(opened.order.lines_to_pack) for opened in self.orders)

    def find(self, number: str) -> OpenOrder | None:
        """Return the order with this number, if it is in the wave."""
        orders = (opened for opened in self.orders if opened.order.order_number == number)
        return next(orders, None)

    def lines_of(self, code: str) -> list[tuple[OpenOrder, PackingLineView]]:
        """Return the lines with the SKU ``code``, those of the order scanned last first."""
        return [
            (opened, line)
            for opened in reversed(self.orders)
            for line in opened.order.lines_to_pack
            if identity(line.sku) == identity(code)
        ]

    def put_last(self, opened: OpenOrder) -> None:
        """Let the next scan concern ``opened`` first."""
        self.orders.remove(opened)
        self.orders.append(opened)

    def check(self) -> bool:
        """Set the problem of each order, and return True if there is none."""
        for opened in self.orders:
            opened.check(self.carrier)
        return not any(opened.problem for opened in self.orders)

    def drafts(self, *, is_dispatched: bool) -> list[client.bulk.ItemDraft]:
        """Return the commands that pack the counted units, and dispatch the parcels if wanted."""
        return [
            client.bulk.ItemDraft(
                opened.order.order_id,
                opened.order.order_number,
                list(self._steps(opened, is_dispatched=is_dispatched)),
            )
            for opened in reversed(self.orders)
            if opened.units
        ]

    def _steps(self, opened: OpenOrder, *, is_dispatched: bool) -> Iterator[client.bulk.Step]:
        yield c.CreateShipment, {"items": opened.units, "carrier": self.carrier}
        tracking = {"carrier": self.carrier, "tracking_number": opened.tracking_number}
        if is_dispatched:
            yield c.DispatchShipment, tracking
        elif opened.tracking_number:
            yield c.UpdateTracking, tracking


def text_problem(carrier: str, tracking_number: str) -> str:
    """Return why a parcel can't have this carrier or tracking number; "" if it can."""
    try:
        c.UpdateTracking(
            order_id=c.NOBODY,
            shipment_id=c.NOBODY,
            carrier=carrier,
            tracking_number=tracking_number,
        )
    except ValidationError as error:
        first = error.errors()[0]
        label = "Carrier" if first["loc"] == ("carrier",) else "Tracking number"
        return f"{label}: {first['msg']}."
    return ""
