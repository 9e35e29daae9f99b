"""The lists of the admin answer only the filters, orders and searches that they declare."""

import re
from collections.abc import Iterator
from html import unescape
from typing import Any
from urllib.parse import parse_qs

import pytest
from django.contrib import admin
from django.db.models import Model
from django.test import Client

from config.accounts.models import User
from config.accounts.roles import Role
from tests.kit_admin import (
    CUSTOMERS,
    ORDERS,
    Shop,
    list_url,
    logged_in,
    projected_shop,
    run_projections,
)
from tests.proof import IS_PROOF

pytestmark = pytest.mark.usefixtures("db")

# Parameters of Django's lists that the pages of this site have no link for.
UNDECLARED = (
    "email__startswith=r",
    "customer__email=r",
    "customer_name__startswith=R",
    "user__password__startswith=p",
    "tags=vip",
    "personal__data=x",
    "pk__in=1",
    "_facets=1",
    "_popup=1",
    "_source_model=user",
    "_to_field=email",
    "_to_field=id",
    "e=1",
    "all=",
    "unknown=1",
)
ORDERS_OF_ROWS = ("-99", "1,2", "--1", "name", "1..2", "9" * 1900, "²")


@pytest.fixture
def shop() -> Shop:
    return projected_shop()


def pages() -> dict[str, Any]:
    """Return the admin of each list, by its page such as ``ordering_read/ordersummary``."""
    return {
        f"{model._meta.app_label}/{model._meta.model_name}": model_admin
        for model, model_admin in admin.site._registry.items()
    }


def undeclared_queries(model: type[Model]) -> Iterator[str]:
    for field in model._meta.concrete_fields:
        yield f"{field.name}__regex=("
    yield from UNDECLARED


def links_of_list(client: Client, page: str) -> set[str]:
    """Return the query strings that a list links to: its filters, orders and pages."""
    text = client.get(list_url(page)).text
    return {unescape(query) for query in re.findall(r'href="(\?[^"]*)"', text)}


@pytest.mark.proof
def test_no_list_answers_an_undeclared_query(
    shop: Shop, admin_user: User, subtests: pytest.Subtests
) -> None:
    client = logged_in(admin_user)

    for number, (page, model_admin) in enumerate(pages().items()):
        queries = list(undeclared_queries(model_admin.model))
        # A sixth of them: the next page is asked the next sixth.
        texts = queries if IS_PROOF else queries[number % 6 :: 6]
        with subtests.test(page=page):
            statuses = {
                query: client.get(list_url(page, f"?{query}")).status_code for query in texts
            }
            # Only the lists of accounts can show all of their few rows.
            allowed = {"all="} & set(texts) if model_admin.list_max_show_all else set()
            assert {query for query, status in statuses.items() if status != 400} == allowed


def test_no_role_finds_masked_values_by_a_filter_or_an_order(
    shop: Shop, make_user: Any, subtests: pytest.Subtests
) -> None:
    queries = ("email__startswith=r", "tags=vip", "o=-2")

    for role in set(Role) - {Role.CUSTOMER}:
        client = logged_in(make_user(role, is_staff=True))
        for page, model_admin in pages().items():
            with subtests.test(role=str(role), page=page):
                answers = [client.get(list_url(page, f"?{queries[0]}"))]
                may_view = model_admin.has_view_permission(answers[0].wsgi_request)
                if may_view:
                    answers += [client.get(list_url(page, f"?{query}")) for query in queries[1:]]
                assert {answer.status_code for answer in answers} == {400 if may_view else 403}


def test_an_auditor_finds_no_customer_by_an_e_mail_address(
    shop: Shop, auditor: User, clerk: User
) -> None:
    email = shop.customer.email

    for term in (email, email[:5], email.upper()):
        assert "0 customers" in logged_in(auditor).get(list_url(CUSTOMERS, f"?q={term}")).text
    assert "1 customer" in logged_in(clerk).get(list_url(CUSTOMERS, f"?q={email}")).text


def test_the_answer_to_an_undeclared_query_names_it(shop: Shop, auditor: User) -> None:
    client = logged_in(auditor)

    page = client.get(list_url(CUSTOMERS, "?email__startswith=r"), headers={"Accept": "text/html"})
    program = client.get(list_url(CUSTOMERS, "?o=1"), headers={"Accept": "application/json"})

    assert page["Content-Type"].startswith("text/html")
    assert "knows no parameter &#x27;email__startswith&#x27;" in page.text
    assert (program.status_code, program.json()["code"]) == (400, "unknown_parameter")
    assert program.json()["parameter"] == "o"


def last_values(queries: set[str]) -> list[str]:
    """Return one of the ``queries`` with the same parameters: the one with the last values."""
    by_names = {tuple(parse_qs(query[1:], True)): query for query in sorted(queries)}
    return list(by_names.values())


@pytest.mark.proof
def test_every_link_of_a_list_is_declared(
    shop: Shop, admin_user: User, subtests: pytest.Subtests
) -> None:
    client = logged_in(admin_user)

    for page in pages():
        with subtests.test(page=page):
            links = links_of_list(client, page)
            queries = links if IS_PROOF else last_values(links)
            statuses = {query: client.get(list_url(page, query)).status_code for query in queries}
            assert set(statuses.values()) <= {200}, statuses


def test_links_from_other_pages_to_orders_are_declared(shop: Shop, admin_user: User) -> None:
    client = logged_in(admin_user)
    counters = client.get(list_url("ordering_read/statuscounter")).text
    links = set(re.findall(rf'href="(/admin/{ORDERS}/\?[^"]*)"', counters))
    assert {link.partition("?")[2].partition("=")[0] for link in links} == {
        "status",
        "payment_status",
        "fulfilment_status",
        "return_status",
    }

    for link in (*links, list_url(ORDERS, f"?customer_id={shop.customer.pk}")):
        page = client.get(link)
        assert (page.status_code, "1 order" in page.text) == (200, True), link


def test_values_that_a_filter_cannot_use_are_refused(
    shop: Shop, admin_user: User, subtests: pytest.Subtests
) -> None:
    client = logged_in(admin_user)
    queries = {
        ORDERS: ("customer_id=x", "created_at__gte=x", "created_at__gte=2026-13-01"),
        "ordering_read/salesbyday": ("day__gte=x",),
        "accounts/user": ("groups__id__exact=x", "is_staff__exact=x"),
    }

    for page, values in queries.items():
        for value in values:
            with subtests.test(page=page, query=value):
                assert client.get(list_url(page, f"?{value}")).status_code == 400
    for value in ("0001-01-01T00:00:00%2B14:00", "9999-12-31T23:59:59-14:00", "99999-01-01"):
        assert client.get(list_url(ORDERS, f"?created_at__gte={value}")).status_code in {200, 400}


def test_the_accounts_are_sorted_by_their_columns_only(
    admin_user: User, subtests: pytest.Subtests
) -> None:
    client = logged_in(admin_user)

    assert client.get(list_url("accounts/user", "?o=2.-1")).status_code == 200
    for order in ORDERS_OF_ROWS:
        with subtests.test(order=order[:10]):
            assert client.get(list_url("accounts/user", f"?o={order}")).status_code == 400


def test_a_page_that_is_gone_shows_the_first_page(
    shop: Shop, admin_user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = shop.place()
    run_projections()
    monkeypatch.setattr(pages()[ORDERS], "list_per_page", 1)
    client = logged_in(admin_user)
    assert shop.order.order_number in client.get(list_url(ORDERS, "?p=2")).text

    for number in ("3", "0", "-1", "x", "9" * 1900):
        page = client.get(list_url(ORDERS, f"?p={number}"))
        assert (page.status_code, newest.order_number in page.text) == (200, True)


@pytest.mark.proof
def test_an_action_on_a_key_that_is_none_is_refused(
    shop: Shop, admin_user: User, subtests: pytest.Subtests
) -> None:
    client = logged_in(admin_user)
    keys = ("x", "-1x", "9" * 40)

    for number, (page, model_admin) in enumerate(pages().items()):
        request = client.get(list_url(page)).wsgi_request
        for action in list(model_admin.get_actions(request))[:1]:
            for key in keys if IS_PROOF else [keys[number % 3]]:
                with subtests.test(page=page, action=action, key=key):
                    body = {"action": action, "_selected_action": key}
                    assert client.post(list_url(page), body).status_code == 400


def test_no_page_outside_the_lists_answers_by_model_and_key(admin_user: User) -> None:
    client = logged_in(admin_user)

    for path in ("r/1/1/", "r/999999/x/", "autocomplete/?app_label=accounts&model_name=user"):
        assert client.get(f"/admin/{path}").status_code == 404
