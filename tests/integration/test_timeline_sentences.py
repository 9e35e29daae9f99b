"""The sentences of the order history, for staff and for the customer."""

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from ordering_read.models.order_timeline import TimelineEntry
from ordering_write.domain import events as e
from ordering_write.domain.commands import LineQuantity, ReceivedLine, ReturnedLine
from ordering_write.domain.prices import Tax
from ordering_write.models import Order
from tests.kit_money import adjustment
from tests.kit_projections import NOON, History, new_generation, order_placed, project, rows_of

pytestmark = pytest.mark.usefixtures("db")

LATER = NOON + timedelta(hours=1)
ACTOR = "user 00000000-0000-0000-0000-000000000001"


def sentences_of(order: Order) -> list[tuple[str, str]]:
    """The sentences of all events of the order, for staff and for the customer, in order.

    They are the same in batches of any size, although some need the names of earlier lines.
    """
    history = History()
    history.add(order)
    rows = history.rows(TimelineEntry)
    one_by_one = new_generation("order_timeline")
    for event in history.events:
        project([event], one_by_one)
    assert rows_of(TimelineEntry, one_by_one) == rows
    rows = sorted(rows, key=lambda row: row["version"])
    return [(row["sentence"].removeprefix(f"{ACTOR} "), row["customer_sentence"]) for row in rows]


def units(order: Order, quantity: int = 1, line: int = 0) -> list[LineQuantity]:
    return [LineQuantity(line_id=[*order.lines][line], quantity=quantity)]


def ship(order: Order) -> Any:
    """Ship everything; returns the id of the shipment."""
    shipment_id = uuid4()
    order.confirm(now=NOON)
    order.ship_everything(shipment_id=shipment_id, now=NOON)
    return shipment_id


def test_sentences_of_edits_and_holds() -> None:
    order = order_placed(quantity=3)
    [line] = order.lines
    order.change_quantity(line, 5, now=LATER)
    order.cancel_items(units(order, 2), "One is enough", now=LATER)
    order.change_shipping_address(
        e.PostalAddress(name="Robin Sample", line1="2 New Road", city="Sampleton", country="ES"),
        before=e.PostalAddress(name="Robin Sample", line1="1 Old", city="Sampleton", country="ES"),
        now=LATER,
    )
    order.hold(e.HoldReason.FRAUD_REVIEW, note="Two cards", now=LATER)
    order.release_hold(now=LATER)
    order.tag("gift", now=LATER)
    order.untag("gift", now=LATER)
    order.assign("casey", now=LATER)
    order.assign("", now=LATER)

    assert sentences_of(order)[2:] == [
        ("changed Sample 1 from 3 to 5 units", "Sample 1 changed from 3 to 5 units"),
        ("cancelled 2 × Sample 1: One is enough", "2 × Sample 1 cancelled"),
        ("changed the shipping address", "Shipping address changed"),
        ("put the order on hold for fraud review: Two cards", ""),
        ("released the hold", ""),
        ("added the tag gift", ""),
        ("removed the tag gift", ""),
        ("assigned the order to casey", ""),
        ("assigned the order to nobody", ""),
    ]


def test_sentences_of_changed_prices() -> None:
    order = order_placed(quantity=3, unit_price="10.00")
    [line_id] = order.lines
    order.adjust(adjustment(order, "discount", Decimal("2.00"), line_id=line_id))
    order.adjust(adjustment(order, "fee", Decimal("1.00")))
    order.remove_adjustment(next(iter(order.adjustments_by_id)), now=LATER)
    order.change_price(line_id, Decimal("9.00"), "As agreed", now=LATER)

    assert sentences_of(order)[2:] == [
        (
            "took 2.00 EUR off: Later discount, on Sample 1: Agreed",
            "Later discount, on Sample 1: -2.00 EUR",
        ),
        ("added 1.00 EUR: Later fee: Agreed", "Later fee: 1.00 EUR"),
        ("removed Later discount of 2.00 EUR", "Later discount of 2.00 EUR removed"),
        (
            "changed the price of Sample 1 from 10.00 EUR to 9.00 EUR: As agreed",
            "Price of Sample 1 changed from 10.00 EUR to 9.00 EUR",
        ),
    ]


def test_sentences_of_discounts_and_of_taxes_by_address() -> None:
    order = order_placed(quantity=1, unit_price="10.00")
    fields = {"discount": order.money(Decimal("2.00"))}
    order.adjust(adjustment(order, "fee", Decimal("3.00")).model_copy(update=fields))
    added: Any = order_placed(quantity=2, unit_price="5.00").pending_events[1]
    new = dict.fromkeys(e.OrderEvent.model_fields) | {"order_id": order.id}
    line = {"timestamp": LATER, "line_id": uuid4(), **fields}
    order.add_item(added.model_copy(update=new | line))
    before = e.PostalAddress(name="Robin Sample", line1="1 Old", city="Sampleton", country="ES")
    tax = Tax(label="IVA 23 %", rate=Decimal(23))
    order.change_shipping_address(
        before.model_copy(update={"country": "PT"}),
        before=before,
        ask_taxes=lambda parts: {part.part_id: [tax] for part in parts},
        now=LATER,
    )

    assert sentences_of(order)[2:] == [
        ("added 3.00 EUR less 2.00 EUR: Later fee: Agreed", "Later fee: 3.00 EUR less 2.00 EUR"),
        (
            "added 2 × Sample 1 at 5.00 EUR less 2.00 EUR",
            "2 × Sample 1 at 5.00 EUR less 2.00 EUR",
        ),
        (
            "changed the shipping address and with it the taxes",
            "Shipping address changed and with it the taxes",
        ),
    ]


def test_sentences_of_parcels_list_their_units() -> None:
    order = order_placed(lines=2, quantity=2)
    order.confirm(now=NOON)
    voided, sent, lost = uuid4(), uuid4(), uuid4()
    order.pack(units(order, 2), shipment_id=voided, now=LATER)
    order.void_shipment(voided, now=LATER)
    both = units(order, 2) + units(order, 1, line=1)
    order.pack(both, shipment_id=sent, now=LATER)
    order.dispatch_shipment(sent, carrier="Fast Post", tracking_number="1Z9", now=LATER)
    order.update_tracking(sent, tracking_number="1Z8", now=LATER)
    order.deliver(sent, at=LATER)
    rest = units(order, 1, line=1)
    for shipment_id, is_resent in ((uuid4(), True), (lost, False)):
        order.pack(rest, shipment_id=shipment_id, now=LATER)
        order.dispatch_shipment(shipment_id, now=LATER)
        order.fail_delivery(shipment_id, e.DeliveryFailure.LOST, resend=is_resent, at=LATER)

    content = "2 × Sample 1 and 1 × Sample 2"
    tracking = " with Fast Post, tracking number 1Z9"
    assert sentences_of(order)[4:] == [
        ("packed 2 × Sample 1", "2 × Sample 1 packed"),
        ("unpacked 2 × Sample 1", "2 × Sample 1 unpacked"),
        (f"packed {content}", f"{content} packed"),
        (f"shipped {content}{tracking}", f"{content} shipped{tracking}"),
        (
            "said how a parcel travels, tracking number 1Z8",
            "A parcel travels, tracking number 1Z8",
        ),
        (f"recorded that {content} arrived", f"{content} arrived"),
        ("packed 1 × Sample 2", "1 × Sample 2 packed"),
        ("shipped 1 × Sample 2", "1 × Sample 2 shipped"),
        (
            "recorded that 1 × Sample 2 got lost and will be sent again",
            "1 × Sample 2 got lost and will be sent again",
        ),
        ("packed 1 × Sample 2", "1 × Sample 2 packed"),
        ("shipped 1 × Sample 2", "1 × Sample 2 shipped"),
        ("recorded that 1 × Sample 2 got lost", "1 × Sample 2 got lost"),
    ]


def test_a_sentence_about_many_lines_gives_their_number() -> None:
    order = order_placed(lines=5, quantity=2)
    ship(order)

    assert sentences_of(order)[-1][1] == "10 units of 5 lines shipped"


def test_sentences_of_payments_refunds_and_returns() -> None:
    order = order_placed(quantity=2, unit_price="10.00")
    for kind, amount in (("authorized", "20"), ("captured", "20"), ("failed", "1")):
        order.record_payment(
            f"pay-{kind}",
            e.PaymentKind(kind),
            Decimal(amount),
            method="card",
            at=LATER,
        )
    order.deliver(ship(order), at=LATER)
    received, rejected, refund = uuid4(), uuid4(), uuid4()
    [line] = order.lines
    returned = [ReturnedLine(line_id=line, quantity=1, reason=e.ReturnReason.WRONG_ITEM)]
    order.request_return(returned, return_id=received, now=LATER)
    order.receive_return(received, [ReceivedLine(line_id=line, damaged=1)], now=LATER)
    order.request_refund(Decimal(10), "Came back", refund_id=refund, now=LATER)
    order.settle_refund(refund, at=LATER)
    order.settle_refund(refund, reference="re-1", at=LATER)
    order.fail_refund(refund, reason="account closed", reference="re-1", at=LATER)
    for kind in (e.PaymentKind.CHARGEBACK, e.PaymentKind.CHARGEBACK_REVERSED):
        order.record_payment("pay-captured", kind, Decimal(20), at=LATER)
    order.request_return(returned, return_id=rejected, now=LATER)
    order.reject_return(rejected, "Too late", now=LATER)

    sentences = sentences_of(order)
    assert sentences[2:5] == [
        ("recorded an authorization of 20.00 EUR by card", "Payment of 20.00 EUR authorized"),
        ("recorded a payment of 20.00 EUR by card", "Payment of 20.00 EUR received"),
        ("recorded a failed payment of 1.00 EUR by card", "Payment of 1.00 EUR failed"),
    ]
    assert sentences[-10:] == [
        ("asked to return 1 × Sample 1: wrong item", "Return of 1 × Sample 1 asked for"),
        ("took back 1 × Sample 1, 1 of them damaged", "1 × Sample 1 came back"),
        ("asked for a refund of 10.00 EUR: Came back", "Refund of 10.00 EUR asked for"),
        ("recorded a refund of 10.00 EUR", "10.00 EUR refunded"),
        ("recorded the reference re-1 of a refund", ""),
        (
            "recorded that a refund of 10.00 EUR bounced: account closed",
            "Refund of 10.00 EUR came back to us",
        ),
        ("recorded a chargeback of 20.00 EUR", "Payment of 20.00 EUR taken back by your bank"),
        ("recorded a reversed chargeback of 20.00 EUR", "Payment of 20.00 EUR received again"),
        ("asked to return 1 × Sample 1: wrong item", "Return of 1 × Sample 1 asked for"),
        ("rejected the return of 1 × Sample 1: Too late", "Return of 1 × Sample 1 rejected"),
    ]


# --- Erasure -----------------------------------------------------------------------------------
@pytest.fixture
def order_with_notes() -> Order:
    order = order_placed()
    order.add_note("Rings twice", note_id=uuid4(), now=LATER)
    order.add_note("See you soon", note_id=uuid4(), visibility=e.Visibility.CUSTOMER, now=LATER)
    return order


def test_a_redacted_note_reads_as_erased(order_with_notes: Order) -> None:
    order_with_notes.redact_note(note_id_of(order_with_notes, 1), now=LATER)

    assert sentences_of(order_with_notes)[2:] == [
        ("noted: Rings twice", ""),
        ("noted: [erased]", "Note: [erased]"),
        ("erased what a note says", ""),
    ]


def test_no_sentence_names_an_erased_customer(order_with_notes: Order) -> None:
    order_with_notes.anonymize(now=LATER)
    order_with_notes.add_note("Written later", note_id=uuid4(), now=LATER)

    assert sentences_of(order_with_notes) == [
        ("placed the order for [erased]", "Order placed"),
        ("added 2 × Sample 1 at 9.95 EUR", "2 × Sample 1 at 9.95 EUR"),
        ("noted: [erased]", ""),
        ("noted: [erased]", "Note: [erased]"),
        ("erased who the customer was", ""),
        ("noted: Written later", ""),
    ]


@pytest.mark.parametrize("cut", range(1, 6))
def test_the_size_of_batches_makes_no_difference_to_erasure(
    order_with_notes: Order, cut: int
) -> None:
    history = History()
    order_with_notes.redact_note(note_id_of(order_with_notes, 0), now=LATER)
    order_with_notes.anonymize(now=LATER)
    history.add(order_with_notes)
    generation = new_generation("order_timeline")

    project(history.events[:cut], generation)
    project(history.events[cut:], generation)

    assert rows_of(TimelineEntry, generation) == history.rows(TimelineEntry)


def note_id_of(order: Order, number: int) -> Any:
    """The id of a note of ``order``, by its index."""
    notes = [event for event in order.raised_events if isinstance(event, e.NoteAdded)]
    return notes[number].note_id
