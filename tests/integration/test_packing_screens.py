"""The pages of the warehouse: packing and dispatch with a scanner, and what they print."""

import re
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
from django.db import connections
from django.test import Client
from django.test.utils import CaptureQueriesContext

from config.accounts.models import User
from ordering_read.models.fulfilment import QueuedOrder
from ordering_write.domain import commands as c
from ordering_write.domain.events import HoldReason
from ordering_write.models import Order, OutboxEvent, Shipment, StockItem
from tests import kit
from tests.kit_admin import list_url, logged_in, page_text, run_action, run_projections

pytestmark = pytest.mark.usefixtures("db")

QUEUE = "ordering_read/queuedorder"
PACKING, DISPATCH = "/admin/packing/", "/admin/dispatch/"
BIDI_NAME = "كرسي <b>خشبي</b>"


def visible_at_once(*, event_id: UUID, projections: Sequence[str], timeout: float) -> bool:
    """Replaces READ_SIDE_WAIT: runs the projections, as workers would in the meantime."""
    run_projections()
    return True


class Warehouse:
    """Two products, and three confirmed orders of 3 lamps and 1 chair each."""

    def __init__(self) -> None:
        self.customer = kit.registered_customer()
        self.lamp = kit.registered_product(40, sku="LAMP-1", name="Desk lamp")
        self.chair = kit.registered_product(40, sku="CHAIR-1", name=BIDI_NAME)
        self.orders = [self.confirmed() for _ in range(3)]
        run_projections()

    def confirmed(self, **fields: Any) -> Order:
        return kit.placed_order(
            self.customer, (self.lamp, 3), (self.chair, 1), **{"auto_confirm": True, **fields}
        )

    def line(self, order: Order, product: StockItem) -> str:
        lines = kit.stored(order.stream).lines.values()
        return next(str(line.id) for line in lines if line.product_id == product.pk)


@pytest.fixture(scope="module")
def warehouse_shop(module_db: None) -> Warehouse:
    return Warehouse()


@pytest.fixture(autouse=True)
def _visible_at_once(settings: Any) -> None:
    settings.READ_SIDE_WAIT = f"{__name__}.visible_at_once"


def fields_of(page: str) -> dict[str, str]:
    """Return the fields of a page's form, as a browser sends them."""
    form = page.partition('class="warehouse"')[2]
    tags = re.findall(r"<input [^>]*>", form)
    fields = {}
    for tag in tags:
        attributes = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
        if attributes.get("type") == "checkbox" and " checked" not in tag:
            continue
        fields[attributes["name"]] = attributes.get("value", "on")
    return fields


def answer_of(page: str) -> tuple[str, str]:
    """Return the role and the text of what a page says about the last scan."""
    match = re.search(r'<p id="answer"[^>]* role="(\w+)">(.*?)</p>', page)
    assert match
    return match[1], re.sub(r"<[^>]*>|⚠", "", match[2]).strip()


def send(client: Client, page: str, url: str, **changes: str) -> Any:
    """Send the form of ``page`` with ``changes``; return the page that answers, or a redirect."""
    response = client.post(url, {**fields_of(page), **changes})
    assert response.status_code == 302, "the back button leads to a page"
    location = response.headers["Location"]
    return client.get(location) if location.startswith(f"{url}?kept=") else response


def scan(client: Client, page: str, url: str, code: str) -> str:
    response = send(client, page, url, code=code, do="scan")
    assert response.status_code == 200
    return str(response.text)


def hold(order: Order) -> None:
    reason = HoldReason.FRAUD_REVIEW
    kit.dispatch(c.PlaceHold(order_id=order.pk, reason=reason, user_id=kit.USER))
    run_projections()


# --- Packing -----------------------------------------------------------------------------------
def test_scans_open_orders_and_count_units(warehouse: User, warehouse_shop: Warehouse) -> None:
    client, (first, second, held) = logged_in(warehouse), warehouse_shop.orders
    hold(held)
    page = client.get(PACKING).text
    assert first.order_number in page
    assert held.order_number not in page

    page = scan(client, page, PACKING, first.order_number)
    assert answer_of(page) == ("status", f"Order {first.order_number} is open: scan its units.")
    steps = [
        ("lamp-1", "status", f"LAMP-1: 1 of 3 for {first.order_number}"),
        (" LAMP-1 ", "status", f"LAMP-1: 2 of 3 for {first.order_number}"),
        ("CHAIR-1", "status", f"CHAIR-1: 1 of 1 for {first.order_number}"),
        ("CHAIR-1", "alert", "CHAIR-1: all units are counted already."),
        (second.order_number, "status", f"Order {second.order_number} is open: scan its units."),
        ("LAMP-1", "status", f"LAMP-1: 1 of 3 for {second.order_number}"),
        (first.order_number, "status", f"Order {first.order_number}: scan its units."),
        ("LAMP-1", "status", f"LAMP-1: 3 of 3 for {first.order_number}"),
        ("LAMP-1", "status", f"LAMP-1: 2 of 3 for {second.order_number}"),
        (
            "RUG-1",
            "alert",
            "“RUG-1” is neither the number of an order nor a SKU of the orders here.",
        ),
        (
            held.order_number,
            "alert",
            f"Order {held.order_number} can't be packed: on hold: fraud review; not paid.",
        ),
        ("", "status", ""),
    ]
    for code, role, text in steps:
        page = scan(client, page, PACKING, code)
        assert answer_of(page.replace("&#x27;", "'")) == (role, text), code

    assert not Shipment.objects.exists(), "scans change nothing"
    fields = fields_of(page)
    line = warehouse_shop.line
    assert fields[f"units-{line(first, warehouse_shop.lamp)}"] == "3"
    assert fields[f"units-{line(second, warehouse_shop.lamp)}"] == "2"
    assert fields[f"units-{line(second, warehouse_shop.chair)}"] == "0"
    assert "<b>" not in page.partition("In this parcel")[2].partition("</table>")[0]

    with (
        CaptureQueriesContext(connections["default"]) as write,
        CaptureQueriesContext(connections["read"]) as read,
    ):
        scan(client, page, PACKING, "CHAIR-1")
    assert len(write) + len(read) <= 10


def test_three_orders_are_partly_shipped_with_their_tracking_by_two_posts(
    warehouse: User, warehouse_shop: Warehouse
) -> None:
    client, orders = logged_in(warehouse), warehouse_shop.orders
    opened = run_action(client, QUEUE, "pack", *QueuedOrder.live.all())
    page = client.get(opened["Location"]).text
    lamps = [warehouse_shop.line(order, warehouse_shop.lamp) for order in orders]
    chairs = [warehouse_shop.line(order, warehouse_shop.chair) for order in orders]
    fields = fields_of(page)
    assert [fields[f"units-{line}"] for line in (*lamps, *chairs)] == ["3"] * 3 + ["1"] * 3
    typed = {f"units-{line}": "2" for line in lamps} | {f"units-{line}": "" for line in chairs}
    typed |= {f"tracking-{order.pk}": f"1Z-{n}" for n, order in enumerate(orders)}

    sent = send(client, page, PACKING, carrier="Example Parcels", do="dispatch", **typed)
    again = send(client, page, PACKING, carrier="Example Parcels", do="dispatch", **typed)

    assert sent["Location"] == again["Location"], "a second click packs nothing again"
    summary = page_text(client, sent["Location"])
    assert "Pack and dispatch" in summary
    assert "3 of 3 orders done" in summary
    for number, order in enumerate(orders):
        [shipment] = kit.stored(order.stream).shipments.values()
        assert [unit.quantity for unit in shipment.units] == [2]
        assert shipment.status == "dispatched"
        assert (shipment.carrier, shipment.tracking_number) == ("Example Parcels", f"1Z-{number}")
    assert OutboxEvent.objects.filter(type="ShipmentCreated").count() == 3


def test_what_is_typed_wrongly_is_said_beside_the_order_and_nothing_is_packed(
    warehouse: User, warehouse_shop: Warehouse, subtests: pytest.Subtests
) -> None:
    client, (order, *_) = logged_in(warehouse), warehouse_shop.orders
    page = client.get(f"{PACKING}?orders={order.order_number}").text
    lamp = f"units-{warehouse_shop.line(order, warehouse_shop.lamp)}"
    chair = f"units-{warehouse_shop.line(order, warehouse_shop.chair)}"
    tracking = f"tracking-{order.pk}"
    cases: list[tuple[dict[str, str], str]] = [
        ({lamp: "4"}, "LAMP-1: only 3 can be packed."),
        ({lamp: "-1"}, "LAMP-1: “-1” is not a number of units."),
        ({lamp: "1.5"}, "LAMP-1: “1.5” is not a number of units."),
        ({lamp: "9" * 30}, "is not a number of units."),
        ({lamp: "0", chair: "0", tracking: "1Z"}, "A tracking number, but no unit is counted."),
        ({lamp: "0", chair: "0"}, "Nothing is packed: no unit is counted."),
        ({tracking: "x" * 101}, "Tracking number: "),
        ({"carrier": "a\u202eb"}, "Carrier: "),
    ]
    for typed, problem in cases:
        with subtests.test(problem=problem):
            response = send(client, page, PACKING, do="pack", **typed)
            assert response.status_code == 200
            assert problem in response.text
            kept = fields_of(response.text)
            assert all(kept[name] == text for name, text in typed.items())
    assert not Shipment.objects.exists()


def test_buttons_count_all_or_none_and_close_orders(
    warehouse: User, warehouse_shop: Warehouse
) -> None:
    client, (first, second, _) = logged_in(warehouse), warehouse_shop.orders
    page = client.get(f"{PACKING}?orders={first.order_number},{second.order_number},2000-000001")
    assert answer_of(page.text) == ("alert", "There is no order 2000-000001.")
    lamp = f"units-{warehouse_shop.line(first, warehouse_shop.lamp)}"
    other_lamp = f"units-{warehouse_shop.line(second, warehouse_shop.lamp)}"

    text = send(client, page.text, PACKING, do=f"none {first.order_number}").text
    assert (fields_of(text)[lamp], fields_of(text)[other_lamp]) == ("0", "3")
    text = send(client, text, PACKING, do="all").text
    assert fields_of(text)[lamp] == "3"
    text = send(client, text, PACKING, do=f"close {first.order_number}").text
    assert lamp not in fields_of(text)
    # An order that is put on hold meanwhile leaves the page, and nothing is packed unseen.
    hold(second)
    response = send(client, text, PACKING, do="pack")
    assert answer_of(response.text)[0] == "alert"
    assert "on hold" in response.text
    assert not Shipment.objects.exists()


def test_nothing_unpaid_is_packed_where_payment_comes_first(
    warehouse: User, warehouse_shop: Warehouse, settings: Any
) -> None:
    client, (paid, *_) = logged_in(warehouse), warehouse_shop.orders
    settings.PAYMENT_BEFORE_PACKING = True
    fields = {"payment_id": "p", "kind": "captured", "amount": "79.60", "user_id": kit.USER}
    kit.dispatch(c.RecordPayment.model_validate({"order_id": paid.pk, **fields}))
    pending = warehouse_shop.confirmed(auto_confirm=False)
    run_projections()
    numbers = ",".join(order.order_number for order in (*warehouse_shop.orders, pending))

    packing, picks = client.get(f"{PACKING}?orders={numbers}").text, f"{PACKING}pick-list/"
    assert paid.order_number in client.get(PACKING).text
    assert packing.count('aria-labelledby="order-') == 1
    assert packing.count("not paid") == 3
    listed = client.get(f"{picks}?orders={numbers}").text
    assert f"{paid.order_number} × 3" in listed
    assert f"{pending.order_number}: not confirmed; not paid" in listed
    assert f"{pending.order_number} ×" not in listed
    assert 'work=to_pack">1' in re.sub(r"<strong>", "", client.get("/admin/").text)


# --- Dispatch ----------------------------------------------------------------------------------
def packed(shop: Warehouse, order: Order, quantity: int, **fields: Any) -> UUID:
    """Pack lamps of ``order`` and return the parcel's id."""
    items = [{"line_id": shop.line(order, shop.lamp), "quantity": quantity}]
    command = {"order_id": order.pk, "items": items, "user_id": kit.USER, **fields}
    [created, *_] = kit.dispatch(c.CreateShipment.model_validate(command))
    return UUID(str(created.shipment_id))


def test_parcels_are_dispatched_in_one_go_with_a_scanned_tracking_number_each(
    warehouse: User, warehouse_shop: Warehouse
) -> None:
    client, (first, second, third) = logged_in(warehouse), warehouse_shop.orders
    parcel = packed(warehouse_shop, first, 2)
    pair = [packed(warehouse_shop, second, 1, carrier="Bikes"), packed(warehouse_shop, second, 1)]
    run_projections()
    page = client.get(DISPATCH).text
    assert "2 × <bdi" in page
    assert third.order_number not in page
    assert not [name for name in fields_of(page) if name.startswith("select-")]
    steps = [
        (
            "1Z-1",
            "alert",
            "“1Z-1” is not the number of an order. Scan the order first, then the tracking.",
        ),
        (first.order_number, "status", f"Order {first.order_number}: scan its tracking number."),
        ("1Z-1", "status", f"1Z-1: order {first.order_number}. Scan the next order."),
        (
            second.order_number,
            "alert",
            f"Order {second.order_number} has 2 parcels here: tick the one in your hand, and scan "
            "its tracking number into its field.",
        ),
        (
            third.order_number,
            "alert",
            f"Order {third.order_number} has no parcel to dispatch: nothing of it is packed yet.",
        ),
    ]
    for code, role, text in steps:
        page = scan(client, page, DISPATCH, code)
        assert answer_of(page) == (role, text), code

    typed = {
        f"select-{pair[0]}": "on",
        f"tracking-{pair[0]}": "1Z-2",
        f"tracking-{pair[1]}": "1Z-3",
    }
    refused = send(client, page, DISPATCH, do="dispatch", carrier="Vans", **typed)
    assert "It has a tracking number, but isn&#x27;t selected." in refused.text
    assert OutboxEvent.objects.filter(type="ShipmentDispatched").count() == 0
    typed[f"select-{pair[1]}"] = "on"
    sent = send(client, refused.text, DISPATCH, do="dispatch", **typed)

    assert "3 of 3 orders done" in page_text(client, sent["Location"])
    shipments = {
        shipment.id: (shipment.status, shipment.carrier, shipment.tracking_number)
        for order in (first, second)
        for shipment in kit.stored(order.stream).shipments.values()
    }
    assert shipments == {
        parcel: ("dispatched", "Vans", "1Z-1"),
        pair[0]: ("dispatched", "Bikes", "1Z-2"),
        pair[1]: ("dispatched", "Vans", "1Z-3"),
    }
    assert "No parcel waits" in page_text(client, DISPATCH)


def test_a_parcel_is_selected_where_only_one_fits_and_never_of_an_order_on_hold(
    warehouse: User, warehouse_shop: Warehouse
) -> None:
    client, (first, second, third) = logged_in(warehouse), warehouse_shop.orders
    parcel, other = packed(warehouse_shop, first, 2), packed(warehouse_shop, second, 2)
    packed(warehouse_shop, third, 2)
    hold(third)
    numbers = ",".join(order.order_number for order in warehouse_shop.orders)
    assert parcel.hex in client.get(DISPATCH).text.replace("-", "")

    with (
        CaptureQueriesContext(connections["default"]) as write,
        CaptureQueriesContext(connections["read"]) as read,
    ):
        page = client.get(f"{DISPATCH}?orders={numbers}").text

    assert len(write) + len(read) <= 10
    fields = fields_of(page)
    assert {f"select-{parcel}", f"select-{other}"} <= set(fields)
    assert f"Order {third.order_number} has no parcel to dispatch: on hold" in page
    fields |= {"do": "dispatch", f"tracking-{parcel}": "1Z-1"}
    kit.dispatch(c.VoidShipment(order_id=second.pk, shipment_id=other, user_id=kit.USER))
    run_projections()
    assert "A selected parcel no longer waits" in client.post(DISPATCH, fields, follow=True).text
    # The number of a parcel that has one already is refused.
    page = client.get(f"{DISPATCH}?orders={first.order_number}").text
    page = scan(client, page, DISPATCH, first.order_number)
    assert answer_of(page)[0] == "status"
    form = client.get(f"/admin/ordering_read/ordersummary/{first.pk}/commands/dispatch_shipment/")
    [select] = re.findall(r'<select name="shipment_id".*?</select>', form.text, re.DOTALL)
    assert select.count("<option") == 1, "the only parcel is selected"


# --- Printing ----------------------------------------------------------------------------------
def test_a_slip_lists_the_units_of_one_parcel(
    warehouse: User, auditor: User, warehouse_shop: Warehouse
) -> None:
    order = warehouse_shop.orders[0]
    packed(warehouse_shop, order, 2)
    run_projections()

    url = f"{PACKING}slips/?orders={order.order_number}"
    page = logged_in(warehouse).get(url).text

    slips = page.split('class="printed slip"')[1:]
    units = [re.findall(r'"number">(\d+)</td><td><bdi>([\w-]+)', slip) for slip in slips]
    assert units == [[("2", "LAMP-1")], [("1", "LAMP-1"), ("1", "CHAIR-1")]]
    assert page.count("1 Example Street") == 2
    assert 'id="navigation"' not in page
    assert logged_in(auditor).get(url).status_code == 403


# --- Who may -----------------------------------------------------------------------------------
def test_only_those_who_pack_see_the_pages(
    clerk: User, warehouse: User, auditor: User, warehouse_shop: Warehouse
) -> None:
    for user, status in ((warehouse, 200), (clerk, 403), (auditor, 403)):
        client = logged_in(user)
        for url in (PACKING, DISPATCH):
            assert client.get(url).status_code == status
            assert client.post(url, {"do": "pack"}, follow=True).status_code == status
            assert (f'href="{url}"' in client.get(list_url(QUEUE)).text) is (status == 200)
        response = run_action(client, QUEUE, "pack", *QueuedOrder.live.all())
        assert response.status_code == (302 if status == 200 else 403)
