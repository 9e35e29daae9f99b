"""New order, the page for orders by telephone: what it answers, and what it places."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from html import unescape
from typing import Any
from urllib.parse import unquote

import pytest
from django.contrib.auth.models import Permission
from django.core.cache import cache
from django.test import Client

from config.accounts.models import User
from ordering_read import permissions
from ordering_read.engine import live
from ordering_write import log
from ordering_write.domain import commands as c
from ordering_write.models import Customer, Order
from tests import kit
from tests.integration.test_admin_commands import hidden_fields
from tests.integration.test_taxes import fixed_rates
from tests.kit_admin import (
    CUSTOMERS,
    ORDERS,
    logged_in,
    messages_of,
    page_text,
    row_url,
    statements_of,
)

pytestmark = pytest.mark.usefixtures("db")
__all__ = ["fixed_rates"]

URL = "/admin/orders/new/"
NEW_ADDRESS = {"address-line1": "1 Example Street", "address-city": "Sampleton"}
KIM = {
    "customer-who": "new",
    "customer-name": "Kim Example",
    "customer-email": "kim@example.com",
    "customer-phone": "600 111 222",
}


@pytest.fixture(autouse=True)
def _visible_at_once(settings: Any) -> None:
    settings.READ_SIDE_WAIT = "tests.integration.test_admin_commands.visible_at_once"


class Telephone:
    """A clerk with the page before them; ``fields`` are those that the last page would send."""

    def __init__(self, user: User, query: str = "") -> None:
        self.client = logged_in(user)
        self.page: Any = self.client.get(URL + query)
        assert self.page.status_code == 200
        self.fields: dict[str, Any] = hidden_fields(self.page)

    def send(self, button: str = "", value: str = "1", **typed: Any) -> Any:
        """Type into the fields, press a button (none stands for a change), return the answer."""
        self.fields |= {name.replace("__", "-"): text for name, text in typed.items()}
        pressed = {button: value} if button else {"in_place": "1"}
        self.page = self.client.post(URL, {**self.fields, **pressed})
        if "?kept=" in self.page.headers.get("Location", ""):
            self.page = self.client.get(self.page.headers["Location"])
        if self.page.status_code == 200:
            self.fields.pop("customer_id", None)
            self.fields |= hidden_fields(self.page)
            prices = re.findall(r'name="(line-\d+-\w+)" value="([^"]*)"', self.page.text)
            self.fields |= dict(prices)
            if chosen := re.search(r'name="address" value="([^"]+)" checked', self.page.text):
                self.fields["address"] = chosen[1]
        return self.page

    @property
    def text(self) -> str:
        """The text of the last page, without its markup and navigation."""
        content = self.page.text.partition('id="content-start"')[2]
        return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", content)))

    @property
    def sums(self) -> dict[str, Decimal]:
        """The rows of the running total, by label."""
        rows = self.page.context["total"]
        pairs = [*rows.rows, *rows.included, ("Total", rows.total)]
        return {label: Decimal(amount.split()[0].replace(",", "")) for label, amount in pairs}


def show() -> None:
    """Bring the read models that the page asks up to date."""
    live.run("customer_view", "inventory_level", "order_view", "order_timeline", "search")


def line(number: int, product: str, quantity: str = "", price: str = "", reason: str = "") -> Any:
    """Return the fields of a line."""
    texts = {"product": product, "quantity": quantity, "price": price, "reason": reason}
    return {f"line-{number}-{name}": text for name, text in texts.items()}


def without_personal_data(user: User) -> User:
    """Return ``user`` without the permission to see personal data, as a role of the shop's own."""
    names = user.get_all_permissions() - {permissions.VIEW_PII}
    codenames = {name.partition(".")[2] for name in names}
    user.groups.clear()
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    return User.objects.get(pk=user.pk)


def events_of(order: Order) -> list[Any]:
    return list(log.read_stream(order.stream))


# --- Placing -----------------------------------------------------------------------------------
def test_an_order_takes_three_page_loads_without_a_script(clerk: User) -> None:
    customer = kit.registered_customer(name="Robin Sample", email="robin@example.com")
    kit.registered_product(on_hand=5, sku="LAMP-1", name="Desk lamp")
    show()

    phone = Telephone(clerk)
    phone.send(
        "total", customer__customer="Robin@Example.com", **line(0, "lamp-1", "2"), **NEW_ADDRESS
    )
    assert phone.sums == {"Goods": Decimal("39.80"), "Total": Decimal("39.80")}
    placed = phone.send("place")

    order = Order.objects.get()
    assert placed.headers["Location"] == row_url(ORDERS, order.pk)
    assert messages_of(placed) == [f"success: Order {order.order_number} was placed."]
    assert (order.customer_id, order.total) == (customer.pk, Decimal("39.80"))
    created = events_of(order)[0]
    assert created.shipping_address.name == "Robin Sample"
    assert created.shipping_address.country == "ES"
    assert created.recorded.actor.on_behalf_of == str(customer.pk)


def test_a_second_click_on_the_order_of_a_new_customer_places_it_once(clerk: User) -> None:
    kit.registered_product(on_hand=2, sku="LAMP-1")
    show()
    phone = Telephone(clerk)
    person = {
        "customer-who": "new",
        "customer-name": "Kim Example",
        "customer-phone": "600 111 222",
    }
    phone.send(
        "total",
        **person,
        customer__email="kim@example.com",
        **line(0, "LAMP-1", "2"),
        **NEW_ADDRESS,
    )

    first, second = phone.send("place"), phone.send("place")

    assert first.headers["Location"] == second.headers["Location"]
    assert "was placed before" in messages_of(second)[-1]
    customer = Customer.objects.get()
    assert (customer.name, customer.email, customer.phone) == (
        "Kim Example",
        "kim@example.com",
        "600 111 222",
    )
    assert Order.objects.get().customer_id == customer.pk

    # Back, and something else: the form says that it has placed an order.
    show()
    kit.registered_product(sku="CHAIR-1")
    show()
    phone.send("total", **line(0, "CHAIR-1", "1"))
    assert "is the e-mail address of Kim Example , who is a customer already" in phone.text
    phone.send("place")
    assert "This form has placed an order before" in phone.text
    assert Order.objects.count() == 1
    assert "total" not in phone.page.context["draft"].complaints
    phone.send("total")
    assert phone.send("place").status_code == 302
    assert (Order.objects.count(), Customer.objects.count()) == (2, 1)


def test_only_the_order_whose_total_was_shown_is_placed(clerk: User) -> None:
    product = kit.registered_product(sku="LAMP-1")
    show()
    phone = Telephone(clerk)
    person = {
        "customer-who": "new",
        "customer-name": "Kim Example",
        "customer-email": "kim@example.com",
    }
    phone.send("place", **person, **line(0, "LAMP-1"), **NEW_ADDRESS)
    assert "has changed since its total was shown" in phone.text
    assert phone.sums["Total"] == Decimal("19.90"), "one unit, if nobody types a number"

    kit.dispatch(c.SetListPrice(user_id=kit.USER, product_id=product.pk, list_price="24.50"))
    show()
    phone.send("place")
    assert "has changed since its total was shown" in phone.text
    assert phone.sums["Total"] == Decimal("24.50"), "a price that nobody typed follows the list"
    phone.send("place", **{"line-0-quantity": "3"})
    assert phone.sums["Total"] == Decimal("73.50")
    assert not Order.objects.exists()
    assert phone.send("place").status_code == 302


def test_the_form_survives_the_end_of_its_session_and_back_leads_to_a_page(clerk: User) -> None:
    kit.registered_product(sku="LAMP-1")
    show()
    phone = Telephone(clerk)
    phone.send("total", **KIM, **line(0, "LAMP-1", "3"), **NEW_ADDRESS)

    phone.client.logout()
    refused = phone.client.post(URL, {**phone.fields, "place": "1"})
    assert refused.headers["Location"].startswith("/admin/login/?next=")
    phone.client.force_login(clerk)
    page = unquote(refused.headers["Location"].partition("next=")[2])
    phone.page = phone.client.get(page)
    assert phone.sums["Total"] == Decimal("59.70")
    assert "Kim Example" in phone.page.text
    phone.fields |= hidden_fields(phone.page)

    assert phone.send("place").status_code == 302
    phone.page = phone.client.get(page)
    assert "This form was sent already" in phone.text
    assert Order.objects.count() == 1


# --- The customer and the address --------------------------------------------------------------
def test_a_text_that_names_several_customers_offers_them(clerk: User) -> None:
    kim, other = (kit.registered_customer(name="Kim Example") for _ in range(2))
    kit.registered_customer(name="Robin Sample", phone="+34 600 111 222")
    show()
    phone = Telephone(clerk)

    phone.send(customer__customer="600111222")
    assert phone.page.context["draft"].customer.name == "Robin Sample"
    phone.send(customer__customer="kim exam")
    assert {found.customer_id for found in phone.page.context["draft"].customers} == {
        kim.pk,
        other.pk,
    }
    phone.send("total")
    assert "Choose one of the customers below." in phone.text
    phone.send(customer_id=str(other.pk))
    assert phone.page.context["draft"].customer.customer_id == other.pk

    # Renamed meanwhile: the chosen customer stays, under the new name.
    kit.dispatch(c.ChangeCustomerDetails(user_id=kit.USER, customer_id=other.pk, name="Kim New"))
    show()
    phone.send()
    assert phone.page.context["draft"].customer.name == "Kim New"
    phone.send(customer__customer="nobody@example.com")
    assert "No customer matches “nobody@example.com”." in phone.text


def test_a_customer_who_may_not_order_is_refused_in_words(clerk: User) -> None:
    customer = kit.registered_customer(name="Robin Sample", email="robin@example.com")
    kit.dispatch(c.BlockCustomer(user_id=kit.USER, customer_id=customer.pk, reason="Unpaid bills"))
    show()
    phone = Telephone(clerk, f"?customer={customer.pk}")
    phone.send(customer__customer="robin@example.com")
    assert "Robin Sample is blocked and can't order." in phone.text

    page = logged_in(clerk).get(row_url(CUSTOMERS, customer.pk)).text
    assert "The customer is blocked and can&#x27;t order." in page
    kit.dispatch(c.UnblockCustomer(user_id=kit.USER, customer_id=customer.pk, reason="Paid"))
    kit.dispatch(c.EraseCustomer(user_id=kit.USER, customer_id=customer.pk, reason="Asked for it"))
    show()
    phone.send()
    assert "This customer was erased; that is final." in phone.text
    assert "robin@example.com" not in phone.text


def test_the_last_address_is_chosen_and_another_one_can_be(clerk: User) -> None:
    customer = kit.registered_customer(name="Robin Sample")
    product = kit.registered_product(sku="LAMP-1")
    other = {**kit.ADDRESS, "city": "Otherton"}
    for days, address in enumerate([kit.ADDRESS, other, kit.ADDRESS]):
        kit.placed_order(
            customer, (product, 1), shipping_address=address, timestamp=kit.NOW + timedelta(days)
        )
    show()
    phone = Telephone(clerk, f"?customer={customer.pk}")
    past = phone.page.context["draft"].past_addresses
    assert [address.text for address in past] == [
        "Robin Sample, 1 Example Street, Sampleton, Spain",
        "Robin Sample, 1 Example Street, Otherton, Spain",
    ]
    assert past[0].key == phone.page.context["draft"].address_key

    phone.fields |= {"customer-customer": customer.email, "address": past[1].key}
    phone.send("total", **line(0, "LAMP-1"))
    placed = phone.send("place")
    newest = Order.objects.latest("placed_at")
    assert placed.headers["Location"] == row_url(ORDERS, newest.pk)
    assert events_of(newest)[0].shipping_address.city == "Otherton"


def test_goods_that_the_customer_picks_up_need_no_address(clerk: User) -> None:
    customer = kit.registered_customer()
    kit.registered_product(sku="LAMP-1")
    show()
    phone = Telephone(clerk, f"?customer={customer.pk}")
    phone.send("total", customer__customer=customer.email, address="picked-up", **line(0, "LAMP-1"))
    assert phone.send("place").status_code == 302
    created, item = events_of(Order.objects.get())[:2]
    assert (created.shipping_address, item.requires_shipping) == (None, False)


# --- The lines ---------------------------------------------------------------------------------
def test_lines_say_what_is_there_and_complain_all_at_once(clerk: User) -> None:
    kit.registered_product(on_hand=3, sku="LAMP-1", name="Desk lamp")
    kit.registered_product(sku="LAMP-2", name="Floor lamp", list_price=None, currency=None)
    sofa = kit.registered_product(on_hand=1, sku="SOFA-1", backorderable=True)
    gone = kit.registered_product(sku="OLD-1")
    kit.registered_product(sku="YEN-1", list_price="900", currency="JPY")
    kit.dispatch(c.DiscontinueStockItem(user_id=kit.USER, product_id=gone.pk))
    coming = datetime.now(UTC) + timedelta(3)
    kit.dispatch(c.ExpectStock(user_id=kit.USER, product_id=sofa.pk, quantity=4, at=coming))
    show()
    phone = Telephone(clerk)
    rows = [
        line(0, "LAMP-1", "2"),
        line(1, "LAMP-1", "2"),
        line(2, "lamp", "1"),
        line(3, "table"),
        line(4, "OLD-1"),
        line(5, "YEN-1"),
        line(6, "LAMP-2", "0", "12,50"),
        line(7, "SOFA-1", "5", "10"),
        line(8, "SOFA-1", "1", "ten"),
        line(9, "floor"),
    ]
    phone.fields["lines"] = str(len(rows))
    phone.send("total", terms__discount="1.2.3", **{k: v for row in rows for k, v in row.items()})

    errors = {row.number: dict(row.errors) for row in phone.page.context["draft"].typed_lines}
    too_few = {"quantity": ["Only 3 available for all lines of this product."]}
    assert errors[0] == errors[1] == too_few
    assert errors[2] == {
        "product": [
            "Several products match. Type one of the SKUs: LAMP-1 (Desk lamp), LAMP-2 (Floor lamp)."
        ]
    }
    assert errors[3] == {"product": ["No product has the SKU or the name “table”."]}
    assert errors[4] == {"product": ["OLD-1 isn't sold any more."]}
    assert errors[5] == {"price": ["YEN-1 is sold in JPY, not in EUR: type a price and a reason."]}
    assert errors[6] == {
        "quantity": ["Type a whole number from 1 to 10,000."],
        "reason": ["A price without a list price needs a reason."],
    }
    assert errors[7] == {"reason": ["The list price is 19.90 EUR. Another price needs a reason."]}
    assert errors[8] == {"price": ["An amount is written in digits, such as 19.90."]}
    assert phone.page.context["draft"].lines[9].product == "LAMP-2", "the only name with this word"
    assert re.search(r"1 available, 5 to come: no date is known", phone.text)
    for text in ("Type the name of a customer", "Type the street", "Type the city", "An amount is"):
        assert text in phone.text, text
    phone.send(**line(8, ""))
    assert "1 available, 4 to come: expected by" in phone.text
    assert not Order.objects.exists()


def test_a_clerk_sells_at_another_price_with_a_reason_and_others_do_not(
    clerk: User, make_user: Callable[..., User]
) -> None:
    customer = kit.registered_customer()
    kit.registered_product(sku="LAMP-1")
    show()
    phone = Telephone(clerk, f"?customer={customer.pk}")
    typed = {"customer-customer": customer.email, **line(0, "LAMP-1", "2", "15", "Scratched")}
    phone.send("total", **typed, **NEW_ADDRESS)
    assert phone.send("place").status_code == 302
    item = events_of(Order.objects.get())[1]
    assert (item.price_source, item.price_reason, str(item.unit_price.amount)) == (
        "override",
        "Scratched",
        "15.00",
    )

    kit.registered_product(sku="YEN-1", list_price="900", currency="JPY")
    show()
    trainee = make_user(None, username="trainee", is_staff=True)
    codenames = ("create_order", "view_customers", "view_pii", "act_for_every_customer")
    trainee.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    phone = Telephone(trainee, f"?customer={customer.pk}")
    phone.send("total", **typed | line(0, "YEN-1", "2", "1", "Because"), **NEW_ADDRESS)
    assert phone.page.context["total"].total == "1,800 JPY"
    assert "readonly" in phone.page.text
    placed = phone.send("place")
    assert placed.headers["Location"] == URL, "the page of the order is for others"
    assert "was placed." in messages_of(placed)[-1]


def test_lines_are_added_and_removed_and_keep_what_was_typed(clerk: User) -> None:
    for number in range(4):
        kit.registered_product(sku=f"LAMP-{number}")
    show()
    phone = Telephone(clerk)
    skus = lambda: [row.product for row in phone.page.context["draft"].lines]  # noqa: E731
    phone.send(**line(0, "LAMP-0"), **line(1, "LAMP-1"), **line(2, "LAMP-2", "7"))
    assert skus() == ["LAMP-0", "LAMP-1", "LAMP-2", ""], "there is always an empty line"
    phone.send("remove", "1")
    assert skus() == ["LAMP-0", "LAMP-2", ""]
    assert phone.fields["line-1-quantity"] == "7"
    phone.send("more")
    assert skus() == ["LAMP-0", "LAMP-2", "", "", "", "", "", ""]
    assert 'id="line-2-product"' in phone.page.text
    for nonsense in ("-1", "9" * 50):
        assert phone.send("remove", nonsense, lines=nonsense).status_code == 200


def test_the_running_total_adds_up_with_taxes_discount_and_shipping(
    clerk: User, fixed_rates: None, settings: Any
) -> None:
    settings.PRICES_INCLUDE_TAX = False
    customer = kit.registered_customer()
    kit.registered_product(sku="LAMP-1")
    show()
    phone = Telephone(clerk, f"?customer={customer.pk}")
    extras = {"terms-discount": "3,80", "terms-discount_label": "Spring", "terms-shipping": "4.95"}
    extras["terms-note"] = "Ring twice"
    phone.send(customer__customer=customer.email, **line(0, "LAMP-1", "2"), **NEW_ADDRESS, **extras)

    sums = phone.sums
    total = sums.pop("Total")
    assert (sums["Goods"], sums["Discount"], sums["Shipping"]) == tuple(
        map(Decimal, ("39.80", "-3.80", "4.95"))
    )
    assert len(sums) == 4, "and the tax"
    assert sum(sums.values()) == total
    phone.send("place")
    order = Order.objects.get()
    assert order.total == total
    assert {(item["kind"], item["label"]) for item in order.adjustments or ()} == {
        ("discount", "Spring"),
        ("shipping", "Shipping"),
    }
    assert [event.type for event in events_of(order)].count("NoteAdded") == 1


def test_a_line_has_a_discount_in_an_amount_or_per_cent(clerk: User) -> None:
    customer = kit.registered_customer()
    for sku in ("LAMP-1", "LAMP-2", "LAMP-3"):
        kit.registered_product(sku=sku)
    show()
    phone = Telephone(clerk, f"?customer={customer.pk}")
    lines = {**line(0, "LAMP-1", "2"), **line(1, "LAMP-2", "3"), **line(2, "LAMP-3")}
    discounts = {"line-0-discount": "4,80", "line-1-discount": "2.5 %"}
    typed = {"customer__customer": customer.email, **lines, **NEW_ADDRESS, **discounts}

    for wrong in ("a tenth", "-1", "20.00", "100.1 %"):
        phone.send(**typed, **{"line-2-discount": wrong})
        assert phone.page.context["total"] is None
        assert phone.page.context["draft"].lines[2].errors.keys() == {"discount"}
    phone.send(**{"line-2-discount": ""})

    assert "less 4.80 EUR" in phone.text
    assert "less 1.49 EUR" in phone.text
    assert phone.sums["Discount"] == Decimal("-6.29")
    phone.send("place")
    order = Order.objects.get()
    assert order.total == Decimal("119.40") - Decimal("6.29")
    added = [event for event in events_of(order) if event.type == "OrderItemAdded"]
    amounts = [event.discount and event.discount.amount for event in added]
    assert amounts == [Decimal("4.80"), Decimal("1.49"), None]


# --- Rights ------------------------------------------------------------------------------------
def test_nobody_finds_a_customer_by_data_that_they_may_not_see(clerk: User) -> None:
    customer = kit.registered_customer(
        name="Robin Sample", email="robin@example.com", phone="600111222"
    )
    kit.placed_order(customer, (kit.registered_product(), 1))
    show()

    def suggested(user: User, text: str) -> Any:
        answer = logged_in(user).get("/admin/suggest/customers/", {"q": text})
        return answer.json()

    found = [{"value": "robin@example.com", "label": "Robin Sample, 600111222"}]
    assert suggested(clerk, "robin sam") == suggested(clerk, "robin@exa") == found
    assert suggested(clerk, "600111222") == found
    user = without_personal_data(clerk)
    for text in ("robin@example.com", "600111222", "", "x" * 300, "\x07"):
        assert suggested(user, text) == [], text
    assert suggested(user, "robin sam") == [{"value": "Robin Sample", "label": "Robin Sample"}]
    phone = Telephone(user, f"?customer={customer.pk}")
    assert "Robin Sample" in phone.text
    assert not {"robin@example.com", "600111222", "Example Street"} & set(phone.text.split())
    phone.send("total", customer_id="", customer__customer="robin@example.com")
    assert "No customer matches “robin@example.com”." in phone.text
    person = {"customer-who": "new", "customer-email": "robin@example.com"}
    phone.send(**person)
    assert "is a customer already" not in phone.text
    found_by_name = logged_in(user).get("/admin/search/", {"q": "robin sam"}).text
    assert "Robin Sample" in found_by_name
    assert "robin@example.com" not in found_by_name


def test_the_page_is_for_those_who_place_orders(
    clerk: User, warehouse: User, auditor: User, make_user: Callable[..., User]
) -> None:
    kit.registered_product(sku="LAMP-1", name="Desk lamp")
    customer = kit.registered_customer()
    show()
    for user in (warehouse, auditor):
        client = logged_in(user)
        assert client.get(URL).status_code == client.post(URL, {"place": "1"}).status_code == 403
        assert URL not in client.get("/admin/ordering_read/ordersummary/").text
    assert logged_in(warehouse).get("/admin/suggest/customers/?q=robin").status_code == 403
    nobody = logged_in(make_user(None, is_staff=True))
    assert nobody.get("/admin/suggest/products/?q=lamp").status_code in (302, 403)
    assert Client().get(URL).status_code == 302

    client = logged_in(clerk)
    assert f'<a href="{URL}" data-key="n">' in client.get("/admin/").text
    assert URL in client.get("/admin/ordering_read/ordersummary/").text.partition("object-tools")[2]
    assert f"{URL}?customer={customer.pk}" in client.get(row_url(CUSTOMERS, customer.pk)).text
    products = client.get("/admin/suggest/products/?q=desk").json()
    assert products == [{"value": "LAMP-1", "label": "Desk lamp, 10 available, 19.90 EUR"}]
    assert "the form with all fields" in page_text(client, URL)


# --- Cost --------------------------------------------------------------------------------------
def test_an_answer_costs_as_many_statements_for_many_lines_as_for_one(clerk: User) -> None:
    customer = kit.registered_customer()
    for number in range(9):
        kit.registered_product(sku=f"LAMP-{number}", name=f"Lamp {number}")
    show()
    phone = Telephone(clerk)

    def cost(act: Callable[[], object]) -> int:
        cache.clear()
        return len(statements_of(act))

    costs, costs_of_totals = [], []
    for count in (2, 9):
        lines = {k: v for n in range(count) for k, v in line(n, f"LAMP-{n}", "1").items()}
        phone.fields |= {"lines": str(count + 1), "customer-customer": customer.email, **lines}
        costs_of_totals.append(cost(partial(phone.send, "total", in_place="1", **NEW_ADDRESS)))
        assert phone.sums["Total"] == count * Decimal("19.90")
        phone.fields |= line(count, "unknown name")
        costs.append(cost(phone.send))
    assert costs[0] == costs[1] <= 10
    assert costs_of_totals[0] == costs_of_totals[1] <= 10
    assert cost(lambda: phone.client.get(URL)) <= 10
    for address in ("products/?q=lamp", "customers/?q=robin"):
        assert cost(partial(phone.client.get, f"/admin/suggest/{address}")) <= 5, address
