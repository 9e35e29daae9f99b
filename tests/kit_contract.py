"""The OpenAPI document, and a shop in which each of its operations succeeds on something."""

import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest

from config.http.input import consistency
from config.http.openapi.document import openapi_document
from config.http.openapi.previews import PREVIEW
from ordering_read.engine import live
from ordering_read.models import ParkedEvent
from ordering_read.projections.order_view import OrderProjection
from ordering_read.projector import registered
from ordering_write import client, log, webhooks
from ordering_write.domain.events import OrderStatus
from ordering_write.management.demo import CUSTOMERS, demo_id
from ordering_write.models import Customer, Order, StockItem
from tests import kit
from tests.integration.test_parking import Poison
from tests.kit_openapi import inlined
from tests.proof import IS_PROOF

METHODS = ("get", "post", "put", "patch", "delete")
# `make test` tries one preview of so many.
_OMITTED = 12
# Values for the path, the headers and the body of an operation, by the names of the parameters.
Subject = Mapping[str, str]
# Commands on one order, each with its fields.
Steps = list[tuple[type[client.Command], dict[str, Any]]]


@cache
def document() -> dict[str, Any]:
    """Return the OpenAPI document as a client reads it; making it takes a second."""
    parsed: dict[str, Any] = json.loads(openapi_document("json").body)
    return parsed


@dataclass(frozen=True, kw_only=True)
class Operation:
    """A method of an address, as the document describes it."""

    method: str
    path: str
    documented: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.documented["operationId"])

    @property
    def is_preview(self) -> bool:
        return self.path.endswith(PREVIEW)

    @property
    def body(self) -> Any:
        """The example of its body, None without a body."""
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
        """The examples of its path parameters."""
        return {
            parameter["name"]: parameter["example"]
            for parameter in self.parameters
            if parameter["in"] == "path"
        }

    @property
    def success(self) -> int:
        """The status of its success."""
        return max({int(status) for status in self.documented["responses"]} & {200, 201, 204})


def tried() -> list[Operation]:
    """Return the operations to try: all in `make proof`, else one preview for several.

    A preview is the method of its command, with another flag.
    """
    previews = [operation for operation in operations() if operation.is_preview]
    omitted = [] if IS_PROOF else [each for n, each in enumerate(previews) if n % _OMITTED]
    return [operation for operation in operations() if operation not in omitted]


def operations() -> list[Operation]:
    """Return every operation of the document."""
    return [
        Operation(method=method, path=path, documented=described[method])
        for path, described in inlined(document())["paths"].items()
        for method in METHODS
        if method in described
    ]


class World:
    """Customers, a product, orders in every state, parked events, and a webhook endpoint."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.customer = kit.registered_customer(customer_id=demo_id(CUSTOMERS[0]))
        # A customer without orders can be erased.
        self.newcomer = kit.registered_customer(name="Kim Example")
        blocked = kit.registered_customer(name="Sam Specimen")
        self._dispatch(client.BlockCustomer, customer_id=blocked.pk, reason="Unpaid bills")
        self.product = kit.registered_product(
            on_hand=1000, product_id=demo_id("LAMP-1"), sku="LAMP-1", list_price="39.90"
        )
        self.customers = [self.customer, self.newcomer, Customer.objects.get(pk=blocked.pk)]
        self.orders = [self._order(*_ANNOTATED, *steps) for steps in _HISTORIES]
        self.orders.append(self._order(*_CONFIRMED, requires_shipping=False))
        self.orders.append(self._order(placed_at=datetime.now(UTC) - timedelta(days=3)))
        event = log.read_stream(self.orders[-1].stream)[-1].recorded
        # Don't wait: the listening thread never sees the uncommitted rows of a test.
        self._seen = {
            "Consistency-Token": consistency.token_of(event.event_id),
            "Prefer": "wait=0",
        }
        poison = Poison(OrderProjection, monkeypatch)
        poison.add(self.orders[0], version=2)
        for name in registered():
            live.run(name)
        poison.events.clear()
        # The first can be applied by now, the second waits behind it.
        self.parked = list(ParkedEvent.objects.order_by("version")[:2])
        fields = webhooks.endpoints.NewEndpoint(name="erp", url="https://127.0.0.1/orders")
        self.endpoint = webhooks.endpoints.register(fields, by="a test")
        self.delivery = webhooks.WebhookDelivery.objects.create(
            endpoint=self.endpoint,
            position=1,
            event_id=event.event_id,
            stream=event.stream,
            type="CustomerRegistered",
            due_at=datetime.now(UTC),
        )

    def subjects(self, operation: Operation) -> Iterator[Subject]:
        """Yield the ids of everything that ``operation`` can be tried on."""
        rows_by_prefix: dict[str, list[Any]] = {
            "/api/v1/customers": self.customers,
            "/api/v1/inventory": [self.product],
            "/api/v1/parked-events": self.parked,
            "/api/v1/order-numbers": self.orders,
            "/api/v1/webhook-endpoints": [self.endpoint],
            "/api/v1/webhook-deliveries": [self.delivery],
            "/api/v1/orders": self.orders,
        }
        for prefix, rows in rows_by_prefix.items():
            if operation.path.startswith(prefix):
                yield from (self._seen | _ids(row) for row in rows)
                return
        yield self._seen

    def _order(
        self,
        *steps: tuple[type[client.Command], dict[str, Any]],
        placed_at: datetime | None = None,
        **line: Any,
    ) -> Order:
        order = kit.placed_order(
            self.customer,
            timestamp=placed_at or datetime.now(UTC),
            reserve_for=timedelta(days=2),
            items=[{"product_id": self.product.pk, "quantity": 3, "unit_price": "39.90", **line}],
        )
        for command_type, payload in steps:
            ids = _ids(order)
            in_path = {
                name: ids[name]
                for name in ("shipment_id", "return_id")
                if name in ids and name in command_type.model_fields
            }
            self._dispatch(command_type, order_id=order.pk, **fill(payload, ids), **in_path)
        return order

    def _dispatch(self, command_type: type[client.Command], /, **payload: Any) -> None:
        kit.dispatch(command_type.model_validate({"user_id": kit.USER, **payload}))


_LINE = {"line_id": "", "quantity": 1}
_ANNOTATED: Steps = [
    (client.AddNote, {"text": "Ring twice"}),
    (client.TagOrder, {"tag": "gift"}),
    (client.RecordPayment, {"payment_id": "payment-1", "kind": "captured", "amount": "100.00"}),
]
# The captured payment is taken back, so that something is due.
_AUTHORIZED: Steps = [
    (client.RecordPayment, {"payment_id": "payment-1", "kind": "chargeback", "amount": "100.00"}),
    (client.RecordPayment, {"payment_id": "payment-1", "kind": "authorized", "amount": "200.00"}),
]
_CONFIRMED: Steps = [(client.ConfirmOrder, {})]
_PACKED: Steps = [*_CONFIRMED, (client.CreateShipment, {"items": [_LINE]})]
_DISPATCHED: Steps = [*_PACKED, (client.DispatchShipment, {})]
_SHIPPED: Steps = [*_CONFIRMED, (client.UpdateOrderStatus, {"status": OrderStatus.SHIPPED})]
_DELIVERED: Steps = [*_SHIPPED, (client.UpdateOrderStatus, {"status": OrderStatus.DELIVERED})]
# The commands that each order gets.
_HISTORIES: list[Steps] = [
    [(client.AdjustOrder, {"kind": "fee", "label": "Fee", "amount": "1.00", "reason": "Agreed"})],
    [(client.PlaceHold, {"reason": "other"})],
    _CONFIRMED,
    _AUTHORIZED,
    _PACKED,
    _DISPATCHED,
    _DELIVERED,
    [*_DELIVERED, (client.RequestReturn, {"items": [{**_LINE, "reason": "unwanted"}]})],
    [
        *_DELIVERED,
        (
            client.RequestReturn,
            {
                "items": [{**_LINE, "reason": "unwanted"}],
                "exchange_for": [
                    {"product_id": demo_id("LAMP-1"), "quantity": 1, "unit_price": "39.90"}
                ],
            },
        ),
        (client.ReceiveReturn, {"items": [{"line_id": "", "restock": 1}]}),
    ],
    [*_DELIVERED, (client.RequestRefund, {"amount": "19.90", "reason": "It came late"})],
    [(client.CancelOrder, {"reason": "Not needed"})],
]


_ID_FIELDS = (
    "line_id",
    "adjustment_id",
    "shipment_id",
    "refund_id",
    "return_id",
    "note_id",
    "tag",
)


def fill(example: Any, values: Subject) -> Any:
    """Return ``example`` with ``values`` in the fields that they name."""
    match example:
        case Mapping():
            return {
                name: values[name] if name in values else fill(value, values)
                for name, value in example.items()
            }
        case list():
            return [fill(value, values) for value in example]
        case _:
            return example


def _ids(row: Any) -> dict[str, str]:
    """Return the ids of ``row`` and its parts, by the names of path parameters and fields."""
    nouns: dict[type[Any], str] = {
        StockItem: "product",
        ParkedEvent: "parked_event",
        webhooks.WebhookEndpoint: "webhook_endpoint",
        webhooks.WebhookDelivery: "webhook_delivery",
    }
    noun = nouns.get(type(row), type(row).__name__.lower())
    ids = {f"{noun}_id": str(getattr(row, "key", row.pk))}
    if not isinstance(row, Order):
        return ids
    ids["number"] = row.order_number
    for event in log.read_stream(row.stream):
        for name in _ID_FIELDS:
            if value := getattr(event, name, None):
                ids[name] = str(value)
    return ids
