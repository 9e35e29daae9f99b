"""The rows of an order's page with one line each, written as HTML without templates.

An order of 200 lines has 400 of these rows. A template takes five times as long.
"""

from collections.abc import Iterable
from html import escape
from typing import Any

from django.utils.formats import date_format
from django.utils.safestring import SafeString
from django.utils.timezone import localtime

from ordering_read.admin import order_money
from ordering_read.admin.order_ledger import Segment, segments
from ordering_read.queries.order_lines import OrderLineView


def ledger_rows(lines: Iterable[OrderLineView], *, with_personal: bool) -> SafeString:
    """Return the rows that say where the units of each line are.

    Without ``with_personal``, the rows have no metadata.
    """
    return _joined(_ledger_row(line, with_personal=with_personal) for line in lines)


def money_rows(lines: Iterable[OrderLineView]) -> SafeString:
    """Return the rows with the price of each line."""
    return _joined(map(_money_row, lines))


def _joined(rows: Iterable[str]) -> SafeString:
    # Each row has escaped what people typed.
    return SafeString("".join(rows))


def _ledger_row(line: OrderLineView, *, with_personal: bool) -> str:
    parts = segments(line)
    metadata = line.metadata if with_personal else {}
    pairs = "".join(
        f'<div class="quiet"><bdi>{escape(f"{key} = {value}")}</bdi></div>'
        for key, value in metadata.items()
    )
    units = ", ".join(f"{part.units} {part.state}" for part in parts)
    return (
        f'<tr><th scope="row">{_name(line)} <span class="quiet"><bdi>{escape(line.sku)}</bdi>'
        f'</span>{pairs}</th><td class="number">{line.quantity}</td><td class="ledger-cell">'
        f'<svg class="ledger" viewBox="0 0 {line.quantity} 1" preserveAspectRatio="none"'
        f' aria-hidden="true" focusable="false">{"".join(map(_bar, parts))}</svg> {units}'
        f"{_backorder(line)}</td></tr>"
    )


def _name(line: OrderLineView) -> str:
    name = escape(line.name)
    return f'<bdi class="clipped" title="{name}">{name}</bdi>'


def _bar(part: Segment) -> str:
    name = part.state.replace(" ", "-")
    return f'<rect class="{name}" x="{part.start}" width="{part.units}" height="1"></rect>'


def _backorder(line: OrderLineView) -> str:
    if not line.backordered:
        return ""
    expected = line.expected_at and f", expected {date_format(localtime(line.expected_at))}"
    return f'<div class="quiet">{line.backordered} not in stock{expected or ""}</div>'


def _money_row(line: OrderLineView) -> str:
    return (
        f'<tr><th scope="row">{_name(line)}{"".join(map(_remark, _remarks(line)))}</th>'
        f'<td class="number">{order_money.owed_units(line)} × {line.unit_price:,}</td>'
        f'<td class="number">{line.list_value:,}</td></tr>'
    )


def _remark(text: str) -> str:
    return f'<div class="quiet"><bdi>{escape(text)}</bdi></div>'


def _remarks(line: OrderLineView) -> Iterable[str]:
    """Yield the notes on the price of a line."""
    parts: Iterable[tuple[Any, str]] = (
        (line.price_reason, f"{line.price_reason}"),
        (line.discount, f"{line.discount:,} of the discount below"),
        (line.surcharge, f"{line.surcharge:,} of the charges below"),
        *((True, f"{order_money.tax_text(tax)}: {tax.amount:,}") for tax in line.taxes),
    )
    return (text for value, text in parts if value)
