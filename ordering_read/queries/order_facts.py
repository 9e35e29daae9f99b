"""An order as facts that people read, and the facts that differ between two of its states."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import groupby
from typing import NamedTuple
from uuid import UUID

from django.utils.timezone import localtime

from ordering_read.documents import AddressView, ReturnedUnitsView, TaxView, UnitsView
from ordering_read.queries.order_lines import OrderLineView
from ordering_read.queries.orders import OrderDetail

# The counters of a line, in the order in which its units pass through them.
_COUNTERS = (
    "open",
    "packed",
    "shipped",
    "delivered",
    "failed",
    "made_good",
    "return_requested",
    "returned",
    "cancelled",
    "backordered",
)


class Topic(NamedTuple):
    """A thing of an order, such as a line or a parcel, with its facts in words.

    ``key`` tells the topics of an order apart, and is the same in all of its versions.
    """

    section: str
    key: str
    label: str
    facts: tuple[str, ...]


class Fact(NamedTuple):
    """A fact of one state; ``differs`` is True if the other state lacks it."""

    text: str
    differs: bool


class ComparedTopic(NamedTuple):
    """A topic in two states; ``change`` is "changed", "new", "gone" or "" for the same facts."""

    label: str
    before: tuple[Fact, ...]
    after: tuple[Fact, ...]
    change: str


class ComparedSection(NamedTuple):
    """The topics below one heading."""

    label: str
    topics: Sequence[ComparedTopic]


def topics_of(order: OrderDetail) -> list[Topic]:
    """Return the topics of ``order`` that have facts, section by section."""
    names = {line.line_id: line.name for line in order.items}
    topics = (
        *_order(order),
        *_lines(order),
        *_money(order),
        *_prices(order),
        *_payments(order),
        *_refunds(order, names),
        *_transfers(order),
        *_parcels(order, names),
        *_returns(order, names),
        *_notes(order),
    )
    return [
        topic._replace(facts=facts)
        for topic in topics
        if (facts := tuple(fact for fact in topic.facts if fact))
    ]


def compare(before: OrderDetail | None, after: OrderDetail) -> list[ComparedSection]:
    """Return all topics of two states side by side; ``before`` is None before the order was placed.

    The topics are in the order of the state after, those that are gone at the end of their section.
    """
    old = {topic.key: topic for topic in topics_of(before)} if before else {}
    new = {topic.key: topic for topic in topics_of(after)}
    order_of = {section: number for number, section in enumerate(_SECTIONS)}
    topics = [*new.values(), *(topic for key, topic in old.items() if key not in new)]
    topics.sort(key=lambda topic: order_of[topic.section])
    return [
        ComparedSection(section, [_compared(topic, old, new) for topic in group])
        for section, group in groupby(topics, key=lambda topic: topic.section)
    ]


def _compared(topic: Topic, old: Mapping[str, Topic], new: Mapping[str, Topic]) -> ComparedTopic:
    # A topic has at least one fact in a state that has the topic.
    before = old[topic.key].facts if topic.key in old else ()
    after = new[topic.key].facts if topic.key in new else ()
    if before == after:
        facts = tuple(Fact(text, False) for text in after)
        return ComparedTopic(topic.label, facts, facts, "")
    change = "new" if not before else "gone" if not after else "changed"
    return ComparedTopic(
        topic.label,
        tuple(Fact(text, text not in after) for text in before),
        tuple(Fact(text, text not in before) for text in after),
        change,
    )


# --- Sections ----------------------------------------------------------------------------------
_GOODS = "Parcels and returns"
_SECTIONS = ("Order", "Lines", "Money", _GOODS, "Notes")


def _order(order: OrderDetail) -> Iterator[Topic]:
    hold = order.hold
    facts: dict[str, Iterable[str]] = {
        "Status": [words(order.status)],
        "Payment": [words(order.payment_status)],
        "Fulfilment": [words(order.fulfilment_status)],
        "Returns": [words(order.return_status)],
        "On hold": [words(hold.reason), hold.note, f"by {hold.placed_by}", _at(hold.placed_at)]
        if hold
        else [],
        "Look at the money": map(words, order.attention),
        "Customer": [order.customer_name],
        "Ships to": _address(order.shipping_address),
        "Billed to": _address(order.billing_address),
        "Assigned to": [order.assigned_to or ""],
        "Tags": order.tags,
        "PO number": [order.po_number],
        "Reference": [order.external_reference],
        "Metadata": _pairs(order.metadata),
        "In place of": [order.replaces_order_number],
        "Replaced by": [item.order_number for item in order.replaced_by],
    }
    for label, texts in facts.items():
        yield Topic("Order", label, label, tuple(texts))


def _lines(order: OrderDetail) -> Iterator[Topic]:
    for line in order.items:
        yield Topic("Lines", str(line.line_id), f"{line.name} ({line.sku})", _line(line, order))


def _line(line: OrderLineView, order: OrderDetail) -> tuple[str, ...]:
    counts = ((name, getattr(line, name)) for name in _COUNTERS)
    return (
        f"{line.quantity} ordered",
        *(f"{count} {words(name)}" for name, count in counts if count),
        f"at {line.unit_price} {order.currency}",
        line.price_reason or "",
        *(_amount(label, value) for label, value in _parts(line)),
        *(" ".join((tax.label, *_tax(tax))) for tax in line.taxes),
        f"total {line.line_total} {order.currency}",
        *_pairs(line.metadata),
    )


def _parts(line: OrderLineView) -> Iterable[tuple[str, Decimal]]:
    return ("discount", -line.discount), ("charge", line.surcharge)


def _money(order: OrderDetail) -> Iterator[Topic]:
    sums = order.sums
    amounts = {
        "Goods": sums.list_value,
        "Discount": -sums.discount,
        "Charges": sums.charges,
        "Tax": sums.tax,
        "Included tax": sums.included_tax,
        "Goodwill": -sums.goodwill,
        "Total": order.total_amount,
        "Authorized": order.authorized,
        "Captured": order.captured,
        "Refunded": order.refunded,
        "Amount due": order.balance,
    }
    always = ("Goods", "Total", "Amount due")
    for label, amount in amounts.items():
        if amount or label in always:
            yield Topic("Money", label, label, (f"{amount} {order.currency}",))


def _prices(order: OrderDetail) -> Iterator[Topic]:
    for number, item in enumerate(order.adjustments):
        facts = (words(item.kind), str(item.amount), f"{item.rate} %" if item.rate else "")
        yield Topic("Money", f"adjustment {item.adjustment_id or number}", item.label, facts)
    for number, tax in enumerate(order.taxes):
        yield Topic("Money", f"tax {number}", tax.label, (*_tax(tax), f"on {tax.base}"))


def _payments(order: OrderDetail) -> Iterator[Topic]:
    for number, payment in enumerate(order.payments, start=1):
        facts = (
            words(payment.kind),
            f"{payment.amount} {order.currency}",
            payment.method,
            payment.payment_id,
            payment.reference,
            payment.reason,
            _at(payment.at),
        )
        yield Topic("Money", f"payment {number}", f"Payment {number}", facts)


def _refunds(order: OrderDetail, names: Mapping[UUID, str]) -> Iterator[Topic]:
    for number, refund in enumerate(order.refunds, start=1):
        facts = (
            words(refund.status),
            f"{refund.amount} {order.currency}",
            refund.reason or "",
            *_units(refund.lines, names),
            refund.reference,
            refund.failure or "",
            _at(refund.requested_at, "requested"),
            _at(refund.settled_at, "settled"),
            _at(refund.failed_at, "failed"),
            _at(refund.bounced_at, "bounced"),
        )
        yield Topic("Money", str(refund.refund_id), f"Refund {number}", facts)


def _transfers(order: OrderDetail) -> Iterator[Topic]:
    for number, transfer in enumerate(order.transfers, start=1):
        way = "to order" if transfer.direction == "out" else "from order"
        text = f"{transfer.amount} {order.currency} {way} {transfer.other_order_number}"
        facts = (text, _at(transfer.at))
        yield Topic("Money", f"transfer {number}", f"Transferred credit {number}", facts)


def _parcels(order: OrderDetail, names: Mapping[UUID, str]) -> Iterator[Topic]:
    for number, parcel in enumerate(order.shipments, start=1):
        facts = (
            words(parcel.status),
            *_units(parcel.items, names),
            parcel.carrier,
            parcel.service,
            parcel.tracking_number,
            _at(parcel.packed_at, "packed"),
            _at(parcel.dispatched_at, "dispatched"),
            _at(parcel.delivered_at, "delivered"),
            _at(parcel.failed_at, words(parcel.failure or "failed")),
            _at(parcel.voided_at, "unpacked"),
        )
        yield Topic(_GOODS, str(parcel.shipment_id), f"Parcel {number}", facts)


def _returns(order: OrderDetail, names: Mapping[UUID, str]) -> Iterator[Topic]:
    for number, item in enumerate(order.returns, start=1):
        exchange = item.exchange
        facts = (
            words(item.status),
            *(_returned(units, names) for units in item.items),
            item.rejection or "",
            f"exchange {words(exchange.status)} {exchange.order_number or ''}" if exchange else "",
            _at(item.requested_at, "requested"),
            _at(item.closed_at, "closed"),
        )
        yield Topic(_GOODS, str(item.return_id), f"Return {number}", facts)


def _notes(order: OrderDetail) -> Iterator[Topic]:
    for number, note in enumerate(order.notes, start=1):
        reader = "for the customer" if note.visibility == "customer" else "internal"
        facts = (note.text, reader, f"by {note.by}", _at(note.at))
        yield Topic("Notes", str(note.note_id), f"Note {number}", facts)


# --- Texts -------------------------------------------------------------------------------------
def words(value: str) -> str:
    """Return a value such as ``partially_paid`` in words."""
    return value.replace("_", " ")


def _at(moment: datetime | None, label: str = "") -> str:
    """Return a moment in the time zone of the store, after its label."""
    if moment is None:
        return ""
    moment = localtime(moment)
    # Django's formatting takes ten times as long, which an order of 2,000 notes would show.
    return f"{label} {moment.day} {moment:%b %Y, %H:%M}".strip()


def _address(address: AddressView | None) -> tuple[str, ...]:
    # A masked address has the same text in most of its fields.
    return tuple(dict.fromkeys(address.model_dump().values())) if address else ()


def _pairs(metadata: Mapping[str, str]) -> list[str]:
    return [f"{key} = {value}" for key, value in metadata.items()]


def _amount(label: str, amount: Decimal) -> str:
    return f"{label} {amount}" if amount else ""


def _tax(tax: TaxView) -> tuple[str, str]:
    return "included" if tax.included else "added", str(tax.amount)


def _units(items: Iterable[UnitsView], names: Mapping[UUID, str]) -> list[str]:
    return [f"{item.quantity} × {names[item.line_id]}" for item in items]


def _returned(item: ReturnedUnitsView, names: Mapping[UUID, str]) -> str:
    counts = {"restocked": item.restocked, "damaged": item.damaged, "rejected": item.rejected}
    results = ", ".join(f"{count} {result}" for result, count in counts.items() if count)
    text = f"{item.quantity} × {names[item.line_id]}, {words(item.reason)}"
    return f"{text}: {results}" if results else text
