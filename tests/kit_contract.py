"""What the documented contract is tested against: the document, and a shop in which each of its
operations finds something that it can be done to."""

import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer

from config.http.input import consistency
from ordering_read.engine import live
from ordering_read.models import ParkedEvent
from ordering_read.projections.order_view import OrderProjection
from ordering_read.projector import registered
from ordering_write import client, log
from ordering_write.domain.events import OrderStatus
from ordering_write.management.demo import CUSTOMERS, demo_id
from ordering_write.models import Customer, Order, StockItem
from tests import kit
from tests.integration.test_parking import Poison

METHODS = ("get", "post", "put", "patch", "delete")
# What an operation is done to: what is to stand in its path, headers and body, by the names there.
Subject = Mapping[str, str]
# Commands on one order, each with its fields.
Steps = list[tuple[type[client.Command], dict[str, Any]]]


@cache
def document() -> dict[str, Any]:
    """Return the OpenAPI document as a client reads it; making it takes seconds."""
    document = SchemaGenerator().get_schema(public=True)
    parsed: dict[str, Any] = json.loads(OpenApiJsonRenderer().render(document))
    return parsed


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One method of one address, as the document describes it."""

    method: str
    path: str
    documented: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.documented["operationId"])

    @property
    def body(self) -> Any:
        """The example of its body, None if it takes none."""
        if "requestBody" not in self.documented:
            return None
        [example] = self.documented["requestBody"]["content"]["application/json"][
            "examples"
        ].values()
        return copy.deepcopy(example["value"])

    @property
    def parameters(self) -> list[dict[str, Any]]:
        return list(self.documented["parameters"])

    @property
    def in_path(self) -> dict[str, str]:
        """The examples of what stands in its path."""
        return {one["name"]: one["example"] for one in self.parameters if one["in"] == "path"}

    @property
    def success(self) -> int:
        """The status that it answers with when all is well."""
        made = {int(status) for status in self.documented["responses"]} & {200, 201}
        return max(made)


def operations() -> list[Operation]:
    """Every operation of the document."""
    return [
        Operation(method=method, path=path, documented=described[method])
        for path, described in document()["paths"].items()
        for method in METHODS
        if method in described
    ]


class World:
    """Two customers, two products, and orders on each step of their way."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.customer = kit.registered_customer(customer_id=demo_id(CUSTOMERS[0]))
        # Who has ordered nothing can be erased.
        self.newcomer = kit.registered_customer(name="Kim Example")
        blocked = kit.registered_customer(name="Sam Specimen")
        self._give(client.BlockCustomer, customer_id=blocked.pk, reason="Unpaid bills")
        self.product = kit.registered_product(
            on_hand=1000, product_id=demo_id("LAMP-1"), sku="LAMP-1", list_price="39.90"
        )
        self.customers = [self.customer, self.newcomer, Customer.objects.get(pk=blocked.pk)]
        self.orders = [self._order(*_WRITTEN, *steps) for steps in _WAYS]
        self.orders.append(self._order(placed_at=datetime.now(UTC) - timedelta(days=3)))
        event = log.read_stream(self.orders[-1].stream)[-1].recorded
        # Nobody waits: what isn't committed is never seen by who would tell that it is there.
        self._seen = {
            "Consistency-Token": consistency.token_of(event.event_id),
            "Prefer": "wait=0",
        }
        poison = Poison(OrderProjection, monkeypatch)
        poison.add(self.orders[0], version=2)
        for name in registered():
            live.run(name)
        poison.events.clear()
        # One that can be applied by now, and one that waits behind it.
        self.parked = list(ParkedEvent.objects.order_by("version")[:2])

    def subjects(self, operation: Operation) -> Iterator[Subject]:
        """What ``operation`` may be tried on, one after the other."""
        rows_by_prefix: dict[str, list[Any]] = {
            "/api/v1/customers": self.customers,
            "/api/v1/inventory": [self.product],
            "/api/v1/parked-events": self.parked,
            "/api/v1/orders": self.orders,
        }
        for prefix, rows in rows_by_prefix.items():
            if operation.path.startswith(prefix):
                yield from (self._seen | _ids(row) for row in rows)
                return
        yield self._seen

    def _order(
        self, *steps: tuple[type[client.Command], dict[str, Any]], placed_at: datetime | None = None
    ) -> Order:
        order = kit.placed_order(
            self.customer,
            timestamp=placed_at or datetime.now(UTC),
            reserve_for=timedelta(days=2),
            items=[{"product_id": self.product.pk, "quantity": 3, "unit_price": "39.90"}],
        )
        for kind, payload in steps:
            known = _ids(order)
            filled = fill(payload, known)
            self._give(kind, order_id=order.pk, **filled, **_parts(kind, known))
        return order

    def _give(self, kind: type[client.Command], /, **payload: Any) -> None:
        kit.dispatch(kind.model_validate({"user_id": kit.USER, **payload}))


_LINE = {"line_id": "", "quantity": 1}
_WRITTEN: Steps = [
    (client.AddNote, {"text": "Ring twice"}),
    (client.TagOrder, {"tag": "gift"}),
    (client.RecordPayment, {"payment_id": "payment-1", "kind": "captured", "amount": "100.00"}),
]
_CONFIRMED: Steps = [(client.ConfirmOrder, {})]
_PACKED: Steps = [*_CONFIRMED, (client.CreateShipment, {"items": [_LINE]})]
_SENT: Steps = [*_PACKED, (client.DispatchShipment, {})]
_WHOLE: Steps = [*_CONFIRMED, (client.UpdateOrderStatus, {"status": OrderStatus.SHIPPED})]
_ARRIVED: Steps = [*_WHOLE, (client.UpdateOrderStatus, {"status": OrderStatus.DELIVERED})]
# How far the orders have come.
_WAYS: list[Steps] = [
    [],
    [(client.PlaceHold, {"reason": "other"})],
    _CONFIRMED,
    _PACKED,
    _SENT,
    _ARRIVED,
    [*_ARRIVED, (client.RequestReturn, {"items": [{**_LINE, "reason": "unwanted"}]})],
    [*_ARRIVED, (client.RequestRefund, {"amount": "19.90", "reason": "It came late"})],
    [(client.CancelOrder, {"reason": "Not needed"})],
]


def fill(example: Any, known: Subject) -> Any:
    """``example`` with what is ``known`` in the fields of these names."""
    match example:
        case Mapping():
            return {
                name: known[name] if name in known else fill(value, known)
                for name, value in example.items()
            }
        case list():
            return [fill(value, known) for value in example]
        case _:
            return example


def _parts(kind: type[client.Command], known: Subject) -> dict[str, str]:
    return {name: known[name] for name in kind.model_fields if name == "shipment_id"}


def _ids(row: Customer | StockItem | ParkedEvent | Order) -> dict[str, str]:
    """What names ``row`` and its parts, by the names of paths and fields."""
    known = {"id": str(row.pk)}
    if not isinstance(row, Order):
        return known
    known["number"] = row.order_number
    for event in log.read_stream(row.stream):
        for name in ("line_id", "shipment_id", "refund_id", "return_id", "note_id", "tag"):
            if value := getattr(event, name, None):
                known[name] = str(value)
    return known
