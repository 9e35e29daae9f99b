"""The first steps of an empty shop, on the start page of the admin and on empty lists."""

import re
from collections.abc import Callable

import pytest

from config.accounts.models import User
from tests import kit
from tests.kit_admin import CUSTOMERS, INVENTORY, ORDERS, list_url, logged_in, run_projections

pytestmark = pytest.mark.usefixtures("db")

PRODUCT = f"/admin/{INVENTORY}/new/register_stock_item/"
CUSTOMER = f"/admin/{CUSTOMERS}/new/register_customer/"
ORDER = "/admin/orders/new/"
LOGIN = "/admin/accounts/user/add/"


def steps(user: User, url: str = "/admin/") -> list[str]:
    """Return the items of the list of first steps."""
    page = logged_in(user).get(url)
    assert page.status_code == 200
    [section] = re.findall(r'<section class="first-steps".*?</section>', page.text, re.S) or [""]
    return re.findall(r"<li>(.*?)</li>", section)


def addresses(user: User, url: str = "/admin/") -> list[str]:
    return re.findall(r'href="(.*?)"', " ".join(steps(user, url)))


def test_an_empty_shop_names_its_first_steps_where_somebody_looks_for_them(
    admin_user: User, subtests: pytest.Subtests
) -> None:
    for url in ("/admin/", *map(list_url, (ORDERS, CUSTOMERS, INVENTORY))):
        with subtests.test(url):
            assert addresses(admin_user, url) == [LOGIN, PRODUCT, CUSTOMER, ORDER]
    for address in addresses(admin_user):
        with subtests.test(address):
            assert logged_in(admin_user).get(address).status_code == 200


def test_a_step_that_is_done_is_marked(admin_user: User) -> None:
    kit.registered_product()
    run_projections()

    login, product, customer, order = steps(admin_user)

    assert LOGIN in login
    assert product.endswith(": done")
    assert CUSTOMER in customer
    assert ORDER in order


def test_a_shop_with_an_order_has_no_first_steps(admin_user: User) -> None:
    kit.placed_order(kit.registered_customer(), (kit.registered_product(), 1))
    run_projections()

    assert steps(admin_user) == []
    assert steps(admin_user, list_url(ORDERS) + "?q=nothing") == []


def test_a_user_sees_the_steps_of_this_user(make_user: Callable[..., User]) -> None:
    warehouse = make_user("Warehouse", is_staff=True)
    auditor = make_user("Auditor", is_staff=True)

    assert addresses(warehouse) == [PRODUCT]
    assert "a colleague with this permission" in steps(warehouse)[1]
    assert steps(auditor) == []
