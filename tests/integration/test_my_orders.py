"""The pages of customers: their orders and no others; cancel, return and order again."""

import re
from datetime import UTC, datetime
from html import unescape
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from config.accounts.models import User
from config.accounts.roles import Role
from ordering_read.engine import waiting
from ordering_read.my import orders as orders_module
from ordering_read.projector import projector
from ordering_write.domain import commands as c
from ordering_write.domain.events import OrderStatus, ReturnReason
from ordering_write.models import Customer, Order, OutboxEvent
from tests import kit
from tests.integration.test_headers import Markup
from tests.integration.test_parking import Poison
from tests.kit_admin import logged_in, run_projections
from tests.proof import size

pytestmark = pytest.mark.usefixtures("db")

ORDERS, LOGOUT = "/my/orders/", "/my/logout/"
RIGHT_TO_LEFT = "עששית שולחן"


def visible_at_once(**_kwargs: Any) -> bool:
    """Replaces READ_SIDE_WAIT: runs the projections, as workers would in the meantime."""
    run_projections()
    return True


def never_visible(**_kwargs: Any) -> waiting.Visibility:
    """Replaces READ_SIDE_WAIT: times out, as it does without workers."""
    return waiting.BEHIND


@pytest.fixture(autouse=True)
def _workers(settings: Any) -> None:
    settings.READ_SIDE_WAIT = f"{__name__}.visible_at_once"


@pytest.fixture
def browser(customer_user: User) -> Client:
    """Return a browser in which the customer is logged in."""
    return logged_in(customer_user)


def order_url(order: Order, page: str = "") -> str:
    return f"{ORDERS}{order.order_number}/{page}"


def text_of(response: Any) -> str:
    """Return the text of a page's main part, after checking its markup."""
    assert response.status_code == 200
    assert Markup(response.text).blocked == []
    main = response.text.partition("<main")[2].partition("</main>")[0].partition(">")[2]
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", main)).strip())


def page(browser: Client, url: str) -> str:
    return text_of(browser.get(url))


def hidden(browser: Client, url: str) -> dict[str, str]:
    """Return the hidden fields of the form on a page."""
    form = browser.get(url).text.partition("<main")[2]
    return dict(re.findall(r'<input type="hidden" name="(key|shown)" value="([^"]*)"', form))


def delivered(order: Order) -> Order:
    for status in (OrderStatus.CONFIRMED, OrderStatus.SHIPPED, OrderStatus.DELIVERED):
        kit.dispatch(kit.move(order, status, timestamp=datetime.now(UTC)))
    return order


def types_of(order: Order) -> list[str]:
    events = OutboxEvent.objects.filter(stream=order.stream).order_by("version")
    return list(events.values_list("type", flat=True))


# --- What customers see ------------------------------------------------------------------------
def test_customers_see_their_orders_by_pages_and_no_others(
    browser: Client, customer: Customer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(orders_module, "_ORDERS", 2)
    product = kit.registered_product(100)
    orders = [kit.placed_order(customer, (product, 1)) for _ in range(3)]
    other = kit.placed_order(kit.registered_customer("Kim Example"), (product, 1))
    run_projections()

    newest, oldest = page(browser, ORDERS), page(browser, f"{ORDERS}?page=2")

    assert "Received" in newest
    assert "19.90 EUR" in newest
    listed = [order.order_number for order in orders if order.order_number in newest]
    assert len(listed) == 2
    assert [order.order_number in oldest for order in orders].count(True) == 1
    assert other.order_number not in newest + oldest
    assert "Older orders" in newest
    assert "Newer orders" in oldest
    assert "There are no more orders" in page(browser, f"{ORDERS}?page=9")
    assert page(browser, f"{ORDERS}?page=x") == newest


def test_the_page_of_an_order_shows_what_is_public(browser: Client, customer: Customer):
    lamp = kit.registered_product(50, name=f"{RIGHT_TO_LEFT} <b>{'x' * 150}</b>", sku="LAMP-1")
    order = kit.placed_order(customer, (lamp, 3), tags=["suspicious"], note="Call the bank.")
    order_id = {"user_id": kit.USER, "order_id": order.pk}
    kit.dispatch(c.AddNote(text="Left at the door.", visibility="customer", **order_id))
    kit.dispatch(c.AssignOrder(assignee=None, **order_id))
    kit.dispatch(kit.move(order, OrderStatus.CONFIRMED))
    line_id = next(iter(kit.stored(order.stream).lines))
    [packed, *_] = kit.dispatch(
        c.CreateShipment(
            items=[{"line_id": line_id, "quantity": 2}], carrier="Sample Post", **order_id
        )
    )
    kit.dispatch(
        c.DispatchShipment(
            shipment_id=packed.shipment_id,
            tracking_number="1Z999",
            tracking_url="https://carrier.example/1Z999",
            **order_id,
        )
    )
    run_projections()
    browser.get(ORDERS)

    with (
        CaptureQueriesContext(connections["default"]) as write,
        CaptureQueriesContext(connections["read"]) as read,
    ):
        response = browser.get(order_url(order))

    assert len(write) + len(read) <= 10
    text = text_of(response)
    for shown in (
        "Partly on its way",
        "3 × 19.90 EUR",
        "2 on the way, 1 not sent yet",
        "Parcel 1: On its way",
        "Sample Post",
        "Note: Left at the door.",
        "Order placed",
        "1 Example Street",
        "To pay 59.70 EUR",
    ):
        assert shown in text
    for secret in ("suspicious", "Call the bank", "cli", "python", "a program"):
        assert secret not in text
    assert 'href="https://carrier.example/1Z999"' in response.text
    assert f'<bdi class="name">{RIGHT_TO_LEFT} &lt;b&gt;' in response.text
    assert response["Cache-Control"] == "no-store"


def test_amounts_have_the_decimals_of_their_currency(browser: Client, customer: Customer):
    product = kit.registered_product(50, list_price="1200", currency="JPY")
    items = [{"product_id": product.pk, "quantity": 2, "unit_price": "1200"}]
    order = kit.placed_order(customer, currency="JPY", items=items)
    run_projections()

    assert "Total 2,400 JPY" in page(browser, order_url(order))


def test_an_order_of_another_customer_is_not_found_by_any_method(
    browser: Client, subtests: pytest.Subtests
):
    other = kit.placed_order(kit.registered_customer("Kim"), (kit.registered_product(), 1))
    delivered(other)
    run_projections()

    for name in ("", "cancel/", "return/", "again/"):
        for method in ("get", "head", "options", "post", "put", "patch", "delete"):
            for url in (order_url(other, name), f"{ORDERS}2026-999999/{name}"):
                with subtests.test(url, method=method):
                    assert getattr(browser, method)(url).status_code == 404
    assert "OrderCancelled" not in types_of(other)


def test_staff_customers_and_strangers_are_led_to_their_own_pages(
    browser: Client, clerk: User, make_user: Any
):
    run_projections()
    assert browser.get("/my/", follow=True).redirect_chain[-1][0] == ORDERS
    staff = logged_in(clerk).get(ORDERS, follow=True)
    assert staff.redirect_chain == [("/admin/", 302)]
    led = browser.get("/admin/", follow=True).redirect_chain
    assert led[-1][0] == ORDERS
    assert len(led) <= 3
    assert Client().get(ORDERS)["Location"] == f"{reverse('my:login')}?next=/my/orders/"
    assert 'href="/my/"' in Client().get("/").text
    for name in ("orders", "order", "cancel", "return", "reorder"):
        url = reverse(f"my:{name}", args=[] if name == "orders" else ["2026-000001"])
        for method in ("get", "post"):
            assert getattr(Client(), method)(url)["Location"] == f"{reverse('my:login')}?next={url}"
            assert getattr(logged_in(clerk), method)(url)["Location"] == "/admin/"
    # A user without a role, and a customer without orders.
    assert logged_in(make_user(None)).get(ORDERS).status_code == 403
    assert "no orders yet" in page(logged_in(make_user(Role.CUSTOMER, username="new")), ORDERS)


def test_a_form_of_another_site_changes_nothing(customer_user: User, customer: Customer):
    order = kit.placed_order(customer, (kit.registered_product(), 1))
    run_projections()
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(customer_user)
    for url in (*(order_url(order, name) for name in ("cancel/", "return/", "again/")), LOGOUT):
        assert browser.post(url).status_code == 403
    for name in ("login", "ask-link", "ask-order-link", "open-link"):
        assert Client(enforce_csrf_checks=True).post(reverse(f"my:{name}")).status_code == 403


def test_requests_are_limited_as_those_of_the_api(browser: Client, settings: Any):
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "reads": 2}
    run_projections()
    assert [browser.get(ORDERS).status_code for _ in range(3)] == [200, 200, 429]


# --- Cancel ------------------------------------------------------------------------------------
def test_an_order_is_cancelled_after_a_question_and_once(browser: Client, customer: Customer):
    order = kit.placed_order(customer, (kit.registered_product(), 2))
    run_projections()
    url = order_url(order, "cancel/")

    assert "Cancel the order" in page(browser, order_url(order))
    assert "which can’t be undone" in page(browser, url)
    assert types_of(order).count("OrderCancelled") == 0
    fields = hidden(browser, url)
    for _ in range(2):
        response = browser.post(url, fields, follow=True)
        assert response.redirect_chain == [(order_url(order), 302)]
        assert "The order is cancelled." in text_of(response)
    assert "Cancelled" in text_of(response)
    assert types_of(order).count("OrderCancelled") == 1
    event = OutboxEvent.objects.get(stream=order.stream, type="OrderCancelled")
    assert (event.channel, event.actor["label"]) == ("site", "customer")
    # Another form of the same page comes too late.
    refused = browser.post(url, {"key": "00000000-0000-4000-8000-000000000001"}, follow=True)
    assert f"Order {order.order_number} is cancelled already." in text_of(refused)
    incomplete = browser.post(url, {"key": "nonsense"}, follow=True)
    assert "This form is incomplete." in text_of(incomplete)


def test_an_order_that_is_being_picked_says_why_it_cannot_be_cancelled(
    browser: Client, customer: Customer
):
    order = kit.placed_order(customer, (kit.registered_product(), 2))
    for status in (OrderStatus.CONFIRMED, OrderStatus.PROCESSING):
        kit.dispatch(kit.move(order, status))
    run_projections()

    text = page(browser, order_url(order))
    assert "Cancel the order" not in text
    assert "ask the shop to cancel it" in text
    refused = browser.post(
        order_url(order, "cancel/"), hidden(browser, order_url(order, "cancel/")), follow=True
    )
    assert "is being picked" in text_of(refused)
    assert "OrderCancelled" not in types_of(order)


def test_a_command_whose_effect_is_late_says_so(browser: Client, customer: Customer, settings: Any):
    settings.READ_SIDE_WAIT = f"{__name__}.never_visible"
    order = kit.placed_order(customer, (kit.registered_product(), 2))
    run_projections()
    url = order_url(order, "cancel/")

    response = browser.post(url, hidden(browser, url), follow=True)

    assert "It was accepted, and is shown here in a moment." in text_of(response)
    # The page of a new order may not be there yet.
    url = order_url(order, "again/")
    response = browser.post(url, hidden(browser, url), follow=True)
    assert response.redirect_chain == [(ORDERS, 302)]
    assert "your order is placed. It was accepted" in text_of(response)


# --- Return ------------------------------------------------------------------------------------
def test_a_return_is_asked_for_by_line_with_a_reason(browser: Client, customer: Customer):
    lamp, mug = kit.registered_product(name="Lamp"), kit.registered_product(name="Mug")
    order = delivered(kit.placed_order(customer, (lamp, 2), (mug, 3)))
    run_projections()
    url = order_url(order, "return/")
    first, second = kit.stored(order.stream).lines
    quantity, reason = f"quantity-{first}", f"reason-{first}"
    fields = hidden(browser, url)

    assert "Send something back" in page(browser, order_url(order))
    assert re.findall(r'id="([^"]+)"[^>]* autofocus', browser.get(url).text) == [quantity]
    for typed, problem in (
        ({}, "Say how many you want to send back"),
        ({quantity: "0", f"quantity-{second}": "0"}, "Say how many you want to send back"),
        ({quantity: "3", reason: "late"}, "Give a number from 0 to 2."),
        ({quantity: "-1", reason: "late"}, "Give a number from 0 to 2."),
        ({quantity: "²", reason: "late"}, "Give a number from 0 to 2."),
        ({quantity: "1", reason: ""}, "Choose a reason."),
        ({quantity: "1", reason: "a whim"}, "Choose a reason."),
    ):
        answer = browser.post(url, {**fields, **typed})
        assert problem in text_of(answer), typed
        assert f'value="{typed.get(quantity, "0")}"' in answer.text
    assert "ReturnRequested" not in types_of(order)

    typed = {quantity: "1", reason: ReturnReason.DAMAGED}
    for _ in range(2):
        response = browser.post(url, {**fields, **typed}, follow=True)
        assert response.redirect_chain == [(order_url(order), 302)]
    assert types_of(order).count("ReturnRequested") == 1
    repeated = browser.post(url, {**fields, **typed, reason: "late"})
    assert "This form was sent before, and is done." in text_of(repeated)
    text = text_of(response)
    assert "The return is asked for." in text
    assert "1 to be sent back, 1 delivered" in text
    assert "Asked for" in text
    # The rest may be sent back, and no more.
    assert "0 to 1" in page(browser, url)


def test_a_return_that_comes_too_late_is_refused_with_the_date(
    browser: Client, customer: Customer, settings: Any
):
    order = kit.placed_order(customer, (kit.registered_product(), 1))
    for status in (OrderStatus.CONFIRMED, OrderStatus.SHIPPED, OrderStatus.DELIVERED):
        kit.dispatch(kit.move(order, status))
    run_projections()
    url = order_url(order, "return/")
    [line_id] = kit.stored(order.stream).lines

    assert "could be returned until 2026-03-31" in page(browser, order_url(order))
    typed = {f"quantity-{line_id}": "1", f"reason-{line_id}": "late"}
    refused = browser.post(url, {**hidden(browser, url), **typed})
    assert "could be returned until 2026-03-31" in text_of(refused)


# --- Order again -------------------------------------------------------------------------------
def test_an_order_is_placed_again_as_it_was_shown(browser: Client, customer: Customer):
    lamp, mug, rug, vase = (
        kit.registered_product(10, name=name) for name in ("Lamp", "Mug", "Rug", "Vase")
    )
    sofa = kit.registered_product(0, name="Sofa", backorderable=True)
    order = kit.placed_order(customer, (lamp, 2), (mug, 3), (rug, 4), (vase, 1), (sofa, 1))
    user = {"user_id": kit.USER}
    kit.dispatch(c.SetListPrice(product_id=lamp.pk, list_price="25.00", currency="EUR", **user))
    kit.dispatch(c.DiscontinueStockItem(product_id=mug.pk, **user))
    kit.placed_order(customer, (rug, 5), (vase, 9))
    run_projections()
    url = order_url(order, "again/")

    text = page(browser, url)

    assert "Lamp 2 × 25.00 EUR It was 19.90 EUR." in text
    assert "Mug Left out It isn't sold any more." in text
    assert "Rug 1 × 19.90 EUR Only 1 of 4 are left." in text
    assert "Vase Left out It is sold out." in text
    assert "Sofa 1 × 19.90 EUR" in text
    assert "Total with taxes 89.80 EUR" in text
    fields = hidden(browser, url)
    before = Order.objects.count()
    for _ in range(2):
        response = browser.post(url, fields, follow=True)
    assert Order.objects.count() == before + 1
    placed = Order.objects.latest("placed_at")
    assert response.redirect_chain == [(order_url(placed), 302)]
    assert "your order is placed" in text_of(response)
    assert (placed.customer_id, str(placed.total)) == (customer.pk, "89.8000")


def test_an_order_is_shown_again_by_few_statements(browser: Client, customer: Customer):
    products = [kit.registered_product(10, name=name) for name in ("Lamp", "Mug", "Rug")]
    order = kit.placed_order(customer, *((product, 1) for product in products))
    run_projections()
    url = order_url(order, "again/")
    # The first request of a user deletes old counters.
    page(browser, url)
    cache.clear()

    with (
        CaptureQueriesContext(connections["default"]) as write,
        CaptureQueriesContext(connections["read"]) as read,
    ):
        text = page(browser, url)

    assert "Total with taxes 59.70 EUR" in text
    # The rollback of a transaction, instead of a savepoint within that of the test, releases none.
    releases = [query for query in write if query["sql"].startswith("RELEASE")]
    assert len(write) + len(read) - len(releases) <= 10


def test_a_price_that_has_changed_since_is_shown_before_anything_is_placed(
    browser: Client, customer: Customer
):
    lamp = kit.registered_product(10)
    order = kit.placed_order(customer, (lamp, 2))
    other = kit.placed_order(customer, (lamp, 1))
    run_projections()
    url = order_url(order, "again/")
    fields, fields_of_other = hidden(browser, url), hidden(browser, order_url(other, "again/"))
    kit.dispatch(
        c.SetListPrice(product_id=lamp.pk, list_price="25.00", currency="EUR", user_id=kit.USER)
    )
    run_projections()

    refused = browser.post(url, fields, follow=True)

    assert refused.redirect_chain == [(url, 302)]
    text = text_of(refused)
    assert "Look at the order once more" in text
    assert "2 × 25.00 EUR" in text
    for shown in ("", "forged", fields_of_other["shown"]):
        answer = browser.post(url, {**fields, "shown": shown}, follow=True)
        assert "Look at the order once more before you place it." in text_of(answer)
    assert Order.objects.count() == 2


def test_a_customer_who_may_not_order_is_told_so(browser: Client, customer: Customer):
    lamp = kit.registered_product(10)
    order = kit.placed_order(customer, (lamp, 2))
    kit.dispatch(c.BlockCustomer(customer_id=customer.pk, reason="Never pays", user_id=kit.USER))
    run_projections()

    text = page(browser, order_url(order, "again/"))

    assert "The customer is blocked and can't place orders." in text
    assert "Place the order" not in text


# --- Honest and light --------------------------------------------------------------------------
def test_a_row_that_lacks_events_is_marked(
    browser: Client, customer: Customer, monkeypatch: pytest.MonkeyPatch
):
    order = kit.placed_order(customer, (kit.registered_product(), 1))
    run_projections()
    kit.dispatch(kit.cancel(order))
    Poison(type(projector("order_view")), monkeypatch).add(order, 3)
    run_projections()

    assert "(not up to date)" in page(browser, ORDERS)
    assert "aren’t shown here yet" in page(browser, order_url(order))


@pytest.mark.proof
def test_many_lines_stay_light(
    browser: Client, customer: Customer, monkeypatch: pytest.MonkeyPatch
):
    lines = size(50, full=200)
    monkeypatch.setattr(orders_module, "_ENTRIES", lines // 2)
    product = kit.registered_product(1_000)
    order = delivered(kit.placed_order(customer, *[(product, 1)] * lines))
    run_projections()
    browser.get(ORDERS)
    for name in ("", "return/", "again/"):
        with (
            CaptureQueriesContext(connections["default"]) as write,
            CaptureQueriesContext(connections["read"]) as read,
        ):
            response = browser.get(order_url(order, name))
        assert response.status_code == 200
        if name != "again/":
            assert len(write) + len(read) <= 10
    # The timeline goes on behind a link.
    first = browser.get(order_url(order))
    assert "arrived" not in text_of(first)
    [later] = re.findall(r'href="(\?cursor=[^"]+)">Show what happened later', first.text)
    assert "Order placed" not in page(browser, order_url(order) + later)
    assert browser.get(f"{order_url(order)}?cursor=nonsense").status_code == 400
