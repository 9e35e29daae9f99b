"""Orders in the addresses and fields of warehouse pages: by numbers, as people spell them."""

from collections.abc import Iterable, Sequence
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.timezone import localdate

from ordering_read.admin.gaps import incomplete_named
from ordering_read.engine.gaps import Streams, row_gaps
from ordering_read.queries.packing import PackingOrderView
from ordering_write.published import spelled_order_number

# The most orders of a page.
MOST_ORDERS = 50
# A shorter number of digits is an order number of this year without its year.
_MOST_DIGITS = 6


def numbers_in(text: str, *, most: int = MOST_ORDERS) -> tuple[str, ...]:
    """Return the order numbers that ``text`` lists, separated by commas, at most ``most``."""
    spelled = (order_number(part) for part in text.split(",") if part.strip())
    return tuple(dict.fromkeys(spelled))[:most]


def order_number(text: str) -> str:
    """Return the order number that ``text`` spells, also without its year if it is this year."""
    text = text.strip()
    if text.isdecimal() and len(text) <= _MOST_DIGITS:
        text = f"{localdate().year}-{text}"
    return spelled_order_number(text)


def page_of(name: str, numbers: Iterable[str]) -> str:
    """Return the address of the screen ``name`` about the orders with these ``numbers``."""
    return f"{reverse(name)}?{urlencode({'orders': ','.join(numbers)}, safe=',')}"


def gaps_of(orders: Sequence[PackingOrderView]) -> list[str]:
    """Return a sentence for each of ``orders`` whose rows lack events."""
    projections = incomplete_named(["fulfilment_queue", "order_view", "inventory_level"])
    gaps = row_gaps(projections, [_streams(order) for order in orders])
    return [
        f"{order.order_number}: {gap.detail}"
        for order, gap in zip(orders, gaps, strict=True)
        if gap
    ]


def _streams(order: PackingOrderView) -> Streams:
    of_order = [f"order-{order.order_id}"]
    return {
        "fulfilment_queue": of_order,
        "order_view": of_order,
        "inventory_level": [f"stock-{line.product_id}" for line in order.lines],
    }
