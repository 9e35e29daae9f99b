"""The headers of every address: what a browser may load, and what it may keep."""

import re
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from typing import Any

import pytest
from django.apps import apps
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from config.accounts.models import User
from config.http.headers import CONTENT_SECURITY_POLICY, DOCS_CONTENT_SECURITY_POLICY
from ordering_read.models.fulfilment import QueuedOrder
from ordering_write.domain.events import OrderStatus
from ordering_write.models import OutboxEvent
from tests import kit
from tests.kit_admin import (
    ORDERS,
    Shop,
    logged_in,
    projected_shop,
    row_url,
    run_action,
    run_projections,
)
from tests.kit_http import close
from tests.proof import IS_PROOF

pytestmark = pytest.mark.usefixtures("db")

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
DOCS = "/api/docs"
QUEUE = "ordering_read/queuedorder"
# Files, which routes don't list.
FILES = [
    "/static/admin/css/base.css",
    "/static/http/docs.js",
    "/static/nowhere.css",
    "/static/http/pages.css",
]
# A parameter in a route of Django, or in a regular expression.
PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>|\(\?P<(\w+)>(?:\[[^\]]*\]|[^()\[\]])*\)")


@pytest.fixture
def shop() -> Shop:
    return projected_shop()


def routes(patterns: Sequence[URLPattern | URLResolver], prefix: str = "/") -> Iterator[str]:
    """Yield the route of each address, with its parameters."""
    for pattern in patterns:
        route = prefix + re.sub(r"^\^|/\?\$$|\\Z$|\$$", "", str(pattern.pattern))
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, route)
        else:
            yield route


def addresses(shop: Shop) -> list[str]:
    """Return an address for each route, of a thing that exists where the route names one."""
    return [address(shop, route) for route in routes(get_resolver().url_patterns)]


def address(shop: Shop, route: str) -> str:
    def text(match: re.Match[str]) -> str:
        return str(value(shop, route, match[1] or match[2]))

    return PARAMETER.sub(text, route)


def value(shop: Shop, route: str, name: str) -> object:
    if name == "pk":
        things = {"customers": shop.customer.pk, "inventory": shop.product.pk}
        return things.get(route.split("/")[3], shop.order.pk)
    if name in ("object_id", "id") and (match := re.match(r"/admin/(\w+)/(\w+)/", route)):
        row = apps.get_model(match[1], match[2])._default_manager.first()
        return row.pk if row else 1
    return {
        "number": shop.order.order_number,
        "order_id": shop.order.pk,
        "correlation_id": OutboxEvent.objects.values_list("correlation_id", flat=True)[0],
        "slug": "not-found",
        "name": "swagger-ui.css",
        "app_label": "ordering_read",
    }.get(name, "1")


class Markup(HTMLParser):
    """Collects what the policy would block: inline scripts and styles, files of other hosts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.blocked: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        is_inline_script = tag == "script" and "src" not in values
        if tag == "style" or (is_inline_script and values.get("type") != "application/json"):
            self.blocked.append(tag)
        for name, text in attributes:
            is_loaded = name in ("src", "srcset", "data", "poster") or (
                name == "href" and tag == "link"
            )
            is_elsewhere = is_loaded and re.match(r"\w+:|//", text or "")
            is_script = name.startswith("on") or (text or "").strip().startswith("javascript:")
            if name == "style" or is_elsewhere or is_script:
                self.blocked.append(f"{tag} {name}={text}")


def check(answer: Any, *, path: str) -> None:
    assert answer.status_code < 500 or path == "/readyz"  # no worker runs in these tests
    for name, text in HEADERS.items():
        assert answer[name] == text
    assert "camera=()" in answer["Permissions-Policy"]
    is_docs = path == DOCS and answer.status_code == 200
    policy = DOCS_CONTENT_SECURITY_POLICY if is_docs else CONTENT_SECURITY_POLICY
    assert answer["Content-Security-Policy"] == policy
    assert "unsafe" not in policy
    if answer.get("Content-Type", "").startswith("text/html"):
        assert "no-store" in answer["Cache-Control"]
        assert Markup(answer.content.decode()).blocked == []
    elif answer.status_code >= 400:
        assert "no-store" in answer["Cache-Control"]
    assert answer["Cache-Control"]
    close(answer)


@pytest.mark.proof
def test_every_address_has_the_headers_and_no_inline_code(
    shop: Shop, admin_user: User, subtests: pytest.Subtests
) -> None:
    clients = {"stranger": Client(), "admin": logged_in(admin_user)}
    statuses = set()
    for number, path in enumerate([*addresses(shop), *FILES]):
        # The pages of the admin are HTML for every client. A stranger asks each address for one of
        # both types, because the API refuses both alike.
        others = [] if path.startswith("/admin/") else ["application/json"]
        accepted = {"admin": ["text/html", *others], "stranger": ["text/html", *others]}
        if others and not IS_PROOF:
            accepted["stranger"] = [accepted["stranger"][number % 2]]
        with subtests.test(path):
            for name, client in clients.items():
                for accept in accepted[name]:
                    answer = client.get(path, headers={"accept": accept})
                    statuses.add((name, answer.status_code))
                    check(answer, path=path)
    # The walk has met pages, redirects and refusals.
    assert {("admin", 200), ("admin", 302), ("stranger", 200), ("stranger", 302)} <= statuses
    assert {("stranger", 401), ("stranger", 404), ("stranger", 405)} <= statuses


@pytest.mark.proof
def test_a_refused_method_has_the_headers(shop: Shop, subtests: pytest.Subtests) -> None:
    client = Client()
    methods = ["post", "options", "delete"]
    for number, path in enumerate([*addresses(shop), *FILES]):
        # One method for each address, because the same code refuses it at all of them.
        for method in methods if IS_PROOF else [methods[number % 3]]:
            with subtests.test(path, method=method):
                check(getattr(client, method)(path, headers={"accept": "text/html"}), path="")


def test_the_forms_of_the_admin_have_no_inline_code(
    shop: Shop, admin_user: User, subtests: pytest.Subtests
) -> None:
    client = logged_in(admin_user)
    page = client.get(row_url(ORDERS, shop.order.pk)).content.decode()
    links = set(re.findall(r'href="([^"]+/commands/[^"]+)"', page))
    assert links
    for link in links:
        with subtests.test(link):
            check(client.get(link), path=link)
    kit.dispatch(kit.move(shop.order, OrderStatus.CONFIRMED))
    run_projections()
    for action in ("print_packing_slips", "print_pick_list"):
        printed = run_action(client, QUEUE, action, *QueuedOrder.live.all())
        answer = client.get(printed["Location"])
        assert 'class="printed' in answer.text
        check(answer, path=action)


def test_a_redirect_to_https_has_the_headers(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = True
    answer = Client().get("/")
    assert (answer.status_code, answer["Cache-Control"]) == (301, "no-store")
    assert answer["Content-Security-Policy"] == CONTENT_SECURITY_POLICY


def test_the_page_with_a_traceback_may_use_its_own_style(settings: Any) -> None:
    settings.DEBUG = True
    answer = Client().get("/nowhere", headers={"accept": "text/html"})
    assert not answer.has_header("Content-Security-Policy")
    assert Client().get("/")["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
