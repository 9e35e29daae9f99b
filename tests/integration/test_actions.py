"""The actions of an order: the commands that it accepts now, and the refusals of the others."""

from datetime import UTC, datetime
from random import Random
from typing import Any
from uuid import uuid4

import pytest
from rest_framework.test import APIClient

from config.accounts.roles import Role
from config.http.answers import problems
from ordering_read.engine import live
from ordering_read.projector import registered
from ordering_write.api import OrderCommands
from ordering_write.bus import get_command_bus
from ordering_write.bus.actions import Action, actions_of
from ordering_write.domain import commands as c
from ordering_write.domain.errors import (
    DomainError,
    ExceedsTotalError,
    NotFoundError,
    PriceRiseError,
    ReturnClosedError,
    ShipmentStateError,
)
from ordering_write.models import Customer, Order
from tests import kit
from tests.integration.test_read_api import ROOT, client_of
from tests.kit_walks import MOVES, SEEDS, Step, Walk
from tests.proof import size

pytestmark = pytest.mark.django_db(databases=["default", "read"])

# All actions are checked before each of so many moves of a walk, from another move on in each walk.
PACE = size(15, full=3)


@pytest.fixture
def order(customer: Customer) -> Order:
    return kit.placed_order(customer, (kit.registered_product(), 2))


def actions_of_client(client: APIClient, order: Order) -> dict[str, dict[str, Any]]:
    """Return the actions of ``order`` that ``client`` gets, by name."""
    answer = client.get(f"{ROOT}/orders/{order.pk}/actions")
    assert answer.status_code == 200
    assert answer.json()["order_id"] == str(order.pk)
    return {action["name"]: action for action in answer.json()["actions"]}


@pytest.mark.proof
@pytest.mark.parametrize("seed", SEEDS)
def test_an_action_has_the_refusal_that_the_bus_would_answer(seed: int) -> None:
    walk, dice = Walk(), Random(seed)
    for number in range(MOVES):
        if number % PACE == seed % PACE:
            now = datetime.now(UTC)
            for action in actions_of(walk.order.pk, now=now):
                check(walk, action, now)
        walk.take(dice)


def check(walk: Walk, action: Action, now: datetime) -> None:
    """Check that ``action`` has the refusal that its command meets."""
    refusal = None
    try:
        step = Step(action.command, part=0, units=1)
        get_command_bus().preview(walk.command(step, timestamp=now))
    except DomainError as error:
        refusal = error
    if isinstance(refusal, NotFoundError) and action.refusal is not None:
        # The order has no part that the command could name.
        return
    for_its_part = ShipmentStateError | ReturnClosedError | ExceedsTotalError | PriceRiseError
    if isinstance(refusal, for_its_part) and action.refusal is None:
        # The command would be accepted for another shipment or return, or another amount.
        return
    expected = (type(action.refusal), str(action.refusal))
    assert (type(refusal), str(refusal)) == expected, action.name


def test_actions_list_every_command_about_an_order(order: Order) -> None:
    routes = {
        route.slug
        for route in OrderCommands.routes
        # CreateOrder makes an order, and UpdateOrderStatus is a shortcut.
        if route.command not in (c.CreateOrder, c.UpdateOrderStatus)
    }
    assert actions_of_client(client_of(Role.ADMIN), order).keys() == routes


def test_an_action_has_its_address_and_the_reason_of_a_refusal(order: Order) -> None:
    actions = actions_of_client(client_of(Role.ADMIN), order)

    url = f"http://testserver{ROOT}/orders/{order.pk}"
    assert actions["confirm_order"] == {
        "name": "confirm_order",
        "method": "POST",
        "address": f"{url}/confirm",
        "needed_permission": "ordering_write.confirm_order",
        "allowed": True,
        "reason": None,
    }
    assert actions["dispatch_shipment"]["address"] == (f"{url}/shipments/{{shipment_id}}/dispatch")
    assert (actions["untag_order"]["method"], actions["untag_order"]["address"]) == (
        "DELETE",
        f"{url}/tags/{{tag}}",
    )
    refused = client_of(Role.ADMIN).post(f"{url}/complete", {}, "json").json()
    assert not actions["complete_order"]["allowed"]
    assert actions["complete_order"]["reason"] == {
        "code": refused["code"],
        "detail": refused["detail"],
    }


@pytest.mark.parametrize("role", Role)
def test_an_action_without_its_permission_is_not_allowed(order: Order, role: Role) -> None:
    if role is Role.MONITOR:
        return
    client = client_of(role, customer_id=order.customer_id)
    user = client.handler._force_user  # type: ignore[attr-defined]

    for action in actions_of_client(client, order).values():
        if user.has_perm(action["needed_permission"]):
            assert action["reason"] is None or action["reason"]["code"] != "permission_denied"
        else:
            assert not action["allowed"]
            assert action["reason"] == {
                "code": "permission_denied",
                "detail": f"This needs the permission {action['needed_permission']}.",
            }


def test_a_customer_sees_the_actions_of_their_own_orders(order: Order) -> None:
    client = client_of(Role.CUSTOMER, customer_id=order.customer_id)
    other = client_of(Role.CUSTOMER, customer_id=uuid4())

    allowed = {
        name for name, action in actions_of_client(client, order).items() if action["allowed"]
    }

    assert allowed == {"cancel_order"}
    for path in (order.pk, uuid4(), "x"):
        answer = other.get(f"{ROOT}/orders/{path}/actions")
        assert (answer.status_code, answer.json()["detail"]) == (404, "Order not found")


def test_actions_are_never_stale_and_never_cached(order: Order) -> None:
    client = client_of(Role.ADMIN)
    assert actions_of_client(client, order)["cancel_order"]["allowed"]
    kit.dispatch(kit.cancel(order))

    answer = client.get(f"{ROOT}/orders/{order.pk}/actions")

    [cancel] = [action for action in answer.json()["actions"] if action["name"] == "cancel_order"]
    assert not cancel["allowed"]
    assert answer["Cache-Control"] == "private, no-store"
    assert not answer.has_header("ETag")
    assert answer["Projection-Lag"] == "0.0"


def test_an_order_links_to_its_actions(order: Order) -> None:
    live.run(*registered())
    client = client_of(Role.ADMIN)
    url = f"{ROOT}/orders/{order.pk}"

    linked = client.get(url).json()["links"]["actions"]

    assert client.get(linked).status_code == 200
    page = client.get(url, headers={"Accept": "text/html"}).content.decode()
    assert f"{url}/actions" in page
    shown = client.get(f"{url}/actions", headers={"Accept": "text/html"})
    assert "confirm_order" in shown.content.decode()


def test_the_code_of_a_refused_action_is_a_problem(order: Order) -> None:
    for action in actions_of_client(client_of(Role.ADMIN), order).values():
        if action["reason"]:
            assert problems.by_slug(action["reason"]["code"].replace("_", "-"))
