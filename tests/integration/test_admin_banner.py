"""The banner above every admin page: it warns of stale rows."""

import re
from typing import Any

import pytest
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


def test_the_banner_shows_a_late_projection_on_every_page(client: Client, settings: Any) -> None:
    settings.PROJECTION_LAG_ALERT_SECONDS = 0
    kit.registered_product()
    live.run(*(name for name in registered() if name != "order_view"))

    for url in URLS:
        [warning] = warnings_of(client, url)
        assert re.fullmatch(
            r"Projection order_view is 2 events and \d seconds behind the log: "
            r"newer changes aren&#x27;t shown\.",
            warning,
        )


def test_the_banner_shows_a_failed_projection(client: Client) -> None:
    Projection.objects.filter(name="order_view").update(error="ValueError: no", position=7)

    assert warnings_of(client) == ["Projection order_view has stopped at event 7."]


def test_the_banner_caches_its_warnings(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    Projection.objects.filter(name="order_view").update(error="ValueError: no")
    assert len(warnings_of(client)) == 1

    monkeypatch.setattr(banner, "statuses", lambda: 1 / 0)

    assert len(warnings_of(client)) == 1


def test_the_banner_shows_that_a_database_is_away(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def statuses() -> Any:
        raise DatabaseError("gone")

    monkeypatch.setattr(banner, "statuses", statuses)

    assert warnings_of(client) == ["A database can&#x27;t be reached: the rows may be old."]


def test_the_login_page_has_no_banner() -> None:
    Projection.objects.filter(name="order_view").update(error="ValueError: no")

    response = Client().get("/admin/login/")

    assert response.status_code == 200
    assert "order_view" not in response.text
