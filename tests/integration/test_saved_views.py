"""The filters of the list of orders, and the views that people save of them."""

from typing import Any
from urllib.parse import parse_qsl

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from config.accounts import saved_views
from config.accounts.models import SavedView, User
from config.accounts.roles import Role
from ordering_write.domain import commands as c
from tests import kit
from tests.kit_admin import logged_in, page_text, run_projections

pytestmark = pytest.mark.usefixtures("db")

ORDERS, VIEWS = "/admin/ordering_read/ordersummary/", "/admin/views/"


@pytest.fixture
def person(clerk: User) -> User:
    clerk.is_staff = True
    clerk.save()
    return clerk


def listed(client: Any, query: str) -> list[str]:
    page = client.get(ORDERS + query)
    assert page.status_code == 200, query
    return [row.order_number for row in page.context["cl"].result_list]


def test_the_list_is_filtered_by_each_facet(person, customer, subtests):
    lamp, chair = kit.registered_product(50, sku="LAMP-1"), kit.registered_product(50, sku="CHAIR")
    first = kit.placed_order(customer, (lamp, 1))
    second = kit.placed_order(customer, (chair, 1), metadata={"gift": "yes"})
    by: dict[str, Any] = {"user_id": kit.USER, "order_id": second.pk}
    kit.dispatch(c.TagOrder(tag="vip", **by))
    kit.dispatch(c.AssignOrder(assignee="clerk", **by))
    pays = {"payment_id": "p", "kind": "captured"}
    kit.dispatch(c.RecordPayment(amount="100", **pays, **by))
    kit.dispatch(c.ConfirmOrder(**by))
    kit.dispatch(c.PlaceHold(reason="other", **by))
    run_projections()
    client = logged_in(person)
    one, two, both = [first.order_number], [second.order_number], 2
    day = first.created_at.date().isoformat() if hasattr(first, "created_at") else "2026-03-01"

    for query, expected in (
        ("?work=to_confirm", one),
        ("?status=pending", one),
        ("?status=pending,confirmed", both),
        ("?payment_status=unpaid", one),
        ("?fulfilment_status=on_hold", two),
        ("?return_status=none", both),
        ("?on_hold=false", one),
        ("?needs_attention=false", both),
        ("?balance=due", one),
        ("?balance=owed", two),
        ("?tag=vip", two),
        ("?assigned_to=clerk", two),
        ("?currency=eur", both),
        ("?sku=chair", two),
        (f"?product={lamp.pk}", one),
        (f"?customer_id={customer.pk}", both),
        ("?metadata=gift", two),
        ("?placed_after=2000-01-01&placed_before=2000-01-02", []),
        (f"?placed_after={day}&q=LAMP", one),
    ):
        with subtests.test(query):
            numbers = listed(client, query)
            assert numbers == expected if isinstance(expected, list) else len(numbers) == expected

    client.get(ORDERS)
    with (
        CaptureQueriesContext(connections["default"]) as write,
        CaptureQueriesContext(connections["read"]) as read,
    ):
        page = client.get(f"{ORDERS}?status=pending,confirmed&tag=vip&q=CHAIR")
    assert len(write) + len(read) <= 10
    # Each chip removes its own filter and keeps the others and the search.
    assert 'Status: <bdi class="clipped">pending or confirmed</bdi>' in page.text
    assert "&lt;b&gt;</bdi>" in client.get(f"{ORDERS}?tag=%3Cb%3E").text
    assert 'href="?tag=vip&amp;q=CHAIR"' in page.text
    assert '<option value="pending,confirmed" selected' in page.text
    assert '<input type="hidden" name="q" value="CHAIR">' in page.text
    assert f'Customer: <bdi class="clipped">{customer.name}' in (
        client.get(f"{ORDERS}?customer_id={customer.pk}").text
    )


def test_a_wrong_filter_is_said_beside_its_field(person, make_user):
    run_projections()
    client = logged_in(person)
    for query, text in (
        ("?currency=XXL", "A currency is an ISO 4217 code such as EUR."),
        ("?placed_after=soon", "A moment is written such as"),
        ("?status=lost", "Select a valid choice."),
        ("?metadata=%3Dred", "A pair is written key=value"),
    ):
        page = client.get(ORDERS + query)
        assert text in page.text, query
        assert '<details class="filters" open>' in page.text
        assert page.context["cl"].result_count == 0
    for query in ("?status__exact=pending", "?customer_name=Robin", "?colour=", "?product=7"):
        assert client.get(ORDERS + query).status_code == 400
    short = client.get(f"{ORDERS}?status=pending&tag=&currency=&q=")
    assert short["Location"] == f"{ORDERS}?status=pending"
    # Metadata are for people who may see personal data.
    auditor = logged_in(make_user(Role.AUDITOR, is_staff=True))
    assert 'name="metadata"' not in auditor.get(ORDERS).text
    assert "You may not see metadata" in auditor.get(f"{ORDERS}?metadata=gift").text


def test_a_person_saves_renames_and_deletes_views(person, make_user, admin_user):
    run_projections()
    client, other = logged_in(person), logged_in(make_user(Role.WAREHOUSE, is_staff=True))
    query = "status=pending&balance=due"

    saved = client.post(
        VIEWS, {"do": "save", "name": "To <b>", "query": f"{query}&q=Robin&p=2", "is_shared": "on"}
    )

    assert saved["Location"] == f"{ORDERS}?{query}"
    [view] = SavedView.objects.all()
    assert (view.user, view.query, view.is_shared) == (person, query, False), "no right to share"
    page = client.get(f"{ORDERS}?{query}")
    assert dict(parse_qsl(view.query)) == {"status": "pending", "balance": "due"}
    navigation = page.text.partition('id="navigation"')[2].partition("</nav>")[0]
    assert f'<a href="{ORDERS}?status=pending&amp;balance=due" aria-current="page">' in navigation
    assert navigation.count("aria-current") == 1
    assert "To &lt;b&gt;" in page.text
    assert "To &lt;b&gt;" not in other.get(ORDERS).text
    assert other.post(VIEWS, {"do": "delete", "view": view.pk}).status_code == 302
    assert other.post(VIEWS, {"do": "rename", "view": view.pk, "name": "Mine"}).status_code == 302
    assert SavedView.objects.get().name == "To <b>"

    client.post(VIEWS, {"do": "save", "name": "Held", "query": "on_hold=true"})
    client.post(VIEWS, {"do": "save", "name": "Held", "query": "on_hold=true&tag=vip"})
    assert SavedView.objects.get(name="Held").query == "on_hold=true&tag=vip"
    taken = client.post(VIEWS, {"do": "rename", "view": view.pk, "name": "Held"}, follow=True)
    assert "You have another view with this name." in taken.text
    client.post(VIEWS, {"do": "rename", "view": view.pk, "name": "To pay"})
    assert "To pay" in page_text(client, VIEWS)
    client.post(VIEWS, {"do": "delete", "view": view.pk})
    assert list(SavedView.objects.values_list("name", flat=True)) == ["Held"]

    # Everybody sees a shared view, and admins change it.
    shares = logged_in(admin_user)
    shares.post(VIEWS, {"do": "save", "name": "All", "query": "tag=vip", "is_shared": "on"})
    assert "All" in page_text(other, VIEWS)
    assert f'<a href="{ORDERS}?tag=vip"><bdi>All</bdi></a>' in other.get("/admin/").text
    shared = SavedView.objects.get(name="All")
    other.post(VIEWS, {"do": "delete", "view": shared.pk})
    assert SavedView.objects.filter(pk=shared.pk).exists()

    person.delete()
    assert list(SavedView.objects.values_list("name", flat=True)) == ["All"]


def test_a_view_that_makes_no_sense_is_refused(person, make_user, monkeypatch):
    client = logged_in(person)
    for fields in (
        {"do": "save", "name": "x", "query": ""},
        {"do": "save", "name": "x", "query": "q=Robin"},
        {"do": "save", "name": "x", "query": "status=lost"},
        {"do": "save", "name": "x", "query": "colour=red"},
        {"do": "save", "name": "x", "query": f"tag=a&metadata={'%C3%A9' * 500}"},
        {"do": "delete", "view": "all"},
        {"do": "delete", "view": "9" * 30},
        {"do": "other"},
        {},
    ):
        assert client.post(VIEWS, fields).status_code == 400, fields
    nameless = client.post(VIEWS, {"do": "save", "name": " ", "query": "tag=a"}, follow=True)
    assert "The name of a view: This field is required." in nameless.text
    monkeypatch.setattr(saved_views, "MOST_VIEWS", 1)
    for name in ("first", "second"):
        full = client.post(VIEWS, {"do": "save", "name": name, "query": "tag=a"}, follow=True)
    assert "You have 50 saved views" in full.text
    assert SavedView.objects.count() == 1
    nobody = logged_in(make_user(Role.MONITOR, is_staff=True))
    assert nobody.post(VIEWS, {"do": "save", "name": "x", "query": "tag=a"}).status_code == 403
