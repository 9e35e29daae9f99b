"""The banner above every admin page: it warns of stale rows, in the words of people."""

import re
from typing import Any

import pytest
from django.core.cache import cache
from django.db import DatabaseError
from django.test import Client

from config.accounts.models import User
from ordering_read.admin import banner
from ordering_read.engine import live
from ordering_read.models import Projection
from ordering_read.projector import registered
from tests import kit
from tests.kit_admin import logged_in

pytestmark = pytest.mark.usefixtures("db")

URLS = ("/admin/", "/admin/ordering_read/projection/", "/admin/accounts/user/")


@pytest.fixture
def client(admin_user: User) -> Client:
    """A browser in which an administrator is logged in."""
    return logged_in(admin_user)


def warnings_of(client: Client, url: str = "/admin/") -> list[str]:
    response = client.get(url)
    assert response.status_code == 200
    return re.findall(r'<p class="stale" role="alert">(.*?)</p>', response.text)


def test_there_is_no_banner_while_all_projections_are_on_time(client: Client) -> None:
    kit.registered_product()

    assert warnings_of(client) == []


def test_the_banner_shows_late_rows_on_every_page(client: Client, settings: Any) -> None:
    settings.PROJECTION_LAG_ALERT_SECONDS = 0
    kit.registered_product()
    live.run(*(name for name in registered() if name != "order_view"))

    for url in URLS:
        [warning] = warnings_of(client, url)
        assert re.fullmatch(
            r"Orders are \d seconds? old: newer changes aren&#x27;t shown\.", warning
        )


def test_one_banner_says_in_the_words_of_people_all_that_is_wrong(
    client: Client, subtests: pytest.Subtests
) -> None:
    failed = {"error": "ValueError: no", "position": 7}
    some = Projection.objects.filter(name__in=("order_view", "inventory_level"))
    for rows, changes, words in (
        (some, failed, "Stock levels and orders aren&#x27;t updated any more"),
        (Projection.objects.all(), failed, "All lists aren&#x27;t updated any more"),
        (
            Projection.objects.exclude(name="order_view"),
            {"error": "", "parked_streams": 2},
            "Orders aren&#x27;t updated any more: newer changes aren&#x27;t shown. An error holds "
            f"up changes of figures of customers, customers and {len(registered()) - 3} more lists",
        ),
    ):
        with subtests.test(words):
            rows.update(**changes)
            cache.clear()
            [warning] = warnings_of(client)
            assert words in warning


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(1, "1 second"), (40, "40 seconds"), (150, "2 minutes"), (7200, "2 hours"), (2e5, "2 days")],
)
def test_an_age_is_in_the_largest_unit_of_which_it_has_two(seconds: float, words: str) -> None:
    assert banner._age(seconds) == words


def test_the_banner_caches_its_warnings(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    Projection.objects.filter(name="order_view").update(error="ValueError: no")
    assert len(warnings_of(client)) == 1

    monkeypatch.setattr(banner, "measured_generations", lambda **_: 1 / 0)

    assert len(warnings_of(client)) == 1


def test_the_banner_shows_that_a_database_is_away(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured_generations(**_options: Any) -> Any:
        raise DatabaseError("gone")

    monkeypatch.setattr(banner, "measured_generations", measured_generations)

    assert warnings_of(client) == ["A database can&#x27;t be reached: what you see may be old."]


def test_the_login_page_has_no_banner() -> None:
    Projection.objects.filter(name="order_view").update(error="ValueError: no")

    response = Client().get("/admin/login/")

    assert response.status_code == 200
    assert "updated" not in response.text
