"""Order numbers: how they are written, and how people spell them."""

import re

from config.fields.spelling import plain

_DIGITS = 6
_SPELLING = re.compile(r"(?:order[\s.:#-]*)?#?\s*([0-9]{4})-([0-9]{1,18})", re.IGNORECASE)


def order_number(year: int, number: int) -> str:
    """Return the number of an order: the store's year and a running number, ``2026-001221``."""
    return f"{year}-{number:0{_DIGITS}d}"


def spelled_order_number(text: str) -> str:
    """Return the order number that ``text`` spells, or else ``text`` in plain characters.

    ``2026-1221``, ``2026–001221`` and ``Order 2026-001221`` all spell ``2026-001221``.
    """
    text = plain(text)
    spelling = _SPELLING.fullmatch(text)
    if spelling is None or len(spelling[2]) > _DIGITS:
        return text
    return order_number(int(spelling[1]), int(spelling[2]))
