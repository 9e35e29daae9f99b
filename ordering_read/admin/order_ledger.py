"""The ledger of a line: in which states its units are."""

from typing import NamedTuple

from ordering_read.queries.order_lines import OrderLineView


class Segment(NamedTuple):
    """A part of a line's bar: units in the same state, after ``start`` units in other states."""

    state: str
    units: int
    start: int


def segments(line: OrderLineView) -> list[Segment]:
    """Return the units of a line by state, the latest state first, without empty states."""
    states = {
        "returned": line.returned,
        "awaiting return": line.return_requested,
        "delivered": line.delivered - line.returned - line.return_requested,
        "failed": line.failed,
        "in transit": line.shipped - line.delivered - line.failed,
        "packed": line.packed,
        "open": line.open,
        "cancelled": line.cancelled,
    }
    start, result = 0, []
    for state, units in states.items():
        if units:
            result.append(Segment(state, units, start))
            start += units
    return result
