"""Commands in the admin: who is offered which, what they ask for, and what comes of a click."""

import re
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.contrib.messages import get_messages
from django.test import Client
from uuid_utils.compat import uuid7

from config.accounts.models import User
from ordering_read import permissions
from ordering_read.admin.commands import CommandPages
from ordering_read.admin.labels import command_slug
from ordering_read.engine import live
from ordering_read.models import CustomerSummary, InventoryLevel, OrderSummary
from ordering_write.domain.commands import Command
from ordering_write.domain.events import OrderStatus
from ordering_write.handlers import HANDLERS
from ordering_write.models import Order, OutboxEvent
from tests import kit
from tests.integration.test_admin_pages import CUSTOMERS, INVENTORY, ORDERS, Shop, project

PAGES: dict[str, Any] = {
    page: admin.site._registry[model]
    for page, model in (
        (ORDERS, OrderSummary),
        (INVENTORY, InventoryLevel),
        (CUSTOMERS, CustomerSummary),
    )
}


def kinds_of(pages: Any) -> list[type[Command]]:
    assert isinstance(pages, CommandPages)
    return [kind for group in pages.commands.values() for kind in group]


OF_ONE = [(page, kind) for page, pages in PAGES.items() for kind in kinds_of(pages)]
OF_NONE = [(page, kind) for page, pages in PAGES.items() for kind in pages.new]


def name_of(value: Any) -> str:
    return value.__name__ if isinstance(value, type) else ""


each_command = pytest.mark.parametrize(("page", "kind"), OF_ONE + OF_NONE, ids=name_of)


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


@pytest.fixture
def staff(make_user: Any) -> Callable[..., User]:
    """``staff(codename, …)`` makes a user who sees every page and has these permissions beside."""
    sees = {value for name, value in vars(permissions).items() if name.startswith("VIEW_")}

    def make(*codenames: str) -> User:
        user: User = make_user(None, username=f"user-{uuid7().hex}", is_staff=True)
        names = {name.partition(".")[2] for name in sees if isinstance(name, str)}
        wanted = {*codenames, *names, "act_for_every_customer"}
        user.user_permissions.set(Permission.objects.filter(codename__in=wanted))
        return user

    return make


def browser(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def address(shop: Shop, page: str, kind: type[Command]) -> str:
    if kind in PAGES[page].new:
        return f"/admin/{page}/new/{command_slug(kind)}/"
    return shop.detail_of(page).replace("change/", f"commands/{command_slug(kind)}/")


def of_order(shop: Shop, name: str) -> str:
    return f"/admin/{ORDERS}/{shop.order.pk}/commands/{name}/"


def hidden(response: Any) -> dict[str, str]:
    """The hidden fields of the form on a page."""
    tags = re.findall(r'<input type="hidden" [^>]*>', response.text)
    named = [(re.search(r'name="([^"]+)"', t), re.search(r'value="([^"]*)"', t)) for t in tags]
    return {name[1]: value[1] if value else "" for name, value in named if name}


def give(client: Client, where: str, **fields: Any) -> Any:
    """Fill a form in, look at the preview and confirm it: the answer to the confirmation."""
    form = client.get(where)
    assert form.status_code == 200
    preview = client.post(where, {**hidden(form), **fields, "preview": "1"})
    assert 'name="confirm"' in preview.text, preview.text
    return client.post(where, {**hidden(preview), "confirm": "1"})


def told(response: Any) -> list[str]:
    """The messages that the next page will show."""
    return [f"{message.level_tag}: {message}" for message in get_messages(response.wsgi_request)]


def status(order: Order) -> str:
    return Order.objects.get(pk=order.pk).status


# --- By whom -----------------------------------------------------------------------------------
def test_every_command_has_a_button() -> None:
    assert {kind for _page, kind in OF_ONE + OF_NONE} == set(HANDLERS)


@each_command
def test_without_its_permission_there_is_no_button_and_no_way(
    shop: Shop, staff: Any, auditor: User, page: str, kind: type[Command]
) -> None:
    others = {name for each in HANDLERS for name in each.permissions} - set(kind.permissions)
    events = OutboxEvent.objects.count()
    where = address(shop, page, kind)

    for user in (staff(*others), auditor):
        client = browser(user)
        seen = f"/admin/{page}/" if kind in PAGES[page].new else shop.detail_of(page)
        assert where not in client.get(seen).text
        assert client.get(where).status_code == 403
        for step in ("preview", "confirm"):
            assert client.post(where, {step: "1", "command_id": uuid4()}).status_code == 403
    assert OutboxEvent.objects.count() == events


@each_command
def test_with_its_permission_there_is_a_form(
    shop: Shop, staff: Any, page: str, kind: type[Command]
) -> None:
    client = browser(staff(*kind.permissions))
    where = address(shop, page, kind)

    form = client.get(where)

    assert form.status_code == 200
    for field in re.findall(r'<(?:input|select|textarea) [^>]*id="([^"]+)"', form.text):
        if f'type="hidden" name="{field.removeprefix("id_")}"' not in form.text:
            assert f'for="{field}"' in form.text, f"{field} has no label"
    assert "<script" not in form.text.replace("<script src=", "")


@pytest.mark.parametrize("kind", PAGES[ORDERS].bulk, ids=name_of)
def test_an_action_on_many_orders_needs_its_permission(
    shop: Shop, staff: Any, kind: type[Command]
) -> None:
    others = {name for each in HANDLERS for name in each.permissions} - set(kind.permissions)
    client = browser(staff(*others))

    assert f'value="{command_slug(kind)}"' not in client.get(f"/admin/{ORDERS}/").text
    assert act(client, command_slug(kind), shop.order, give="1").status_code == 403


def test_csrf_is_checked(shop: Shop, clerk: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(clerk)

    answer = client.post(of_order(shop, "confirm_order"), {"command_id": uuid4(), "confirm": "1"})

    assert (answer.status_code, status(shop.order)) == (403, "pending")


# --- One order ---------------------------------------------------------------------------------
def test_a_command_is_previewed_confirmed_and_seen(shop: Shop, clerk: User) -> None:
    client = browser(clerk)
    where = of_order(shop, "confirm_order")

    preview = client.get(where)
    assert "Order status changed" in preview.text
    assert status(shop.order) == "pending"
    response: Any = client.post(where, {**hidden(preview), "confirm": "1"})

    page = f"/admin/{ORDERS}/{shop.order.pk}/change/"
    assert response.url == page
    assert told(response) == [
        f'success: Confirm order: done. <a href="{page}#event-3">Show the event</a>'
    ]
    event = OutboxEvent.objects.get(type="OrderStatusChanged")
    assert (event.channel, event.actor["label"]) == ("admin", "clerk")
    assert OrderSummary.live.get().status == "confirmed"


def test_two_clicks_are_one_command(shop: Shop, clerk: User) -> None:
    client = browser(clerk)
    where = of_order(shop, "add_note")
    said = {"command_id": str(uuid4()), "text": "Ring twice", "visibility": "internal"}

    for _click in range(2):
        assert client.post(where, {**said, "confirm": "1"}).status_code == 302

    assert OutboxEvent.objects.filter(type="NoteAdded").count() == 1


def test_what_is_not_possible_says_why(shop: Shop, clerk: User) -> None:
    kit.dispatch(kit.cancel(shop.order))
    project()

    page = browser(clerk).get(f"/admin/{ORDERS}/{shop.order.pk}/change/").text

    [button] = re.findall(r"<button[^>]*>Confirm order</button>", page)
    assert "disabled" in button
    assert f"Order {shop.order.order_number} is cancelled" in button
    assert of_order(shop, "add_note") in page


def test_a_refusal_is_shown_in_the_form(shop: Shop, clerk: User) -> None:
    kit.dispatch(kit.cancel(shop.order))
    client = browser(clerk)

    answer = client.get(of_order(shop, "confirm_order"))

    assert "is cancelled; it can&#x27;t become confirmed" in answer.text
    assert 'name="confirm"' not in answer.text


def test_a_mistake_is_shown_at_its_field(shop: Shop, clerk: User) -> None:
    client = browser(clerk)

    answer = client.post(
        of_order(shop, "tag_order"), {"command_id": uuid4(), "tag": "Not A Slug", "preview": "1"}
    )

    field = answer.context["form"]["tag"]
    assert "pattern" in str(field.errors)
    assert 'value="Not A Slug"' in answer.text


def test_units_are_picked_by_line(shop: Shop, admin_user: User) -> None:
    kit.dispatch(kit.move(shop.order, OrderStatus.CONFIRMED))
    project()
    client = browser(admin_user)
    form = client.get(of_order(shop, "create_shipment"))
    [picker] = re.findall(r'name="(items-[^"]+-quantity)" value="2"', form.text)

    response = give(client, of_order(shop, "create_shipment"), **{picker: "1"})

    assert response.status_code == 302
    assert OutboxEvent.objects.get(type="ShipmentCreated").data["items"][0]["quantity"] == 1


def test_too_many_units_are_refused_at_their_line(shop: Shop, admin_user: User) -> None:
    kit.dispatch(kit.move(shop.order, OrderStatus.CONFIRMED))
    project()
    client = browser(admin_user)
    where = of_order(shop, "cancel_order_items")
    form = client.get(where)
    [picker] = re.findall(r'name="(items-[^"]+-quantity)"', form.text)

    answer = client.post(
        where, {**hidden(form), picker: "9", "reason": "Ordered twice", "preview": "1"}
    )

    assert answer.status_code == 200
    assert 'name="confirm"' not in answer.text
    assert "errorlist" in answer.text


def test_an_edit_is_of_what_was_seen(shop: Shop, clerk: User) -> None:
    client = browser(clerk)
    where = of_order(shop, "change_item_quantity")
    form = client.get(where)
    [line] = re.findall(r'<option value="([0-9a-f-]{36})"', form.text)
    kit.dispatch(kit.move(shop.order, OrderStatus.CONFIRMED))

    answer = client.post(
        where, {**hidden(form), "line_id": line, "new_quantity": "1", "preview": "1"}
    )

    assert "You expected version 2, but it is at version 3." in answer.text


def test_what_is_so_already_changes_nothing(shop: Shop, clerk: User) -> None:
    client = browser(clerk)
    give(client, of_order(shop, "tag_order"), tag="gift")

    response = give(client, of_order(shop, "tag_order"), tag="gift")

    assert told(response) == ["info: Tag order: no change was needed."]
    assert OutboxEvent.objects.filter(type="OrderTagged").count() == 1


def test_a_projection_that_is_behind_is_told_and_the_command_stands(
    shop: Shop, clerk: User, settings: Any
) -> None:
    settings.READ_SIDE_WAIT = f"{__name__}.never_shown"

    response = give(browser(clerk), of_order(shop, "confirm_order"))

    assert told(response)[0] == (
        "warning: The projection is behind: this page doesn't show the change yet. Reload it soon."
    )
    assert status(shop.order) == "confirmed"


def test_an_order_is_placed_on_the_telephone(shop: Shop, clerk: User) -> None:
    client = browser(clerk)
    where = f"/admin/{ORDERS}/new/create_order/"
    form = client.get(where)
    assert '<option value="LAMP-1">Desk lamp, 998 available, 19.90 EUR</option>' in form.text
    said = {
        "customer_id": shop.customer.email,
        "items-1-product_id": "LAMP-1",
        "items-1-quantity": "3",
        "shipping_address-name": "Robin Sample",
        "shipping_address-line1": "1 Example Street",
        "shipping_address-city": "Sampleton",
        "shipping_address-country": "ES",
    }

    nobody = client.post(where, {**hidden(form), **said, "customer_id": "x@y.z", "preview": "1"})
    assert "There is no customer x@y.z." in nobody.text
    response = give(client, where, **said)

    placed = OrderSummary.live.exclude(order_id=shop.order.pk).get()
    assert response.url == f"/admin/{ORDERS}/{placed.order_id}/change/"
    assert (placed.unit_count, str(placed.total_amount)) == (3, "59.7000")


# --- Products and customers --------------------------------------------------------------------
def test_stock_is_received_on_the_page_of_a_product(shop: Shop, warehouse: User) -> None:
    where = f"/admin/{INVENTORY}/{shop.product.pk}/commands/receive_stock/"

    response = give(browser(warehouse), where, quantity="5")

    assert response.url == f"/admin/{INVENTORY}/{shop.product.pk}/change/"
    assert InventoryLevel.live.get(product_id=shop.product.pk).on_hand == 1005


def test_a_customer_is_registered(shop: Shop, clerk: User) -> None:
    where = f"/admin/{CUSTOMERS}/new/register_customer/"

    give(browser(clerk), where, name="Kim Example", email="kim@example.com")

    assert CustomerSummary.live.filter(email="kim@example.com").exists()


# --- Many orders -------------------------------------------------------------------------------
def act(client: Client, action: str, *orders: Order, **fields: Any) -> Any:
    """Choose ``orders`` in the list and let ``action`` begin."""
    keys = OrderSummary.live.filter(order_id__in=[order.pk for order in orders])
    chosen = list(keys.values_list("pk", flat=True))
    return client.post(
        f"/admin/{ORDERS}/", {"action": action, "_selected_action": chosen, **fields}
    )


def test_orders_are_confirmed_each_with_its_own_answer(shop: Shop, clerk: User) -> None:
    other = shop.place()
    kit.dispatch(kit.cancel(other))
    project()

    response = act(browser(clerk), "confirm_order", shop.order, other)

    assert sorted(told(response)) == [
        f"error: {other.order_number}: Order {other.order_number} is cancelled; "
        "it can't become confirmed.",
        f"success: {shop.order.order_number}: Confirm order: done",
    ]
    assert (status(shop.order), status(other)) == ("confirmed", "cancelled")


def test_what_many_orders_need_is_asked_for_once(shop: Shop, clerk: User) -> None:
    client = browser(clerk)
    other = shop.place()
    project()

    for fields in ({}, {"give": "1", "reason": "  "}, {"give": "1", "reason": "x" * 501}):
        page = act(client, "cancel_order", shop.order, other, **fields)
        assert page.status_code == 200
        assert shop.order.order_number in page.text
        assert 'name="reason"' in page.text
    assert status(shop.order) == "pending"
    given = {"give": "1", "reason": "Ordered twice", "reason_code": "customer"}
    response = act(client, "cancel_order", shop.order, other, **given)

    assert len(told(response)) == 2
    assert {status(order) for order in (shop.order, other)} == {"cancelled"}
    reasons = OutboxEvent.objects.filter(type="OrderCancelled").values_list("data", flat=True)
    assert [data["reason"] for data in reasons] == ["Ordered twice"] * 2


def test_one_click_acts_on_one_page_of_orders_at_most(shop: Shop, clerk: User) -> None:
    orders = [shop.order, *(shop.place() for _ in range(50))]
    project()

    response = act(browser(clerk), "confirm_order", shop.order, select_across="1")

    assert told(response) == ["error: Select at most 50 orders at once."]
    assert {status(order) for order in orders} == {"pending"}
