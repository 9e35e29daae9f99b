"""The endpoints of the commands: one order's way over HTTP, and what their answers say."""

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
        self.here = f"/api/v1/orders/{order.pk}"

    def __call__(self, verb: str, path: str, **body: Any) -> Any:
        ask = getattr(self.client, verb.lower())
        return ask(f"{self.here}/{path}", body, format="json", headers={"If-Match": "*"})

    def made(self, path: str, **body: Any) -> Any:
        """What the answer says of what was made."""
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


def test_an_order_goes_its_way(call: Caller, order: Order, line: str) -> None:
    items = [{"line_id": line, "quantity": 2}]

    assert call("POST", "confirm").json()["status"] == "confirmed"
    assert call("POST", "process").json()["status"] == "processing"
    shipment = call.made("shipments", items=items, carrier="Example Parcels")
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
    payment = call.made("payments", payment_id="p-1", kind="captured", amount="39.80")
    assert payment["payment_id"] == "p-1"
    returned = call.made("returns", items=[{"line_id": line, "quantity": 1, "reason": "damaged"}])
    back = f"returns/{returned['return_id']}"
    received = call("POST", f"{back}/receive", items=[{"line_id": line, "damaged": 1}])
    assert [event["type"] for event in received.json()["events"]] == ["ReturnReceived"]
    refund = call.made("refunds", amount="19.90", reason="It came back")
    settled = call("POST", f"refunds/{refund['refund_id']}/record", outcome="settled")
    assert [event["type"] for event in settled.json()["events"]] == ["RefundSettled"]
    elsewhere = call.made("refunds/record", outcome="settled", amount="1.00", reference="till 3")
    assert UUID(elsewhere["refund_id"])
    assert call("POST", "complete").json()["status"] == "completed"
    kit.check_rows_equal_log()


def test_what_was_made_is_found(call: Caller, order: Order) -> None:
    answer = call("POST", "notes", text="Ring twice")

    note = answer.json()
    here = f"{ROOT}/orders/{order.pk}"
    assert answer.status_code == 201
    assert answer["Location"] == f"{here}#{note['note_id']}"
    assert note == {
        "order_id": str(order.pk),
        "status": "pending",
        "version": 3,
        "events": [note["events"][0]],
        "note_id": note["note_id"],
        "links": {"order": here, "redact": f"{here}/notes/{note['note_id']}/redact"},
    }
    assert note["events"][0]["type"] == "NoteAdded"
    redacted = call("POST", f"notes/{note['note_id']}/redact")
    assert [event["type"] for event in redacted.json()["events"]] == ["NoteRedacted"]


def test_what_is_so_already_changes_nothing(call: Caller, order: Order) -> None:
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


def test_before_picking_an_order_can_be_edited(call: Caller, product: StockItem, line: str) -> None:
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
    """About an order that has a parcel of each kind, and one unit on its way back."""
    unit = [{"line_id": line, "quantity": 1}]
    call("POST", "confirm")
    parcels = [call.made("shipments", items=unit)["shipment_id"] for _ in range(3)]
    for parcel in parcels[:2]:
        call("POST", f"shipments/{parcel}/dispatch")
    call("POST", f"shipments/{parcels[0]}/deliver")
    call.made("returns", items=[{**unit[0], "reason": "unwanted"}])
    return call


@pytest.mark.parametrize("named", [UUID(int=7), "nonsense"])
def test_a_line_that_isnt_there_is_404(call: Caller, named: object) -> None:
    answer = call("PATCH", f"items/{named}", new_quantity=1)

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("named", [UUID(int=7), "nonsense"])
@pytest.mark.parametrize(
    ("verb", "path", "body"),
    [
        ("PATCH", "shipments/{}", {"tracking_number": "1Z999"}),
        ("POST", "shipments/{}/dispatch", {}),
        ("POST", "shipments/{}/deliver", {}),
        ("POST", "shipments/{}/fail", {"outcome": "lost"}),
        ("POST", "shipments/{}/void", {}),
        ("POST", "refunds/{}/record", {"outcome": "settled"}),
        ("POST", "refunds/{}/record", {"outcome": "failed"}),
        ("POST", "returns/{}/reject", {"reason": "Used"}),
        ("POST", "notes/{}/redact", {}),
    ],
)
def test_an_id_in_a_path_that_names_nothing_is_404(
    busy: Caller, verb: str, path: str, body: dict[str, Any], named: object
) -> None:
    answer = busy(verb, path.format(named), **body)

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_a_body_that_doesnt_fit_is_422(call: Caller) -> None:
    answer = call("POST", "confirm", reason="x", user_id=str(uuid7()))

    assert answer.status_code == 422
    assert {each["pointer"] for each in answer.json()["errors"]} == {"#/reason", "#/user_id"}


def test_commands_need_no_body_where_there_is_nothing_to_say(call: Caller) -> None:
    assert call.client.post(f"{call.here}/confirm").status_code == 200


def test_addresses_say_which_verbs_they_take(call: Caller) -> None:
    for path, verbs in (
        ("confirm", {"POST", "OPTIONS"}),
        ("tags/gift", {"PUT", "DELETE", "OPTIONS"}),
        (f"items/{uuid7()}", {"PATCH", "OPTIONS"}),
        ("items/cancel", {"POST", "OPTIONS"}),
    ):
        answer = call.client.get(f"{call.here}/{path}")
        assert answer.status_code == 405
        assert set(answer["Allow"].split(", ")) == verbs


@pytest.fixture
def api(db: None, admin_user: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(admin_user)
    return client


def test_products(api: APIClient, product: StockItem) -> None:
    here = f"/api/v1/inventory/{product.pk}"

    def told(verb: Callable[..., Any], path: str, **body: Any) -> list[str]:
        answer = verb(f"{here}/{path}", body, format="json")
        assert answer.status_code == 200, answer.json()
        return [event["type"] for event in answer.json()["events"]]

    assert told(api.post, "receipts", quantity=5) == ["StockReceived"]
    assert told(api.post, "adjustments", delta=-1, reason="count") == ["StockAdjusted"]
    assert told(api.put, "price", list_price="21.00", currency="EUR") == ["ListPriceChanged"]
    assert told(api.patch, "policy", reorder_point=3) == ["StockPolicyChanged"]


def test_customers(db: None, api: APIClient, customer: Customer) -> None:
    here = f"/api/v1/customers/{customer.pk}"

    changed = api.patch(here, {"name": "Kim Example"}, format="json")
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
        answer = api.post(f"{here}/{path}", {"reason": "Because"}, format="json")
        assert answer.json()["events"][0]["type"] == event


def test_the_page_of_an_order_has_a_form_for_each_command_that_is_posted(
    db: None, call: Caller, order: Order, line: str
) -> None:
    run_projections()

    page = call.client.get(call.here, headers={"Accept": "text/html"}).text

    forms = {route.method for route in OrderCommands.routes if route.verb == "POST" and route.path}
    below = {route.method for route in OrderCommands.routes if route.path_fields}
    assert set(re.findall(r'<details class="well command-form" id="(\w+)">', page)) == forms - below
    assert line in page
    # Those are closed; one that was refused, or stands alone, is open.
    assert " open>" not in page
    refused = call.client.post(
        f"{call.here}/cancel", {"_content": "{}"}, headers={"Accept": "text/html"}
    ).text
    assert '<details class="well command-form" id="cancel_order" open>' in refused
