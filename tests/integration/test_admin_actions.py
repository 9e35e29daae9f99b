"""What can be done in the admin: by whom, with what effect, and how a refusal is told."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.utils.module_loading import import_string
from django_q.models import OrmQ

from config.accounts.models import User
from config.accounts.roles import Role
from ordering_read.admin import projections
from ordering_read.engine import live
from ordering_read.models import OrderSummary, Projection
from ordering_write.domain.events import OrderStatus
from ordering_write.models import Order, OutboxEvent
from tests import kit
from tests.integration.test_admin_pages import ORDERS, PROJECTIONS, Shop, project

ACTIONS = {
    "confirm_orders": ORDERS,
    "ship_orders": ORDERS,
    "cancel_orders": ORDERS,
    "rebuild": PROJECTIONS,
}
ALLOWED = {
    Role.CLERK: {"confirm_orders", "cancel_orders"},
    Role.WAREHOUSE: {"ship_orders"},
    Role.AUDITOR: set[str](),
    Role.ADMIN: set(ACTIONS),
    Role.INTEGRATION: {"confirm_orders", "ship_orders", "cancel_orders"},
}


def shown_at_once(*, event_id: UUID, projections: Sequence[str], timeout: float) -> bool:
    """Stands in for the waiting: projects, as the workers do meanwhile."""
    for name in projections:
        live.run(name)
    return True


def never_shown(*, event_id: UUID, projections: Sequence[str], timeout: float) -> bool:
    """Stands in for the waiting when no worker is there."""
    return False


@pytest.fixture
def shop(db: None, settings: Any) -> Shop:
    settings.READ_SIDE_WAIT = f"{__name__}.shown_at_once"
    shop = Shop()
    project()
    return shop


def browser(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def act(client: Client, action: str, *orders: Order, **fields: Any) -> Any:
    """Choose ``orders`` in the list and let ``action`` begin."""
    keys = OrderSummary.live.filter(order_id__in=[order.pk for order in orders])
    chosen = list(keys.values_list("pk", flat=True))
    return client.post(
        f"/admin/{ORDERS}/", {"action": action, "_selected_action": chosen, **fields}
    )


def told(response: Any) -> list[str]:
    """The messages that the next page will show."""
    return [f"{message.level_tag}: {message}" for message in get_messages(response.wsgi_request)]


def status(order: Order) -> str:
    return Order.objects.get(pk=order.pk).status


# --- By whom -----------------------------------------------------------------------------------
@pytest.mark.parametrize("role", ALLOWED)
def test_each_role_is_offered_what_it_may_do_and_refused_the_rest(
    role: Role, shop: Shop, make_user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projections, "_WAIT_SECONDS", 0)
    client = browser(make_user(role, is_staff=True))
    order_page = client.get(f"/admin/{ORDERS}/{shop.order.pk}/change/").text
    events = OutboxEvent.objects.count()

    for action in set(ACTIONS) - ALLOWED[role]:
        assert f'value="{action}"' not in order_page
        assert f'value="{action}"' not in client.get(f"/admin/{ACTIONS[action]}/").text
        refusal = client.post(
            f"/admin/{ACTIONS[action]}/",
            {
                "action": action,
                "_selected_action": [OrderSummary.live.get().pk],
                "reason": "x",
                "index": 0,
            },
        )
        assert refusal.status_code == 403
    assert OutboxEvent.objects.count() == events
    assert not OrmQ.objects.exists()

    for action in ALLOWED[role]:
        page = ACTIONS[action]
        if page == PROJECTIONS and role is Role.INTEGRATION:
            continue
        assert f'value="{action}"' in client.get(f"/admin/{page}/").text
        assert page != ORDERS or f'value="{action}"' in order_page


# --- With what effect --------------------------------------------------------------------------
def test_orders_are_confirmed_each_with_its_own_answer(shop: Shop, clerk: User) -> None:
    other = shop.place()
    kit.dispatch(kit.cancel(other))
    project()

    response = act(browser(clerk), "confirm_orders", shop.order, other)

    assert sorted(told(response)) == [
        f"error: {other.order_number}: Order {other.order_number} is cancelled; "
        "it can't become confirmed.",
        f"success: {shop.order.order_number}: confirmed",
    ]
    assert (status(shop.order), status(other)) == ("confirmed", "cancelled")
    event = OutboxEvent.objects.get(type="OrderStatusChanged")
    assert (event.channel, event.actor["label"]) == ("admin", "clerk")


def test_the_list_shows_the_effect_at_once(shop: Shop, warehouse: User) -> None:
    kit.dispatch(kit.move(shop.order, OrderStatus.CONFIRMED))
    project()
    client = browser(warehouse)

    response = act(client, "ship_orders", shop.order)

    assert told(response) == [f"success: {shop.order.order_number}: shipped"]
    assert response.url == f"/admin/{ORDERS}/"
    assert OrderSummary.live.get().status == "shipped"


def test_cancelling_asks_why_first(shop: Shop, clerk: User) -> None:
    client = browser(clerk)

    for fields in ({}, {"reason": "  "}, {"reason": "x" * 501}):
        page = act(client, "cancel_orders", shop.order, **fields)
        assert page.status_code == 200
        assert shop.order.order_number in page.text
        assert 'name="reason"' in page.text
    assert status(shop.order) == "pending"

    response = act(client, "cancel_orders", shop.order, reason="Ordered twice")

    assert told(response) == [f"success: {shop.order.order_number}: cancelled"]
    assert OutboxEvent.objects.get(type="OrderCancelled").data["reason"] == "Ordered twice"


def test_a_shipped_order_is_not_cancelled(shop: Shop, clerk: User) -> None:
    other = shop.place()
    for step in (OrderStatus.CONFIRMED, OrderStatus.SHIPPED):
        kit.dispatch(kit.move(shop.order, step))
    project()

    response = act(browser(clerk), "cancel_orders", shop.order, other, reason="Too late")

    assert sorted(told(response)) == [
        f"error: {shop.order.order_number}: Cannot cancel shipped order",
        f"success: {other.order_number}: cancelled",
    ]


def test_a_button_of_an_order_leads_back_to_it(shop: Shop, clerk: User) -> None:
    response = act(browser(clerk), "confirm_orders", shop.order, from_page="1")

    assert response.url == f"/admin/{ORDERS}/{shop.order.pk}/change/"
    assert status(shop.order) == "confirmed"


def test_a_projection_that_is_behind_is_told_and_the_command_stands(
    shop: Shop, clerk: User, settings: Any
) -> None:
    settings.READ_SIDE_WAIT = f"{__name__}.never_shown"

    response = act(browser(clerk), "confirm_orders", shop.order)

    assert told(response) == [
        f"success: {shop.order.order_number}: confirmed",
        "warning: This page doesn't show it yet: the projection is behind. Load it again soon.",
    ]
    assert status(shop.order) == "confirmed"


def test_one_click_acts_on_one_page_of_orders_at_most(shop: Shop, clerk: User) -> None:
    orders = [shop.order, *(shop.place() for _ in range(50))]
    project()

    response = act(browser(clerk), "confirm_orders", shop.order, select_across="1")

    assert told(response) == ["error: Choose at most 50 orders at once."]
    assert {status(order) for order in orders} == {"pending"}


# --- Rebuilding --------------------------------------------------------------------------------
def rebuild(user: User, *names: str) -> Any:
    chosen = Projection.objects.filter(name__in=names).values_list("pk", flat=True)
    return browser(user).post(
        f"/admin/{PROJECTIONS}/", {"action": "rebuild", "_selected_action": list(chosen)}
    )


def test_a_rebuild_waits_for_a_worker(
    shop: Shop, admin_user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projections, "_WAIT_SECONDS", 0)

    response = rebuild(admin_user, "order_view", "customer_view")

    assert OrmQ.objects.count() == 1
    assert told(response) == [
        f"warning: Projection {name}: the rebuild is queued; it starts when a worker is free."
        for name in ("customer_view", "order_view")
    ]
    task = OrmQ.objects.get().task
    assert task["func"] == "ordering_read.tasks.rebuild"
    assert task["args"] == ("customer_view", "order_view")


def test_a_quick_rebuild_is_done_when_the_page_comes_back(
    shop: Shop, admin_user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def at_once(task: str, *names: str, **_options: Any) -> None:
        import_string(task)(*names)

    monkeypatch.setattr(projections, "async_task", at_once)

    response = rebuild(admin_user, "order_view")

    assert told(response) == ["success: Projection order_view: rebuilt; generation 2 is live."]
    assert OrderSummary.live.get().order_number == shop.order.order_number
