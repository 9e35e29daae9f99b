"""The template context of the page of one order: badges, lines, shipments, payments."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince

from config.accounts.models import User
from config.http.admin import list_url, page_url
from ordering_read import permissions
from ordering_read.admin import order_money, order_rows
from ordering_read.admin.codes import country_name
from ordering_read.admin.commands import Button, Groups
from ordering_read.documents import AddressView, ExchangeView, ReturnedUnitsView, UnitsView
from ordering_read.models import CustomerSummary, OrderLine, OrderSummary
from ordering_read.permissions import MASK
from ordering_read.queries.orders import OrderDetail, order_detail
from ordering_write.published import OrderStatus
from ordering_write.published import events as e

# States whose badge has the tone "good", or "bad" if they need attention; others are "neutral".
_GOOD = {
    OrderStatus.DELIVERED,
    OrderStatus.COMPLETED,
    e.PaymentStatus.PAID,
    e.FulfilmentStatus.FULFILLED,
    "delivered",
    "settled",
    "captured",
    "received",
}
_BAD = {
    OrderStatus.CANCELLED,
    e.PaymentStatus.UNPAID,
    e.PaymentStatus.CREDIT_OWED,
    e.FulfilmentStatus.ON_HOLD,
    e.ReturnStatus.REQUESTED,
    "failed",
    "requested",
    "chargeback",
    "bounced",
}


class Badge(NamedTuple):
    """A state, shown as a word on a coloured background."""

    label: str
    text: str
    tone: str


class CommandSection(NamedTuple):
    """A group of commands: those that the order accepts now, and for each reason the others."""

    label: str
    accepted: Sequence[Button]
    refused: Sequence[tuple[str, Sequence[str]]]


def command_sections(groups: Groups) -> list[CommandSection]:
    """Return the groups of commands; the labels of those that are refused stand by the reason."""
    sections = []
    for label, buttons in groups:
        refused: dict[str, list[str]] = {}
        for button in buttons:
            if button.refusal:
                refused.setdefault(button.refusal, []).append(button.label)
        accepted = [button for button in buttons if not button.refusal]
        sections.append(CommandSection(label, accepted, list(refused.items())))
    return sections


def template_context(
    row: OrderSummary, lines: Iterable[OrderLine], *, with_personal: bool
) -> dict[str, Any]:
    """Return the context of the template.

    Without ``with_personal``, notes have no texts, and order and lines no metadata.
    """
    order = order_detail(row, lines)
    products = {line.line_id: line.name for line in order.items}
    return {
        "order": order,
        "replacements": _replacements(order),
        "transfers": _transfers(order),
        "hold_reason": order.hold and _words(order.hold.reason),
        "balance": order_money.balance_text(order),
        "placed_ago": _ago(order.created_at),
        "changed_ago": _ago(order.updated_at),
        "badges": [
            *status_badges(order),
            *([badge("Returns", order.return_status)] if order.returns else ()),
        ],
        "metadata": order.metadata if with_personal else {},
        "ledger_rows": order_rows.ledger_rows(order.items, with_personal=with_personal),
        "money_rows": order_rows.money_rows(order.items),
        "sums": order_money.sums_of(order),
        "included_taxes": order_money.included_taxes(order),
        "payment_sums": order_money.payment_sums(order),
        "shipments": [
            {
                "shipment": shipment,
                "badge": badge("Shipment", shipment.status),
                "units": _units(shipment.items, products),
                "failure": shipment.failure and _words(shipment.failure),
                "ended_at": shipment.delivered_at or shipment.failed_at or shipment.voided_at,
            }
            for shipment in order.shipments
        ],
        "payments": [(payment, badge("Payment", payment.kind)) for payment in order.payments],
        "refunds": [
            {
                "refund": refund,
                "badge": badge("Refund", refund.status),
                "units": _units(refund.lines, products),
                "ended_at": refund.bounced_at or refund.settled_at or refund.failed_at,
            }
            for refund in order.refunds
        ],
        "returns": [
            {
                "return": order_return,
                "badge": badge("Return", order_return.status),
                "items": [_returned(item, products) for item in order_return.items],
                "exchange": order_return.exchange and _exchange(order_return.exchange),
            }
            for order_return in order.returns
        ],
        "notes": [(note, note.text if with_personal else MASK) for note in order.notes],
    }


def _ago(moment: datetime) -> str:
    is_recent = timezone.now() - moment < timedelta(minutes=1)
    return "just now" if is_recent else f"{timesince(moment)} ago"


def about(order: OrderDetail, user: User) -> dict[str, Any]:
    """Return who ordered, and where the order goes, as far as ``user`` may see it."""
    sees_customers = user.has_perm(permissions.VIEW_CUSTOMERS)
    address = order.shipping_address
    sees_addresses = permissions.may_view_addresses(user)
    return {
        "customer_url": page_url(CustomerSummary, order.customer_id) if sees_customers else "",
        "customer_orders_url": list_url(OrderSummary, f"?customer_id={order.customer_id}"),
        "shipping": _address(address) if address and sees_addresses else (),
        "billing": _address(order.billing_address) if sees_addresses else (),
        "destination": _town(address) if address else "no shipping",
    }


def _town(address: AddressView) -> str:
    return f"{address.city}, {country_name(address.country)}"


def _address(address: AddressView | None) -> Sequence[str]:
    """Return the lines of an address."""
    if address is None:
        return ()
    town = " ".join(part for part in (address.postal_code, address.city) if part)
    lines = (
        address.name,
        address.line1,
        address.line2,
        town,
        address.region,
        country_name(address.country),
        address.phone,
    )
    return [line for line in lines if line]


def status_badges(order: OrderSummary | OrderDetail) -> list[Badge]:
    """Return the badges of an order that the list shows too."""
    return [
        *(Badge("Needs attention", _words(reason), "bad") for reason in order.attention),
        badge("Status", order.status),
        badge("Payment", order.payment_status),
        badge("Fulfilment", order.fulfilment_status),
    ]


@lru_cache(maxsize=1_000)
def badge_html(badge: Badge) -> SafeString:
    """Return a badge of a list, where it has a title. A page shows few different badges."""
    html = '<span class="badge badge-{}" title="{}">{}</span>'
    return format_html(html, badge.tone, badge.label, badge.text)


def badge(label: str, value: str) -> Badge:
    """Return the badge of a state."""
    tone = "good" if value in _GOOD else "bad" if value in _BAD else "neutral"
    return Badge(label, _words(value), tone)


def _replacements(order: OrderDetail) -> list[dict[str, str]]:
    """Return the orders in place of which this order was placed, or that replace this order."""
    labels = [
        (
            "In place of this order" if replacement.return_id is None else "In exchange",
            replacement.order_id,
            replacement.order_number,
        )
        for replacement in order.replaced_by
    ]
    if order.replaces_order_id is not None:
        number = order.replaces_order_number or "another order"
        labels.insert(0, ("In place of", order.replaces_order_id, number))
    return [
        {"label": label, "url": page_url(OrderSummary, order_id), "number": number}
        for label, order_id, number in labels
    ]


def _transfers(order: OrderDetail) -> list[dict[str, Any]]:
    """Return the credit that was transferred to other orders or from them."""
    return [
        {
            "amount": transfer.amount,
            "label": "to order" if transfer.direction == "out" else "from order",
            "url": page_url(OrderSummary, transfer.other_order_id),
            "number": transfer.other_order_number,
            "at": transfer.at,
        }
        for transfer in order.transfers
    ]


def _exchange(exchange: ExchangeView) -> str:
    lines = ", ".join(f"{line.quantity} × {line.name}" for line in exchange.items)
    status = f"{exchange.status} {exchange.order_number or exchange.failure or ''}".strip()
    return f"In exchange for {lines}: {status}"


def _units(items: Iterable[UnitsView], products: Mapping[UUID, str]) -> str:
    return ", ".join(f"{item.quantity} × {products[item.line_id]}" for item in items)


def _returned(item: ReturnedUnitsView, products: Mapping[UUID, str]) -> str:
    counts = {"restocked": item.restocked, "damaged": item.damaged, "rejected": item.rejected}
    results = ", ".join(f"{units} {result}" for result, units in counts.items() if units)
    text = f"{item.quantity} × {products[item.line_id]}, {_words(item.reason)}"
    return f"{text}: {results}" if results else text


def _words(value: str) -> str:
    return value.replace("_", " ")
