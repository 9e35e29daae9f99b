"""The golden rows: what each release has stored of the read models that embed documents as JSON.

    .venv/bin/python manage.py shell -c "from tests import kit_documents; kit_documents.add()"

adds a file when documents have got other fields. Existing files are never changed: databases hold
such rows until they are rebuilt.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any, get_args, get_origin
from uuid import UUID

from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction
from pydantic import BaseModel
from uuid_utils.compat import uuid7

from config.databases import tables
from ordering_read.models import (
    CustomerSummary,
    InventoryLevel,
    OrderLine,
    OrderSummary,
    Projection,
    ReadModel,
)
from ordering_read.models.fulfilment import QueuedOrder
from ordering_read.models.search import CustomerSearch, OrderSearch, ProductSearch
from ordering_write.domain import commands as c
from ordering_write.domain import events as e
from ordering_write.domain.values import Money
from ordering_write.models import Order
from tests.kit_projections import (
    ADDRESS,
    NOON,
    History,
    customer_registered,
    new_generation,
    order_placed,
    product_registered,
    project,
    rows_of,
)

FOLDER = Path(__file__).parent / "golden" / "rows"
# In the format of `sha256sum --check`.
SUMS = FOLDER / "sha256sums"

# The read models with documents, and the lines to which documents of an order refer.
MODELS: tuple[type[ReadModel], ...] = (
    OrderSummary,
    OrderLine,
    QueuedOrder,
    CustomerSummary,
    InventoryLevel,
    OrderSearch,
    CustomerSearch,
    ProductSearch,
)
# Mappings from ids to documents, and from names to texts.
_MAPPINGS = (
    "fulfilment_queue.lines",
    "order_search.texts",
    "customer_search.texts",
    "product_search.texts",
    "order_summary.metadata",
    "order_line_view.metadata",
    "customer_view.metadata",
)
# The rows of each table.
Rows = Mapping[str, list[dict[str, Any]]]


def all_paths() -> list[Path]:
    """The golden files, the oldest first."""
    return sorted(FOLDER.glob("*.json"), key=lambda path: int(path.stem))


def read(path: Path) -> Rows:
    rows: Rows = json.loads(path.read_text())
    return rows


def sum_of(path: Path) -> str:
    """The line of a golden file in ``SUMS``."""
    return f"{sha256(path.read_bytes()).hexdigest()}  {path.name}"


def add() -> None:
    """Write the rows of this release, unless the newest file has documents of the same fields."""
    with transaction.atomic(using="read"):
        rows = json.loads(json.dumps(projected(), cls=DjangoJSONEncoder))
        transaction.set_rollback(True, using="read")
    paths = all_paths()
    if paths and fields_in(read(paths[-1])) == fields_in(rows):
        print("Nothing to add.")
        return
    path = FOLDER / f"{len(paths) + 1}.json"
    path.write_text(json.dumps(rows, indent=2, sort_keys=True) + "\n")
    with SUMS.open("a") as sums:
        sums.write(f"{sum_of(path)}\n")
    print(f"added {path.name}")


def store(rows: Rows) -> None:
    """Make ``rows`` the rows that readers are served, as the release stored them."""
    for model in MODELS:
        live = Projection.objects.get(name=model.projection_name, status=Projection.Status.LIVE)
        attributes = {field.attname for field in model._meta.concrete_fields}
        tables.insert(
            [
                model(
                    projection_id=live.pk,
                    **{name: value for name, value in row.items() if name in attributes},
                )
                for row in rows.get(model._meta.db_table, ())
            ]
        )


def projected() -> Rows:
    """The rows of an order with documents of every kind, of a customer and of a product."""
    history = History()
    customer = customer_registered()
    customer.set_metadata({"crm": "4711"}, now=NOON)
    product = product_registered()
    product.expect_units(30, at=NOON + timedelta(days=2), now=NOON)
    product.set_list_price(Money.of(Decimal("9"), "USD"), now=NOON)
    history.add(_order(), customer, product)
    generations = {name: new_generation(name) for name in {m.projection_name for m in MODELS}}
    for generation in generations.values():
        project(history.events, generation)
    return {
        model._meta.db_table: rows_of(model, generations[model.projection_name]) for model in MODELS
    }


def _order() -> Order:
    order = order_placed(
        lines=2,
        quantity=9,
        adjustments={"discount": "5.97", "shipping": "4.90", "tax": "17.80"},
        tax_rate="10",
        billing_address=ADDRESS.model_copy(update={"line2": "Door 2", "phone": "555 0100"}),
        external_reference="shop-7",
    )
    order.tag("gift", now=NOON)
    order.set_metadata({"erp": "4711"}, now=NOON)
    order.add_note("Ring twice", note_id=uuid7(), now=NOON)
    order.add_note("Be at home", note_id=uuid7(), visibility=e.Visibility.CUSTOMER, now=NOON)
    order.confirm(now=NOON)
    amount = Decimal("195.83")
    order.record_payment("payment-1", e.PaymentKind.CAPTURED, amount, method="card", at=NOON)
    line = next(iter(order.lines))
    order.set_metadata({"engraving": "Robin"}, line_id=line, now=NOON)
    _send_parcels(order, line)
    _take_back(order, line)
    _refund(order, line)
    order.hold(e.HoldReason.ADDRESS, note="Ask for the floor", now=NOON)
    return order


def _send_parcels(order: Order, line: UUID) -> None:
    """Add a shipment in each of its states."""
    units = [c.LineQuantity(line_id=line, quantity=1)]
    packed, voided, sent, lost, arrived = (uuid7() for _ in range(5))
    for shipment_id in (packed, voided, sent, lost, arrived):
        order.pack(units, shipment_id=shipment_id, carrier="Sample Post", now=NOON)
    order.void_shipment(voided, now=NOON)
    tracking: dict[str, Any] = {
        "tracking_number": "1Z999",
        "tracking_url": "https://carrier.example/1Z999",
    }
    for shipment_id in (sent, lost, arrived):
        order.dispatch_shipment(shipment_id, carrier="Sample Post", **tracking, now=NOON)
    order.fail_delivery(lost, e.DeliveryFailure.LOST, at=NOON)
    order.deliver(arrived, at=NOON)


def _take_back(order: Order, line: UUID) -> None:
    """Add a rejected return and a received one, which is exchanged."""
    returned = c.ReturnedLine(line_id=line, quantity=1, reason=e.ReturnReason.DAMAGED)
    rejected_id, received_id = uuid7(), uuid7()
    product = next(iter(order.lines.values())).product_id
    new_line = e.ExchangeLine(
        product_id=product,
        sku="SAMPLE-1",
        name="Sample 1",
        quantity=1,
        unit_price=order.money(Decimal("5.00")),
        price_source="list",
    )
    order.request_return([returned], return_id=rejected_id, now=NOON)
    order.reject_return(rejected_id, "Worn", now=NOON)
    order.request_return([returned], return_id=received_id, exchange_for=[new_line], now=NOON)
    received = c.ReceivedLine(line_id=line, restock=0, damaged=1)
    order.receive_return(received_id, [received], now=NOON)
    order.exchange_by(order_placed(unit_price="5.00"), received_id, now=NOON)


def _refund(order: Order, line: UUID) -> None:
    """Add a failed refund, a settled one, one that bounced and a requested one."""
    failed, settled, bounced, requested = (uuid7() for _ in range(4))
    for refund_id in (failed, settled, bounced, requested):
        order.request_refund(
            Decimal("1.00"),
            "Scratched",
            refund_id=refund_id,
            lines=[c.LineQuantity(line_id=line, quantity=1)],
            now=NOON,
        )
    order.fail_refund(failed, reason="card expired", reference="refund-1", at=NOON)
    order.settle_refund(settled, reference="refund-2", at=NOON)
    order.settle_refund(bounced, reference="refund-3", at=NOON)
    order.fail_refund(bounced, reason="account closed", reference="refund-3", at=NOON)


# --- Fields of documents -----------------------------------------------------------------------
def declared_fields() -> set[str]:
    """The paths of all fields that documents are declared with: ``order_summary.notes.text``."""
    return {
        path
        for model in MODELS
        for column, annotation in model.documents.items()
        for path in _declared(annotation, f"{model._meta.db_table}.{column}")
    }


def fields_in(rows: Rows) -> set[str]:
    """The paths of all fields of the documents in ``rows``."""
    return {
        path
        for model in MODELS
        for row in rows.get(model._meta.db_table, ())
        for column in model.documents
        for path in _stored(row.get(column), f"{model._meta.db_table}.{column}")
    }


def _declared(annotation: Any, path: str) -> Iterator[str]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, field in annotation.model_fields.items():
            yield f"{path}.{name}"
            yield from _declared(field.annotation, f"{path}.{name}")
    elif get_origin(annotation) is dict:
        yield f"{path}.*"
        yield from _declared(get_args(annotation)[1], f"{path}.*")
    else:
        for argument in get_args(annotation):
            yield from _declared(argument, path)


def _stored(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _stored(item, path)
    elif isinstance(value, dict):
        for key, item in value.items():
            inner = f"{path}.*" if path in _MAPPINGS else f"{path}.{key}"
            yield inner
            yield from _stored(item, inner)
