"""The day of each role in a real browser, on the real server with real workers.

Every page on the way is checked for people who use a keyboard, a screen reader or a phone.
"""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group
from django.test import Client, override_settings

from config.accounts.models import User
from config.accounts.roles import Role
from tests.acceptance.service import Service, wait_until
from tests.acceptance.shop import Shop
from tests.browser import WCAG, Visitor, missing_browser, running_browser
from tests.patience import PATIENCE_SECONDS
from tests.proof import IS_PROOF

_MISSING = missing_browser()
pytestmark = [pytest.mark.proof, pytest.mark.skipif(bool(_MISSING), reason=_MISSING)]

PASSWORD = "a password of the walks"


@pytest.fixture(scope="module")
def sessions(service: Service) -> dict[Role, str]:
    """Make a person of each role; return the keys of their sessions."""
    # Hashed once: it takes half a second.
    password = make_password(PASSWORD)
    with service.connected(), override_settings(SECRET_KEY=service.environ["SECRET_KEY"]):
        return {role: _session_of_new_user(role, password) for role in Role}


def _session_of_new_user(role: Role, password: str) -> str:
    is_staff = role is not Role.CUSTOMER
    user = User.objects.create(
        username=_name(role),
        password=password,
        is_staff=is_staff,
        # As the first login of a shop, which sees the roles too.
        is_superuser=role is Role.ADMIN,
    )
    user.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(user)
    return str(client.session.session_key)


def _name(role: Role) -> str:
    return f"walking-{role.lower()}"


@pytest.fixture(scope="module")
def browser(sessions: dict[Role, str]) -> Iterator[Any]:
    """Yield a browser, after all sessions are made.

    Django refuses to work in the thread of a running browser.
    """
    with running_browser() as browser:
        yield browser


class Visits:
    """Opens the browsers of people: ``visits(Role.CLERK)`` returns that of a clerk."""

    def __init__(self, browser: Any, url: str, sessions: dict[Role, str]) -> None:
        self._browser, self._url, self._sessions = browser, url, sessions
        self.visitors: list[Visitor] = []

    def __call__(self, role: Role) -> Visitor:
        visitor = self.stranger()
        visitor.open_session(settings.SESSION_COOKIE_NAME, self._sessions[role])
        return visitor

    def by_password(self, role: Role, path: str) -> Visitor:
        """Return the browser of a person who has logged in by the form at ``path``."""
        visitor = self.stranger()
        visitor.log_in(_name(role), PASSWORD, path=path)
        return visitor

    def stranger(self) -> Visitor:
        """Return the browser of a person who isn't logged in."""
        visitor = Visitor(self._browser, self._url)
        self.visitors.append(visitor)
        return visitor


@pytest.fixture
def visits(browser: Any, service: Service, sessions: dict[Role, str]) -> Iterator[Visits]:
    visits = Visits(browser, service.url, sessions)
    yield visits
    for visitor in visits.visitors:
        visitor.close()


def test_a_stranger_reads_the_pages_of_developers(visits: Visits) -> None:
    stranger = visits.stranger()

    for path in ("/", "/api/v1", "/admin/login/", "/my/login/"):
        stranger.visit(path)
    if not IS_PROOF:
        stranger.page.route("**/api/schema*", _shorten)
    stranger.page.goto("/api/docs")
    stranger.page.wait_for_selector(".opblock", state="attached")
    stranger.check(WCAG)


def _shorten(route: Any) -> None:
    """Answer with the document of the customers only: showing the whole takes many seconds."""
    document = route.fetch(timeout=1000 * PATIENCE_SECONDS).json()
    paths = document["paths"].items()
    document["paths"] = {path: item for path, item in paths if "/customers" in path}
    route.fulfill(json=document)


def test_a_clerk_takes_an_order_on_the_phone_and_confirms_it(shop: Shop, visits: Visits) -> None:
    product = shop.product(sku="WALK-1", name="Walking stick")
    shop.read(f"/inventory/{product}")
    clerk = visits.by_password(Role.CLERK, "/admin/login/")
    page = clerk.page
    clerk.check(again=True)

    # From Today by keys alone: the page of the new order, its customer and its line.
    loads: list[str] = []
    page.on("framenavigated", lambda frame: loads.append(frame.url))
    page.keyboard.press("n")
    page.wait_for_url("**/admin/orders/new/")
    clerk.check()
    page.get_by_label("A new customer").check()
    page.get_by_label("Name", exact=True).first.fill("Noor Sample")
    page.get_by_label("E-mail address", exact=True).fill("noor.sample@example.com")
    page.locator("#line-1-product").fill("WALK-1")
    page.locator("#line-1-quantity").fill("2")
    page.get_by_label("Street and number").fill("1 Example Street")
    page.get_by_label("City").fill("Sampleton")
    page.get_by_label("Postal code").fill("12345")
    page.get_by_role("button", name="Show the total").last.click()
    page.get_by_role("button", name="Place the order").click()
    page.wait_for_url(re.compile("/admin/ordering_read/ordersummary/.*/change/"))
    clerk.check()
    assert len(loads) <= 3, loads

    page.get_by_role("link", name="Confirm order").first.click()
    clerk.check()
    page.get_by_role("button", name="Confirm order").click()
    page.wait_for_url(re.compile("/change/"))
    assert page.get_by_text("Status confirmed").is_visible()
    clerk.check(again=True)

    # A part goes back with three keys and two page loads.
    order = page.url.split("/")[-3]
    number = page.locator("h1").inner_text().removeprefix("Order ")
    _done(shop, f"/orders/{order}/payments", payment_id="till", kind="captured", amount="39.80")
    shop.service.settle()
    loads.clear()
    page.keyboard.press("/")
    page.keyboard.type(number)
    with page.expect_navigation():
        page.keyboard.press("Enter")
    page.locator("#refund-amount").fill("5")
    page.locator("#refund-reason").fill("Scratched")
    page.locator("#refund-reason").press("Enter")
    page.wait_for_selector("#confirm")
    clerk.check()
    with page.expect_navigation():
        page.locator("#confirm").press("Enter")
    assert page.get_by_text("Request refund: done.").is_visible()
    assert len(loads) == 2, loads


_HELD_ANSWERS = """
const send = window.fetch;
window.fetch = async (...request) => {
  const response = await send(...request);
  if (request[1]?.method !== "POST" || !window.holdsNext) return response;
  window.holdsNext = false;
  const read = response.text.bind(response);
  const released = new Promise((resolve) => { window.release = resolve; });
  response.text = async () => {
    await released;
    const text = await read();
    // After the page has used the text.
    setTimeout(() => { window.release = null; });
    return text;
  };
  return response;
};
"""


def test_a_late_answer_to_a_change_replaces_no_later_answer(shop: Shop, visits: Visits) -> None:
    product = shop.product(sku="LATE-1", name="Late lamp")
    shop.read(f"/inventory/{product}")
    page = visits(Role.CLERK).page
    page.add_init_script(_HELD_ANSWERS)
    page.goto("/admin/orders/new/")

    def show_the_total_before_the_answer_to_a_change(note: str, expected: Any) -> None:
        page.evaluate("window.holdsNext = true")
        page.get_by_label("Note for the shop").fill(note)
        page.get_by_label("Note for the shop").press("Tab")
        wait_until(lambda: page.evaluate("Boolean(window.release)"), missing="no answer is held")
        page.get_by_role("button", name="Show the total").last.click()
        expected.wait_for()
        page.evaluate("window.release()")
        wait_until(lambda: page.evaluate("window.release === null"), missing="it isn't used")
        assert expected.is_visible()

    page.locator("#line-1-product").fill("LATE-1")
    page.locator("#line-1-product").press("Tab")
    page.locator("#line-1-about", has_text="Late lamp").wait_for()
    complaint = page.locator("#total strong", has_text="to correct first")
    show_the_total_before_the_answer_to_a_change("Ring twice", complaint)

    page.get_by_label("A new customer").check()
    page.get_by_label("Name", exact=True).first.fill("Kim Sample")
    page.get_by_label("E-mail address", exact=True).fill("kim.late@example.com")
    page.get_by_label("Street and number").fill("1 Example Street")
    page.get_by_label("City").fill("Sampleton")
    page.get_by_label("Postal code").fill("12345")
    page.wait_for_load_state("networkidle")
    place = page.get_by_role("button", name="Place the order")
    show_the_total_before_the_answer_to_a_change("Ring once", place)


def test_a_customer_follows_an_order_and_cancels_another(shop: Shop, visits: Visits) -> None:
    customer = shop.customer("Robin Sample")
    orders = [shop.order(customer) for _ in range(2)]
    number = shop.read(f"/orders/{orders[0]}")["order_number"]
    shop.read(f"/orders/{orders[1]}")
    shop.service.bind_customer(_name(Role.CUSTOMER), customer)
    visitor = visits.by_password(Role.CUSTOMER, "/my/login/")
    page = visitor.page

    assert page.url.endswith("/my/orders/")
    visitor.check()
    for name in (number, "Cancel the order"):
        with page.expect_navigation():
            page.get_by_role("link", name=name).click()
        visitor.check()
    page.get_by_role("button", name=re.compile("Cancel")).click()
    page.wait_for_url(re.compile(f"/my/orders/{number}/$"))
    visitor.check(again=True)
    assert page.locator(".state").inner_text() == "Cancelled"
    assert shop.read(f"/orders/{orders[0]}")["status"] == "cancelled"


def test_the_warehouse_packs_and_dispatches_with_a_scanner(shop: Shop, visits: Visits) -> None:
    product = shop.product(sku="SCAN-1")
    order = shop.order(product=product, quantity=2)
    number = shop.read(f"/orders/{order}")["order_number"]
    payment = {"payment_id": "till", "kind": "captured", "amount": "39.80"}
    _done(shop, f"/orders/{order}/payments", **payment)
    _done(shop, f"/orders/{order}/confirm")
    shop.service.settle()
    warehouse = visits(Role.WAREHOUSE)
    page = warehouse.page

    warehouse.visit("/admin/ordering_read/queuedorder/")
    warehouse.visit("/admin/packing/", again=True)
    for code in (number, "SCAN-1", "SCAN-1"):
        page.locator("#code").fill(code)
        with page.expect_navigation():
            page.keyboard.press("Enter")
    assert page.get_by_label("Units of SCAN-1").input_value() == "2"
    warehouse.check()
    page.get_by_label("Tracking number").fill("TRACK-1")
    with page.expect_navigation():
        page.get_by_role("button", name="Pack and dispatch").click()
    warehouse.check()
    warehouse.visit("/admin/dispatch/")

    shop.service.settle()
    body = shop.read(f"/orders/{order}")
    assert [parcel["tracking_number"] for parcel in body["shipments"]] == ["TRACK-1"]
    assert body["status"] == "shipped"


def test_an_auditor_looks_back_and_finds_causes_and_refusals(shop: Shop, visits: Visits) -> None:
    order = shop.order()
    shop.read(f"/orders/{order}")
    _done(shop, f"/orders/{order}/cancel", reason="Not needed")
    assert shop.admin.post(f"/orders/{order}/confirm", json={}).status_code == 409
    shop.service.settle()
    auditor = visits(Role.AUDITOR)
    page = auditor.page

    auditor.visit(f"/admin/ordering_read/ordersummary/{order}/change/", again=True)
    auditor.visit(f"/admin/orders/{order}/history/", again=True)
    with page.expect_navigation():
        page.get_by_role("link", name="Earlier").click()
    auditor.check()
    auditor.visit("/admin/ordering_write/commandrefusal/", again=True)
    assert "Confirm" in page.locator("#content").inner_text()
    auditor.visit(f"/admin/ordering_write/outboxevent/?q=order-{order}")
    with page.expect_navigation():
        page.locator("#result_list tbody a").first.click()
    with page.expect_navigation():
        page.locator('a[href*="/admin/causes/"]').first.click()
    auditor.check()


def test_an_owner_reads_reports_and_an_operator_looks_after_the_system(
    shop: Shop, visits: Visits
) -> None:
    shop.read(f"/orders/{shop.order()}")
    shop.service.settle()
    owner = visits(Role.ADMIN)

    for path in (
        "/admin/",
        "/admin/reports/",
        "/admin/exports/",
        "/admin/bulk/",
        "/admin/views/",
        "/admin/system/",
        "/admin/ordering_read/ordersummary/",
        "/admin/ordering_read/projection/",
    ):
        owner.visit(path)
    owner.visit("/admin/ordering_read/parkedevent/", again=True)


def test_every_list_and_its_first_record_can_be_read_by_everybody(
    shop: Shop, visits: Visits
) -> None:
    """Walk through the lists of the admin site; in `make test` through that of the roles only."""
    shop.read(f"/orders/{shop.order()}")
    shop.service.settle()
    owner = visits(Role.ADMIN)

    admin.autodiscover()
    for model in admin.site._registry if IS_PROOF else (Group,):
        path = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        page = owner.visit(path, again=True)
        for record in page.locator(f'a[href^="{path}"][href*="/change/"]').all()[:1]:
            owner.visit(str(record.get_attribute("href")), again=True)


def _done(shop: Shop, path: str, **body: Any) -> None:
    """Give a command that must be accepted."""
    response = shop.admin.post(path, json=body)
    assert response.is_success, response.text
