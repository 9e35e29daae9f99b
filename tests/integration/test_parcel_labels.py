"""The label of a packed parcel holds the address of its order."""

from collections.abc import Callable
from typing import Any, ClassVar
from uuid import UUID

import pytest
from pydantic import ValidationError
from rest_framework.test import APIClient

from config.accounts.models import User
from ordering_write.domain import commands as c
from ordering_write.domain import errors
from ordering_write.domain import events as e
from ordering_write.models import Customer, Order
from ordering_write.ports.carrier import Booking, Parcel
from tests import kit
from tests.integration.test_policies import events_of
from tests.kit import ADDRESS, NOW
from tests.kit_policies import HOUR, Carrier, give, plug, run_policies

pytestmark = pytest.mark.usefixtures("db")

ELSEWHERE = {**ADDRESS, "line1": "2 Example Street"}
LABELS: tuple[dict[str, str], ...] = (
    {"tracking_number": "1Z999"},
    {"tracking_url": "https://carrier.example/1Z999"},
)


@pytest.fixture
def order(customer: Customer) -> Order:
    """A confirmed order of two units."""
    return kit.placed_order(customer, (kit.registered_product(), 2), auto_confirm=True)


class SlowCarrier(Carrier):
    """A carrier during whose call something else happens."""

    meanwhile: ClassVar[list[Callable[[], object]]] = []

    def book(self, parcel: Parcel, *, key: UUID) -> Booking | None:
        if self.meanwhile:
            self.meanwhile.pop()()
        booking = Booking(carrier="Sample Post", tracking_number=f"SP{len(self.requests) + 1}")
        self.ask("book", key, parcel)
        return booking


def pack(order: Order) -> Any:
    """Return the id of a packed parcel with one unit."""
    [line_id] = kit.stored(order.stream).lines
    items = [{"line_id": line_id, "quantity": 1}]
    return give(c.CreateShipment, order, items=items)[0].shipment_id


def move_elsewhere(order: Order) -> Any:
    return give(c.ChangeShippingAddress, order, shipping_address=ELSEWHERE)


def test_a_label_keeps_the_address_until_its_shipment_is_voided(
    order: Order, subtests: pytest.Subtests
) -> None:
    for label in LABELS:
        with subtests.test(str(label)):
            shipment_id = pack(order)
            give(c.UpdateTracking, order, shipment_id=shipment_id, **label)
            with pytest.raises(errors.LabelledError, match=f"void the shipment {shipment_id}"):
                move_elsewhere(order)
            give(c.VoidShipment, order, shipment_id=shipment_id)
    assert move_elsewhere(order)
    kit.check_rows_equal_log()


def test_a_packed_parcel_without_a_label_keeps_no_address(order: Order) -> None:
    pack(order)
    [changed] = move_elsewhere(order)
    assert changed.to_address.line1 == "2 Example Street"


def test_a_labelled_parcel_is_answered_with_409_and_shown_in_the_actions(
    order: Order, admin_user: User
) -> None:
    give(c.UpdateTracking, order, shipment_id=pack(order), tracking_number="1Z999")
    client, url = APIClient(), f"/api/v1/orders/{order.pk}"
    client.force_authenticate(admin_user)

    body = {"shipping_address": ELSEWHERE}
    headers = {"If-Match": "*"}
    answer = client.put(f"{url}/shipping-address", body, format="json", headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (409, "parcel_labelled")
    actions = {action["name"]: action for action in client.get(f"{url}/actions").json()["actions"]}
    assert actions["change_shipping_address"]["reason"]["code"] == "parcel_labelled"


def test_a_parcel_whose_address_changes_while_it_is_booked_is_booked_again(
    settings: Any, order: Order
) -> None:
    plug(settings, carrier=SlowCarrier)
    SlowCarrier.meanwhile = [lambda: move_elsewhere(order)]
    pack(order)

    run_policies(NOW)
    assert events_of(order, e.TrackingUpdated) == []
    run_policies(NOW + HOUR)

    addresses = [parcel.to.line1 for parcel in SlowCarrier.calls("book")]
    assert addresses == ["1 Example Street", "2 Example Street"]
    assert len(set(SlowCarrier.keys())) == 2
    [tracked] = events_of(order, e.TrackingUpdated)
    assert tracked.tracking_number == "SP2"


def test_a_tracking_url_is_a_web_address_without_a_login(subtests: pytest.Subtests) -> None:
    shipment = {"user_id": kit.USER, "order_id": kit.uuid7(), "shipment_id": kit.uuid7()}
    refused = (
        *("https://user:password@carrier.example/1", "https://user@carrier.example/1"),
        *("https://:password@carrier.example", "HTTPS://carrier.example@evil.example/1"),
        *("https:\\\\user:password@carrier.example", "javascript:alert(1)", "ftp://a.example"),
        *("https://", "//carrier.example/1", "carrier.example/1", "data:text/html,1"),
    )
    for command_type in (c.DispatchShipment, c.UpdateTracking):
        for url in refused:
            with subtests.test(command_type.__name__, url=url), pytest.raises(ValidationError):
                command_type.model_validate({**shipment, "tracking_url": url})
        for url in ("", "https://carrier.example/1?at=a@b", "HTTP://CARRIER.example:8080/1#2"):
            with subtests.test(command_type.__name__, url=url):
                tracking = command_type.model_validate({**shipment, "tracking_url": url})
                assert tracking.model_dump()["tracking_url"] == url
