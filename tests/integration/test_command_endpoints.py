"""The command endpoints: paths, statuses and responses."""

import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from rest_framework.test import APIClient
from uuid_utils.compat import uuid7

from config.accounts.models import User
from ordering_write.api import OrderCommands
from ordering_write.models import Customer, Order, StockItem
from tests import kit
from tests.kit_admin import run_projections

ROOT = "http://testserver/api/v1"


class Caller:
    """Sends commands about one order as JSON."""

    def __init__(self, user: User, order: Order) -> None:
        self.client = APIClient()
        self.client.force_authenticate(user)
        self.url = f"/api/v1/orders/{order.pk}"

    def __call__(self, verb: str, path: str, **body: Any) -> Any:
        ask = getattr(self.client, verb.lower())
        return ask(f"{self.url}/{path}", body, format="json", headers={"If-Match": "*"})

    def create(self, path: str, **body: Any) -> Any:
        """Post a command that makes something; return its response."""
        answer = self("POST", path, **body)
        assert answer.status_code == 201, answer.json()
        return answer.json()


@pytest.fixture
def product(db: None) -> StockItem:
    return kit.registered_product(on_hand=10)


@pytest.fixture
def order(db: None, customer: Customer, product: StockItem) -> Order:
    return kit.placed_order(customer, (product, 3))


@pytest.fixture
def call(db: None, admin_user: User, order: Order) -> Caller:
    return Caller(admin_user, order)


@pytest.fixture
def line(order: Order) -> str:
    return str(kit.stored(order.stream).lines.popitem()[0])


def test_an_order_is_confirmed_shipped_and_completed(call: Caller, order: Order, line: str) -> None:
    items = [{"line_id": line, "quantity": 2}]

    assert call("POST", "confirm").json()["status"] == "confirmed"
    assert call("POST", "process").json()["status"] == "processing"
    shipment = call.create("shipments", items=items, carrier="Example Parcels")
    assert shipment["links"] == {
        "order": f"{ROOT}/orders/{order.pk}",
        **{
            name: f"{ROOT}/orders/{order.pk}/shipments/{shipment['shipment_id']}/{name}"
            for name in ("dispatch", "deliver", "fail", "void")
        },
    }
    parcel = f"shipments/{shipment['shipment_id']}"
    assert call("PATCH", parcel, tracking_number="1Z999").status_code == 200
    assert call("POST", f"{parcel}/dispatch").json()["status"] == "partially_shipped"
    cancelled = call(
        "POST", "items/cancel", items=[{"line_id": line, "quantity": 1}], reason="Sold out"
    )
    assert cancelled.json()["status"] == "shipped"
    assert call("POST", f"{parcel}/deliver").json()["status"] == "delivered"
    payment = call.create("payments", payment_id="p-1", kind="captured", amount="39.80")
    assert payment["payment_id"] == "p-1"
    returned = call.create("returns", items=[{"line_id": line, "quantity": 1, "reason": "damaged"}])
    back = f"returns/{returned['return_id']}"
    received = call("POST", f"{back}/receive", items=[{"line_id": line, "damaged": 1}])
    assert [event["type"] for event in received.json()["events"]] == ["ReturnReceived"]
    refund = call.create("refunds", amount="19.90", reason="It came back")
    settled = call("POST", f"refunds/{refund['refund_id']}/record", outcome="settled")
    assert [event["type"] for event in settled.json()["events"]] == ["RefundSettled"]
    elsewhere = call.create("refunds/record", outcome="settled", amount="1.00", reference="till 3")
    assert UUID(elsewhere["refund_id"])
    assert call("POST", "complete").json()["status"] == "completed"
    kit.check_rows_equal_log()


def test_a_new_note_has_a_location_and_links(call: Caller, order: Order) -> None:
    answer = call("POST", "notes", text="Ring twice")

    note = answer.json()
    url = f"{ROOT}/orders/{order.pk}"
    assert answer.status_code == 201
    assert answer["Location"] == f"{url}#{note['note_id']}"
    assert note == {
        "order_id": str(order.pk),
        "status": "pending",
        "version": 3,
        "events": [note["events"][0]],
        "note_id": note["note_id"],
        "links": {"order": url, "redact": f"{url}/notes/{note['note_id']}/redact"},
    }
    assert note["events"][0]["type"] == "NoteAdded"
    redacted = call("POST", f"notes/{note['note_id']}/redact")
    assert [event["type"] for event in redacted.json()["events"]] == ["NoteRedacted"]


def test_a_tag_added_or_removed_twice_changes_nothing(call: Caller, order: Order) -> None:
    first, second = (call("PUT", "tags/gift") for _ in range(2))

    assert [event["type"] for event in first.json()["events"]] == ["OrderTagged"]
    assert second.status_code == 200
    assert second.json() == {
        "order_id": str(order.pk),
        "status": "pending",
        "version": 3,
        "events": [],
    }
    assert call("DELETE", "tags/gift").json()["version"] == 4
    assert call("DELETE", "tags/gift").json()["events"] == []


def test_lines_and_address_of_a_pending_order_can_be_edited(
    call: Caller, product: StockItem, line: str
) -> None:
    more = call("POST", "items", product_id=str(product.pk), quantity=1, unit_price="19.90")
    assert more.json()["events"][0]["type"] == "OrderItemAdded"
    fewer = call("PATCH", f"items/{line}", new_quantity=1)
    assert fewer.json()["events"][0]["type"] == "OrderItemQuantityChanged"
    address = {**kit.ADDRESS, "line1": "2 Example Street"}
    moved = call("PUT", "shipping-address", shipping_address=address)
    assert moved.json()["events"][0]["type"] == "ShippingAddressChanged"
    kit.check_rows_equal_log()


@pytest.fixture
def busy(call: Caller, line: str) -> Caller:
    """A caller about an order with a delivered, a dispatched and a packed shipment and a return."""
    unit = [{"line_id": line, "quantity": 1}]
    call("POST", "confirm")
    shipments = [call.create("shipments", items=unit)["shipment_id"] for _ in range(3)]
    for shipment in shipments[:2]:
        call("POST", f"shipments/{shipment}/dispatch")
    call("POST", f"shipments/{shipments[0]}/deliver")
    call.create("returns", items=[{**unit[0], "reason": "unwanted"}])
    return call


@pytest.mark.parametrize("named", [UUID(int=7), "nonsense"])
def test_an_unknown_line_in_the_path_is_404(call: Caller, named: object) -> None:
    answer = call("PATCH", f"items/{named}", new_quantity=1)

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_an_unknown_part_of_an_order_in_the_path_is_404(
    busy: Caller, subtests: pytest.Subtests
) -> None:
    verb_cases = [
        ("PATCH", "shipments/{}", {"tracking_number": "1Z999"}),
        ("POST", "shipments/{}/dispatch", {}),
        ("POST", "shipments/{}/deliver", {}),
        ("POST", "shipments/{}/fail", {"outcome": "lost"}),
        ("POST", "shipments/{}/void", {}),
        ("POST", "refunds/{}/record", {"outcome": "settled"}),
        ("POST", "refunds/{}/record", {"outcome": "failed"}),
        ("POST", "returns/{}/reject", {"reason": "Used"}),
        ("POST", "notes/{}/redact", {}),
    ]
    for named in [UUID(int=7), "nonsense"]:
        for verb, path, body in verb_cases:
            with subtests.test(verb=verb, path=path, named=named):
                answer = busy(verb, path.format(named), **body)

                assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_a_body_with_unknown_fields_is_422(call: Caller) -> None:
    answer = call("POST", "confirm", reason="x", user_id=str(uuid7()))

    assert answer.status_code == 422
    assert {error["pointer"] for error in answer.json()["errors"]} == {"#/reason", "#/user_id"}


def test_a_command_without_fields_needs_no_body(call: Caller) -> None:
    assert call.client.post(f"{call.url}/confirm").status_code == 200


def test_the_path_of_a_command_allows_its_verbs_only(call: Caller) -> None:
    for path, verbs in (
        ("confirm", {"POST", "OPTIONS"}),
        ("tags/gift", {"PUT", "DELETE", "OPTIONS"}),
        (f"items/{uuid7()}", {"PATCH", "OPTIONS"}),
        ("items/cancel", {"POST", "OPTIONS"}),
    ):
        answer = call.client.get(f"{call.url}/{path}")
        assert answer.status_code == 405
        assert set(answer["Allow"].split(", ")) == verbs


@pytest.fixture
def api(db: None, admin_user: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(admin_user)
    return client


def test_every_stock_command_has_its_path(api: APIClient, product: StockItem) -> None:
    url = f"/api/v1/inventory/{product.pk}"

    def event_types(verb: Callable[..., Any], path: str, **body: Any) -> list[str]:
        answer = verb(f"{url}/{path}", body, format="json")
        assert answer.status_code == 200, answer.json()
        return [event["type"] for event in answer.json()["events"]]

    assert event_types(api.post, "receipts", quantity=5) == ["StockReceived"]
    assert event_types(api.post, "adjustments", delta=-1, reason="count") == ["StockAdjusted"]
    assert event_types(api.put, "price", list_price="21.00", currency="EUR") == ["ListPriceChanged"]
    assert event_types(api.patch, "policy", reorder_point=3) == ["StockPolicyChanged"]


def test_every_customer_command_has_its_path(db: None, api: APIClient, customer: Customer) -> None:
    url = f"/api/v1/customers/{customer.pk}"

    changed = api.patch(url, {"name": "Kim Example"}, format="json")
    assert changed.json() == {
        "customer_id": str(customer.pk),
        "version": 2,
        "events": changed.json()["events"],
    }
    for path, event in (
        ("block", "CustomerBlocked"),
        ("unblock", "CustomerUnblocked"),
        ("erase", "CustomerErased"),
    ):
        answer = api.post(f"{url}/{path}", {"reason": "Because"}, format="json")
        assert answer.json()["events"][0]["type"] == event


def test_the_page_of_an_order_has_a_form_for_each_command_that_is_posted(
    db: None, call: Caller, order: Order, line: str
) -> None:
    run_projections()

    page = call.client.get(call.url, headers={"Accept": "text/html"}).text

    forms = {route.method for route in OrderCommands.routes if route.verb == "POST" and route.path}
    below = {route.method for route in OrderCommands.routes if route.path_fields}
    assert set(re.findall(r'<details class="command-form" id="(\w+)">', page)) == forms - below
    assert line in page
    # Forms are closed, except the form of a refused command.
    assert " open>" not in page
    refused = call.client.post(
        f"{call.url}/cancel", {"_content": "{}"}, headers={"Accept": "text/html"}
    ).text
    assert '<details class="command-form" id="cancel_order" open>' in refused
