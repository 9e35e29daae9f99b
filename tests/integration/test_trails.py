"""The breadcrumbs of the admin pages: they follow the navigation."""

import re
from typing import Any

import pytest

from config.accounts.models import User
from ordering_read.models import Projection
from tests.kit_admin import (
    COMMANDS,
    CUSTOMERS,
    INVENTORY,
    ORDERS,
    OUTBOX,
    PROJECTIONS,
    list_url,
    logged_in,
    projected_shop,
)

pytestmark = pytest.mark.usefixtures("db")


def trail_of(page: Any) -> str:
    """Return the text of the breadcrumbs."""
    assert page.status_code == 200
    [trail] = re.findall(r'<div class="breadcrumbs">(.*?)</div>', page.text, re.DOTALL)
    text = re.sub(r"<[^>]*>", "", trail).replace("&rsaquo;", "›")
    return " ".join(text.split())


def test_breadcrumbs_are_the_sections_and_links_of_the_navigation(
    admin_user: User, subtests: pytest.Subtests
) -> None:
    client, shop = logged_in(admin_user), projected_shop()
    number = shop.order.order_number
    projection = Projection.objects.get(name="order_view")
    for url, trail in (
        (list_url(ORDERS), "Today › Orders"),
        (shop.url(ORDERS), f"Today › Orders › {number}"),
        (
            shop.url(ORDERS).replace("change/", "commands/add_note/"),
            f"Today › Orders › {number} › Add note",
        ),
        (list_url(INVENTORY), "Today › Warehouse › Stock"),
        (shop.url(INVENTORY), "Today › Warehouse › Stock › LAMP-1"),
        (list_url(CUSTOMERS, "new/register_customer/"), "Today › Customers › Register customer"),
        (list_url(COMMANDS), "Today › Audit › Commands"),
        (list_url(OUTBOX), "Today › Audit › Event log"),
        (shop.url(PROJECTIONS), f"Today › System › Projections › {projection}"),
        ("/admin/accounts/user/add/", "Today › System › Users › Add user"),
        (
            f"/admin/accounts/user/{admin_user.pk}/password/",
            f"Today › System › Users › {admin_user} › Set password: {admin_user}",
        ),
        (
            f"/admin/accounts/user/{admin_user.pk}/history/",
            f"Today › System › Users › {admin_user} › Change history: {admin_user}",
        ),
        (
            f"/admin/accounts/user/{admin_user.pk}/delete/",
            f"Today › System › Users › {admin_user} › Delete",
        ),
        ("/admin/password_change/", "Today › Password change"),
        ("/admin/search/?q=lamp", "Today › Search"),
    ):
        with subtests.test(url):
            assert trail_of(client.get(url, follow=True)) == trail
