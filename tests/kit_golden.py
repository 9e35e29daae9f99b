"""The golden corpus: a stored payload of each event type and schema version ever released.

    .venv/bin/python manage.py shell -c "from tests import kit_golden; kit_golden.add()"

adds what is missing. What is there is never changed: logs hold such events for ever.
"""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

from uuid_utils.compat import uuid7

from ordering_write.domain import commands as c
from ordering_write.domain import events as e
from ordering_write.domain.events import DomainEvent, OrderStatus
from ordering_write.domain.values import Money
from ordering_write.models import Customer, Order, StockItem
from tests.kit import ADDRESS, NOW, placed

FOLDER = Path(__file__).parent / "golden"
# In the format of `sha256sum --check`.
SUMS = FOLDER / "sha256sums"


def path_of(type_name: str, version: int) -> Path:
    return FOLDER / f"{type_name}.{version}.json"


def all_paths() -> list[Path]:
    return sorted(FOLDER.glob("*.json"))


def type_and_version(path: Path) -> tuple[str, int]:
    """Return the event type and the schema version that the name of a golden file holds."""
    type_name, version = path.stem.split(".")
    return type_name, int(version)


def read(path: Path, *, erased: bool = False) -> DomainEvent:
    """Return the event in a golden file, as the present code reads it."""
    payload = json.loads(path.read_text())
    type_name, version = type_and_version(path)
    return DomainEvent.types[type_name].decode(
        schema_version=version,
        timestamp=datetime.fromisoformat(payload["timestamp"]),
        fields=payload["fields"],
        personal=None if erased else payload["personal"],
    )


def stored(event: DomainEvent) -> str:
    """Return the content of a golden file for ``event``."""
    fields, personal = event.encode()
    payload: Mapping[str, Any] = {
        "timestamp": event.timestamp.isoformat(),
        "fields": fields,
        "personal": personal,
    }
    return json.dumps(payload, indent=2, sort_keys=True) + "\n"


def sum_of(path: Path) -> str:
    """The line of a golden file in ``SUMS``."""
    return f"{sha256(path.read_bytes()).hexdigest()}  {path.name}"


def add() -> None:
    """Write the file of each event type's present version that has none, and its sum."""
    first = {event.type: event for event in _one_of_each()}
    for name, event_type in sorted(DomainEvent.types.items()):
        version = event_type.schema_version
        path = path_of(name, version)
        if path.exists():
            continue
        # A later version holds the content of the version before.
        path.write_text(stored(first[name] if version == 1 else read(path_of(name, version - 1))))
        with SUMS.open("a") as sums:
            sums.write(f"{sum_of(path)}\n")
        print(f"added {path.name}")


def _one_of_each() -> list[DomainEvent]:
    """Events of every type, as aggregates raise them, with as many fields as they can have."""
    shipped = _order()
    shipped.tag("gift", now=NOW)
    shipped.add_note("Ring twice", note_id=uuid7(), now=NOW)
    for status in (OrderStatus.CONFIRMED, OrderStatus.SHIPPED, OrderStatus.DELIVERED):
        shipped.move_to(status, reason="Paid", now=NOW, shipment_id=uuid7())
    cancelled = _order()
    cancelled.cancel("Ordered twice", reason_code="customer", now=NOW)
    return [
        *shipped.pending_events,
        *cancelled.pending_events,
        *_edited_events(),
        *_parcel_events(),
        *_handed_over_events(),
        *_money_events(),
        *_replacement_events(),
        *_stock_events(),
        *_customer_events(),
    ]


def _order() -> Order:
    created, *items = placed(2, 1)
    assert isinstance(created, e.OrderCreated)
    details = {
        "billing_address": e.PostalAddress(
            **ADDRESS, line2="Door 2", region="Samples", postal_code="12345", phone="555 0100"
        ),
        "expires_at": NOW + timedelta(days=1),
        "external_reference": "shop-7",
    }
    discount = e.OrderAdjustmentAdded(
        timestamp=NOW,
        order_id=created.order_id,
        kind="discount",
        label="Spring",
        amount=Money.of(Decimal("5.97"), "EUR"),
        rate=Decimal("0.1"),
    )
    return Order.create(
        created=created.model_copy(update=details),
        items=[item for item in items if isinstance(item, e.OrderItemAdded)],
        adjustments=[discount],
    )


def _edited_events() -> list[DomainEvent]:
    order = _order()
    line = next(iter(order.lines))
    order.change_quantity(line, 5, now=NOW)
    order.change_price(line, Decimal("18.90"), "As in the shop", now=NOW)
    order.remove_adjustment(next(iter(order.adjustments_by_id)), now=NOW)
    order.cancel_items([c.LineQuantity(line_id=line, quantity=1)], "Too many", now=NOW)
    before, after = (e.PostalAddress(**ADDRESS, line2=door) for door in ("Door 2", "Door 3"))
    order.change_shipping_address(after, before=before, now=NOW)
    order.hold(e.HoldReason.ADDRESS, note="Ask for the floor", now=NOW)
    order.release_hold(note="Third floor", now=NOW)
    order.tag("gift", now=NOW)
    order.untag("gift", now=NOW)
    order.assign("clerk", now=NOW)
    order.set_metadata({"erp": "4711", "gift": "yes"}, line_id=line, now=NOW)
    order.set_metadata({"erp": "4712", "gift": None}, line_id=line, now=NOW)
    order.set_po_number("PO-4711", now=NOW)
    note_id = uuid7()
    order.add_note("Ring twice", note_id=note_id, visibility=e.Visibility.CUSTOMER, now=NOW)
    order.redact_note(note_id, now=NOW)
    order.anonymize(now=NOW)
    return order.pending_events


def _parcel_events() -> list[DomainEvent]:
    order = _order()
    order.confirm(now=NOW)
    line = next(iter(order.lines))
    one = [c.LineQuantity(line_id=line, quantity=1)]
    voided, lost, kept = uuid7(), uuid7(), uuid7()
    order.pack(one, shipment_id=voided, carrier="Sample Post", service="express", now=NOW)
    order.void_shipment(voided, now=NOW)
    tracking: dict[str, Any] = {
        "tracking_number": "1Z999",
        "tracking_url": "https://carrier.example/1Z999",
    }
    for shipment_id in (lost, kept):
        order.pack(one, shipment_id=shipment_id, now=NOW)
        order.dispatch_shipment(shipment_id, carrier="Sample Post", **tracking, now=NOW)
    order.update_tracking(kept, carrier="Other Post", tracking_number="1Z998", now=NOW)
    order.fail_delivery(lost, e.DeliveryFailure.LOST, at=NOW)
    order.deliver(kept, at=NOW)
    return_id = uuid7()
    back = c.ReturnedLine(line_id=line, quantity=1, reason=e.ReturnReason.DAMAGED)
    order.request_return([back], return_id=return_id, now=NOW)
    order.reject_return(return_id, "Worn", now=NOW)
    order.request_return([back], return_id=return_id, now=NOW)
    received = c.ReceivedLine(line_id=line, restock=0, damaged=1)
    order.receive_return(return_id, [received], now=NOW)
    return order.pending_events


def _handed_over_events() -> list[DomainEvent]:
    created, item = placed(2)
    download = item.model_copy(update={"requires_shipping": False})
    order = Order.create(created=created, items=[download])
    order.confirm(now=NOW)
    order.hand_over([c.LineQuantity(line_id=download.line_id, quantity=2)], now=NOW)
    return order.pending_events


def _money_events() -> list[DomainEvent]:
    order = _order()
    kind, amount = e.PaymentKind.CAPTURED, Decimal("53.73")
    order.record_payment("pay-1", kind, amount, method="card", reference="till 2", at=NOW)
    order.record_payment("pay-2", e.PaymentKind.AUTHORIZED, amount, reference="auth-1", at=NOW)
    order.record_payment("pay-1", e.PaymentKind.CHARGEBACK, amount, reference="cb-1", at=NOW)
    order.resolve_attention("The bank is asked", now=NOW)
    order.request_capture(Decimal("19.90"), capture_id=uuid7(), now=NOW)
    order.record_payment("pay-3", kind, amount, at=NOW)
    line = c.LineQuantity(line_id=next(iter(order.lines)), quantity=1)
    failed, settled = uuid7(), uuid7()
    for refund_id in (failed, settled):
        order.request_refund(
            Decimal("19.90"),
            "Scratched",
            refund_id=refund_id,
            lines=[line],
            return_id=uuid7(),
            now=NOW,
        )
    order.fail_refund(failed, reason="card expired", reference="rf-1", at=NOW)
    order.settle_refund(settled, at=NOW)
    order.settle_refund(settled, reference="rf-2", at=NOW)
    order.fail_refund(settled, reason="account closed", reference="rf-2", at=NOW)
    return order.pending_events


def _replacement_events() -> list[DomainEvent]:
    order, other = _order(), _order()
    line = next(iter(order.lines.values()))
    order.record_payment("pay-2", e.PaymentKind.CAPTURED, order.total, at=NOW)
    order.confirm(now=NOW)
    lost, kept = uuid7(), uuid7()
    for shipment_id in (lost, kept):
        units = [c.LineQuantity(line_id=line.id, quantity=1)]
        order.pack(units, shipment_id=shipment_id, now=NOW)
        order.dispatch_shipment(shipment_id, now=NOW)
    order.deliver(kept, at=NOW)
    order.fail_delivery(lost, e.DeliveryFailure.LOST, at=NOW)
    created, item = placed(1, unit_price="0")
    free = item.model_copy(update={"product_id": line.product_id})
    order.replace_by(Order.create(created=created, items=[free]), now=NOW)
    back = [c.ReturnedLine(line_id=line.id, quantity=1, reason=e.ReturnReason.UNWANTED)]
    received = [c.ReceivedLine(line_id=line.id, restock=1)]
    new_line = e.ExchangeLine(
        product_id=uuid7(),
        sku="SAMPLE-3",
        name="Sample 3",
        quantity=1,
        unit_price=Money.of(Decimal("9.90"), "EUR"),
        price_source="override",
        price_reason="Agreed by telephone",
    )
    return_id = uuid7()
    order.request_return(back, return_id=return_id, exchange_for=[new_line], now=NOW)
    order.receive_return(return_id, received, now=NOW)
    order.exchange_by(other, return_id, now=NOW)
    order.fail_exchange(return_id, "Sold out", now=NOW)
    return order.pending_events


def _stock_events() -> list[DomainEvent]:
    registered = e.StockItemRegistered(
        timestamp=NOW,
        product_id=uuid7(),
        sku="SAMPLE-1",
        name="Sample 1",
        list_price=Money.of(Decimal("19.90"), "EUR"),
        reorder_point=3,
        backorderable=True,
    )
    item = StockItem.register(registered, on_hand=10)
    sent, returned = (uuid7(), uuid7()), (uuid7(), uuid7())
    for key in (sent, returned):
        item.reserve(key, 4, now=NOW)
    item.dispatch(sent, 4, now=NOW)
    item.take_back(sent, 1, now=NOW)
    item.release(returned, 4, now=NOW)
    item.expect_units(30, at=NOW + timedelta(days=2), now=NOW)
    item.adjust(-1, reason=e.AdjustmentReason.DAMAGE, comment="Fell down", now=NOW)
    item.set_list_price(Money.of(Decimal("21.90"), "EUR"), now=NOW)
    item.rename("Sample One", now=NOW)
    item.discontinue(now=NOW)
    item.reinstate(now=NOW)
    item.set_tax_class("reduced", now=NOW)
    item.set_policy(reorder_point=5, backorderable=False, now=NOW)
    return item.pending_events


def _customer_events() -> list[DomainEvent]:
    registered = e.CustomerRegistered(
        timestamp=NOW,
        customer_id=uuid7(),
        name="Robin Sample",
        email="robin@example.com",
        phone="555 0100",
    )
    customer = Customer.register(registered)
    customer.change_details(name="Robin Other", email="other@example.com", phone="", now=NOW)
    customer.set_metadata({"crm": "4711"}, now=NOW)
    customer.block("Doesn't pay", now=NOW)
    customer.unblock("Has paid", now=NOW)
    customer.erase("Asked for it", erased={"orders": 2}, now=NOW)
    return customer.pending_events
