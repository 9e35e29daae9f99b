"""Commands in the admin: which users get which buttons, the forms, and the outcome of a click."""

import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.db import connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from uuid_utils.compat import uuid7

from config.accounts.models import User
from ordering_read import permissions
from ordering_read.admin.labels import command_slug
from ordering_read.engine import live, waiting
from ordering_read.models import CustomerSummary, InventoryLevel, OrderSummary
from ordering_write.domain.commands import Command
from ordering_write.domain.events import OrderStatus
from ordering_write.handlers import all_handlers, handler_of
from ordering_write.models import Order, OutboxEvent
from tests import kit
from tests.kit_admin import (
    CUSTOMERS,
    INVENTORY,
    ORDERS,
    Shop,
    list_url,
    logged_in,
    messages_of,
    projected_shop,
    row_url,
    run_action,
    run_projections,
)

ADMINS: dict[str, Any] = {
    page: admin.site._registry[model]
    for page, model in (
        (ORDERS, OrderSummary),
        (INVENTORY, InventoryLevel),
        (CUSTOMERS, CustomerSummary),
    )
}
# The page and the type of each command that has a button.
BUTTONS: list[tuple[str, type[Command]]] = [
    (page, command_type)
    for page, model_admin in ADMINS.items()
    for group in (*model_admin.commands.values(), model_admin.new)
    for command_type in group
]
ADDRESS_FIELDS = {
    "shipping_address-name": "Robin Sample",
    "shipping_address-line1": "1 Example Street",
    "shipping_address-city": "Sampleton",
    "shipping_address-country": "ES",
}


def visible_at_once(*, event_id: UUID, projections: Sequence[str], timeout: float) -> bool:
    """Replaces READ_SIDE_WAIT: runs the projections, as workers would in the meantime."""
    live.run(*projections)
    return True


def never_visible(
    *, event_id: UUID, projections: Sequence[str], timeout: float
) -> waiting.Visibility:
    """Replaces READ_SIDE_WAIT: times out, as it does without workers."""
    return waiting.BEHIND


@pytest.fixture
def shop(db: None, settings: Any) -> Shop:
    settings.READ_SIDE_WAIT = f"{__name__}.visible_at_once"
    return projected_shop()


@pytest.fixture
def staff(make_user: Any) -> Callable[..., User]:
    """``staff(codename, …)`` makes a user who sees every page and has these permissions too."""
    names = [name for name in vars(permissions) if name.startswith("VIEW_")]
    views = {getattr(permissions, name).partition(".")[2] for name in names}

    def make(*codenames: str) -> User:
        user: User = make_user(None, username=f"user-{uuid7().hex}", is_staff=True)
        granted = {*codenames, *views, "act_for_every_customer"}
        user.user_permissions.set(Permission.objects.filter(codename__in=granted))
        return user

    return make


def permissions_of(*command_types: type[Command]) -> set[str]:
    """Return the codenames of the permissions by which such commands can be given."""
    return {
        permission.codename
        for command_type in command_types
        for permission in handler_of(command_type).permissions
    }


def other_permissions(*command_types: type[Command]) -> set[str]:
    """Return the permissions of all commands except those of ``command_types``."""
    return permissions_of(*all_handlers()) - permissions_of(*command_types)


def command_url(shop: Shop, page: str, command_type: type[Command]) -> str:
    slug = command_slug(command_type)
    if command_type in ADMINS[page].new:
        return f"/admin/{page}/new/{slug}/"
    return shop.url(page).replace("change/", f"commands/{slug}/")


def order_command_url(shop: Shop, slug: str) -> str:
    return f"/admin/{ORDERS}/{shop.order.pk}/commands/{slug}/"


def hidden_fields(response: Any) -> dict[str, str]:
    """Return the hidden fields of the form on a page."""
    tags = re.findall(r'<input type="hidden" [^>]*>', response.text)
    pairs = [(re.search(r'name="([^"]+)"', t), re.search(r'value="([^"]*)"', t)) for t in tags]
    return {name[1]: value[1] if value else "" for name, value in pairs if name}


def send(client: Client, url: str, fields: Any) -> Any:
    """Send the form, and return the page to which its answer leads."""
    page = client.post(url, {**fields, "preview": "1"}, follow=True)
    assert page.redirect_chain[0][0].startswith(url)
    return page


def submit(client: Client, url: str, **fields: Any) -> Any:
    """Fill in the form, confirm the preview, and return the response to the confirmation."""
    form = client.get(url)
    assert form.status_code == 200
    preview = send(client, url, {**hidden_fields(form), **fields})
    assert 'name="confirm"' in preview.text, preview.text
    return client.post(url, {**hidden_fields(preview), "confirm": "1"})


def status(order: Order) -> str:
    return Order.objects.get(pk=order.pk).status


# --- Permissions -------------------------------------------------------------------------------
def test_every_command_has_a_button() -> None:
    routed = {command for command, handler in all_handlers().items() if handler.has_route}
    assert {command_type for _, command_type in BUTTONS} == routed


def test_without_its_permission_a_command_has_no_button_and_is_refused(
    shop: Shop, staff: Any, auditor: User
) -> None:
    events = OutboxEvent.objects.count()
    deviations = []

    for page in ADMINS:
        of_page = [command_type for its_page, command_type in BUTTONS if its_page == page]
        # Each user lacks the permissions of some commands of the page, the auditor those of all.
        parts = [of_page[start::2] for start in range(2)]
        lacking = [(staff(*other_permissions(*part)), part, ("", "confirm")) for part in parts]
        for user, command_types, clicks in [*lacking, (auditor, of_page, ("preview",))]:
            client = logged_in(user)
            buttons = client.get(list_url(page)).text + client.get(shop.url(page)).text
            for command_type in command_types:
                url = command_url(shop, page, command_type)
                statuses = {status_of(client, url, click) for click in clicks}
                if url in buttons or statuses != {403}:
                    deviations.append((command_type, user, url in buttons, statuses))

    assert deviations == []
    assert OutboxEvent.objects.count() == events


def status_of(client: Client, url: str, click: str) -> int:
    """Return the status of a command's form, or of a ``click`` in it: "preview" or "confirm"."""
    if not click:
        return client.get(url).status_code
    return client.post(url, {"command_id": uuid4(), click: "1"}).status_code


def test_with_its_permission_a_command_has_a_form_with_labels(shop: Shop, staff: Any) -> None:
    deviations: list[Any] = []

    @cache
    def client_with(codenames: frozenset[str]) -> Client:
        return logged_in(staff(*codenames))

    for page, command_type in BUTTONS:
        client = client_with(frozenset(permissions_of(command_type)))
        form = client.get(command_url(shop, page, command_type))
        if form.status_code != 200 or "<script" in form.text.replace("<script src=", ""):
            deviations.append((command_type, form.status_code))
        for field in re.findall(r'<(?:input|select|textarea) [^>]*id="([^"]+)"', form.text):
            is_hidden = f'type="hidden" name="{field.removeprefix("id_")}"' in form.text
            is_button = f'type="submit" class="default" id="{field}"' in form.text
            if not (is_hidden or is_button) and f'for="{field}"' not in form.text:
                deviations.append((command_type, f"{field} has no label"))

    assert deviations == []


def test_a_bulk_action_needs_the_permission_of_its_command(shop: Shop, staff: Any) -> None:
    row = OrderSummary.live.get()
    deviations = []

    for command_type in ADMINS[ORDERS].bulk:
        client = logged_in(staff(*other_permissions(command_type)))
        slug = command_slug(command_type)
        is_offered = f'value="{slug}"' in client.get(list_url(ORDERS)).text
        response = run_action(client, ORDERS, slug, row)
        if is_offered or response.status_code != 403:
            deviations.append((command_type, is_offered, response.status_code))

    assert deviations == []


def test_a_command_needs_a_csrf_token(shop: Shop, clerk: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(clerk)
    url = order_command_url(shop, "confirm_order")

    response = client.post(url, {"command_id": uuid4(), "confirm": "1"})

    assert (response.status_code, status(shop.order)) == (403, "pending")


# --- One order ---------------------------------------------------------------------------------
def test_a_command_is_previewed_confirmed_and_visible(shop: Shop, clerk: User) -> None:
    client = logged_in(clerk)
    url = order_command_url(shop, "confirm_order")

    preview = client.get(url)
    assert "Order status changed" in preview.text
    assert status(shop.order) == "pending"
    response = client.post(url, {**hidden_fields(preview), "confirm": "1"})

    page = row_url(ORDERS, shop.order.pk)
    link = f'<a href="{page}#event-3">Show the event</a>'
    assert response.headers["Location"] == page
    assert messages_of(response) == [f"success: Confirm order: done. {link}"]
    event = OutboxEvent.objects.get(type="OrderStatusChanged")
    assert (event.channel, event.actor["label"]) == ("admin", "clerk")
    assert OrderSummary.live.get().status == "confirmed"


def test_a_second_click_repeats_the_command(shop: Shop, clerk: User) -> None:
    client = logged_in(clerk)
    url = order_command_url(shop, "add_note")
    fields = {"command_id": str(uuid4()), "text": "Ring twice", "visibility": "internal"}

    preview = send(client, url, fields)
    # The order keeps the ids of its notes only.
    assert "<dt>Text</dt><dd><bdi>Ring twice</bdi></dd>" in preview.text
    assert "<td>" not in preview.text
    for _ in range(2):
        assert client.post(url, {**fields, "confirm": "1"}).status_code == 302

    assert OutboxEvent.objects.filter(type="NoteAdded").count() == 1


def test_a_command_that_is_refused_now_stands_beside_the_reason(shop: Shop, clerk: User) -> None:
    kit.dispatch(kit.cancel(shop.order))
    run_projections()

    page = logged_in(clerk).get(row_url(ORDERS, shop.order.pk)).text

    # In plain sight, once for all commands of a group that have the same reason.
    assert re.search(
        r'<span class="refused">Confirm order[^<]*</span> <span class="quiet">'
        rf"Order {shop.order.order_number} is cancelled",
        page,
    )
    assert "<details" not in page.partition('id="commands"')[2].partition("</section>")[0]
    assert order_command_url(shop, "add_note") in page


def test_the_form_shows_a_refusal(shop: Shop, clerk: User) -> None:
    kit.dispatch(kit.cancel(shop.order))

    form = logged_in(clerk).get(order_command_url(shop, "confirm_order"))

    assert "is cancelled; it can&#x27;t become confirmed" in form.text
    assert 'name="confirm"' not in form.text


def test_the_form_shows_an_invalid_value_at_its_field(shop: Shop, clerk: User) -> None:
    fields = {"command_id": uuid4(), "tag": "Not A Slug"}

    form = send(logged_in(clerk), order_command_url(shop, "tag_order"), fields)

    assert "A tag is lower-case letters and digits" in str(form.context["form"]["tag"].errors)
    assert 'value="Not A Slug"' in form.text


def test_a_shipment_takes_the_units_typed_for_each_line(shop: Shop, admin_user: User) -> None:
    kit.dispatch(kit.move(shop.order, OrderStatus.CONFIRMED))
    run_projections()
    client = logged_in(admin_user)
    url = order_command_url(shop, "create_shipment")
    [field] = re.findall(r'name="(items-[^"]+-quantity)" value="2"', client.get(url).text)

    response = submit(client, url, **{field: "1"})

    assert response.status_code == 302
    assert OutboxEvent.objects.get(type="ShipmentCreated").data["items"][0]["quantity"] == 1


def test_too_many_units_are_refused_at_their_line(shop: Shop, admin_user: User) -> None:
    kit.dispatch(kit.move(shop.order, OrderStatus.CONFIRMED))
    run_projections()
    client = logged_in(admin_user)
    url = order_command_url(shop, "cancel_order_items")
    form = client.get(url)
    [field] = re.findall(r'name="(items-[^"]+-quantity)"', form.text)
    fields = {field: "9", "reason": "Ordered twice"}

    response = send(client, url, {**hidden_fields(form), **fields})

    assert response.status_code == 200
    assert 'name="confirm"' not in response.text
    assert "errorlist" in response.text


def test_an_edit_expects_the_version_that_the_form_showed(shop: Shop, clerk: User) -> None:
    client = logged_in(clerk)
    url = order_command_url(shop, "change_item_quantity")
    form = client.get(url)
    [line_id] = re.findall(r'<option value="([0-9a-f-]{36})"', form.text)
    kit.dispatch(kit.move(shop.order, OrderStatus.CONFIRMED))
    fields = {"line_id": line_id, "new_quantity": "1"}

    response = send(client, url, {**hidden_fields(form), **fields})

    assert "Changed since you opened it" in response.text
    assert "confirmed the order" in response.text


def test_a_discount_of_a_line_is_added_and_removed(shop: Shop, clerk: User) -> None:
    client = logged_in(clerk)
    url = order_command_url(shop, "adjust_order")
    form = client.get(url)
    assert 'name="taxes' not in form.text
    [line_id] = re.findall(r'<option value="([0-9a-f-]{36})"', form.text)
    fields = {"kind": "discount", "label": "Scratched", "amount": "5.00", "reason": "Agreed"}

    submit(client, url, **fields, line_id=line_id)
    lower = Order.objects.get(pk=shop.order.pk).total
    url = order_command_url(shop, "remove_adjustment")
    [(adjustment_id, label)] = re.findall(
        r'<option value="([0-9a-f-]{36})"[^>]*>([^<]+)<', client.get(url).text
    )
    submit(client, url, adjustment_id=adjustment_id)

    assert label == "Scratched, 5.00 EUR"
    assert Order.objects.get(pk=shop.order.pk).total == lower + 5 == shop.order.total


def test_a_repeated_tag_needs_no_change(shop: Shop, clerk: User) -> None:
    client = logged_in(clerk)
    submit(client, order_command_url(shop, "tag_order"), tag="gift")

    response = submit(client, order_command_url(shop, "tag_order"), tag="gift")

    assert messages_of(response) == ["info: Tag order: no change was needed."]
    assert OutboxEvent.objects.filter(type="OrderTagged").count() == 1


def test_a_projection_that_is_behind_causes_a_warning_only(
    shop: Shop, clerk: User, settings: Any
) -> None:
    settings.READ_SIDE_WAIT = f"{__name__}.never_visible"

    response = submit(logged_in(clerk), order_command_url(shop, "confirm_order"))

    assert messages_of(response)[0] == (
        "warning: Confirm order: accepted, not shown yet, because changes take longer than usual: "
        "look again soon."
    )
    assert not any(message.startswith("success") for message in messages_of(response))
    assert status(shop.order) == "confirmed"


def test_a_clerk_places_an_order_for_a_customer(shop: Shop, clerk: User) -> None:
    client = logged_in(clerk)
    url = f"/admin/{ORDERS}/new/create_order/"
    form = client.get(url)
    assert '<option value="LAMP-1">Desk lamp, 998 available, 19.90 EUR</option>' in form.text
    fields = {
        "customer_id": shop.customer.email,
        "items-1-product_id": "LAMP-1",
        "items-1-quantity": "3",
        **ADDRESS_FIELDS,
    }

    unknown = {**fields, "customer_id": "x@y.z"}
    refused = send(client, url, {**hidden_fields(form), **unknown})
    assert "There is no customer x@y.z." in refused.text
    response = submit(client, url, **fields)

    order = OrderSummary.live.exclude(order_id=shop.order.pk).get()
    assert response.headers["Location"] == row_url(ORDERS, order.order_id)
    assert (order.unit_count, str(order.total_amount)) == (3, "59.7000")


def test_only_those_who_see_e_mail_addresses_find_a_customer_by_one(shop: Shop, staff: Any) -> None:
    user = staff("create_order")
    codename = permissions.VIEW_PII.partition(".")[2]
    user.user_permissions.remove(Permission.objects.get(codename=codename))
    client = logged_in(user)
    url = f"/admin/{ORDERS}/new/create_order/"
    fields = {"customer_id": shop.customer.email, **ADDRESS_FIELDS}

    page = send(client, url, {**hidden_fields(client.get(url)), **fields}).text

    assert f"There is no customer {shop.customer.email}." in page


def test_a_form_of_many_lines_costs_as_many_queries_as_a_form_of_one(
    shop: Shop, clerk: User
) -> None:
    client = logged_in(clerk)
    long_order = shop.place(lines=20)
    run_projections()
    client.get(order_command_url(shop, "cancel_order_items"))

    costs = []
    for order in (shop.order, long_order):
        with (
            CaptureQueriesContext(connections["default"]) as written,
            CaptureQueriesContext(connections["read"]) as read,
        ):
            client.get(f"/admin/{ORDERS}/{order.pk}/commands/cancel_order_items/")
        costs.append(len(written) + len(read))

    assert costs[0] == costs[1] <= 5


# --- Products and customers --------------------------------------------------------------------
def test_the_page_of_a_product_receives_stock(shop: Shop, warehouse: User) -> None:
    url = f"/admin/{INVENTORY}/{shop.product.pk}/commands/receive_stock/"

    response = submit(logged_in(warehouse), url, quantity="5")

    assert response.headers["Location"] == row_url(INVENTORY, shop.product.pk)
    assert InventoryLevel.live.get(product_id=shop.product.pk).on_hand == 1005


def test_the_list_of_customers_registers_a_customer(shop: Shop, clerk: User) -> None:
    url = f"/admin/{CUSTOMERS}/new/register_customer/"

    submit(logged_in(clerk), url, name="Kim Example", email="kim@example.com")

    assert CustomerSummary.live.filter(email="kim@example.com").exists()


@pytest.mark.usefixtures("db")
def test_the_forms_of_a_new_product_and_customer_explain_themselves(admin_user: User) -> None:
    client = logged_in(admin_user)

    product = client.get(f"/admin/{INVENTORY}/new/register_stock_item/").text
    customer = client.get(f"/admin/{CUSTOMERS}/new/register_customer/").text

    assert re.findall(r"<summary>(.*?)</summary>", product) == ["Stock", "Price", "Delivery"]
    assert product.count("<details") == len(re.findall("<details[^>]* open", product))
    assert re.search(r'<input[^>]*name="sku"[^>]* autofocus', product)
    assert "Register product</h1>" in product
    for text in ("such as LAMP-1", "low in stock", "Untick for what customers pick up"):
        assert text in product, text
    assert '<option value="EUR">EUR, Euro</option>' in product
    assert re.findall(r"<summary>(.*?)</summary>", customer) == ["More"]
    assert re.search(r'<input[^>]*name="name"[^>]* autofocus', customer)
    assert "Customers are found by the last digits." in customer
    for page in (product, customer):
        helps = re.findall(r'aria-describedby="(\w+_helptext)"', page)
        assert helps
        assert all(f'id="{name}"' in page for name in helps)
