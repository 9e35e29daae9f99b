"""Who may do what over HTTP: every route, every method, every role, from the URL conf itself.

The tables below say what the roles are for, in words of their own: a right that is granted by
mistake in the code differs from them, and a new route without a row fails. The addresses of
commands have their rows from the tables of commands and of grants.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from itertools import product as pairs
from typing import Any
from uuid import uuid4

import httpx
import pytest
from django.urls import URLPattern, URLResolver, get_resolver

from ordering_write.api import CustomerCommands, OrderCommands, StockCommands
from ordering_write.handlers import handler_of
from tests.acceptance.service import ROLES, Service
from tests.acceptance.shop import Shop

METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
MISSING = "01900000-0000-7000-8000-000000000000"

EVERYBODY = frozenset(ROLES)
READERS = {
    "order-list": EVERYBODY,
    "order-detail": EVERYBODY,
    "order-by-number": EVERYBODY,
    "order-status-counts": EVERYBODY,
    "order-timeline": EVERYBODY,
    "order-actions": EVERYBODY,
    "order-diff": frozenset({"auditor", "admin"}),
    "order-events": frozenset({"auditor", "admin"}),
    "feed-list": frozenset({"auditor", "admin", "integration"}),
    "customer-list": EVERYBODY - {"warehouse"},
    "customer-detail": EVERYBODY - {"warehouse"},
    "customer-orders": EVERYBODY,
    "customer-stats": EVERYBODY - {"warehouse"},
    "product-list": EVERYBODY,
    "product-detail": EVERYBODY,
    "product-movements": EVERYBODY - {"customer"},
    "fulfilment-queue-list": EVERYBODY - {"customer"},
    "search-list": EVERYBODY,
    "sales-by-day-list": frozenset({"clerk", "auditor", "admin"}),
    "sales-by-product-list": frozenset({"clerk", "auditor", "admin"}),
    "projection-list": frozenset({"clerk", "warehouse", "auditor", "admin"}),
    "parked-event-list": frozenset({"clerk", "warehouse", "auditor", "admin"}),
    "parked-event-detail": frozenset({"clerk", "warehouse", "auditor", "admin"}),
}
# Commands are asked for at the addresses of their tables, each by who was granted its permission;
# what may be granted to whom is in tests/integration/test_permissions.py.
GIVERS: dict[str, dict[str, frozenset[str]]] = {
    "parked-event-retry": {"POST": frozenset({"admin"})},
    "parked-event-skip": {"POST": frozenset({"admin"})},
}
PATHS = {
    "order-list": "/orders",
    "order-detail": "/orders/{order}",
    "order-by-number": "/orders/by-number/{number}",
    "order-status-counts": "/orders/status-counts",
    "order-timeline": "/orders/{order}/timeline",
    "order-actions": "/orders/{order}/actions",
    "order-diff": "/orders/{order}/diff",
    "order-events": "/orders/{order}/events",
    "feed-list": "/feed",
    "customer-list": "/customers",
    "customer-detail": "/customers/{customer}",
    "customer-orders": "/customers/{customer}/orders",
    "customer-stats": "/customers/{customer}/stats",
    "product-list": "/inventory",
    "product-detail": "/inventory/{product}",
    "product-movements": "/inventory/{product}/movements",
    "fulfilment-queue-list": "/fulfilment-queue",
    "search-list": "/search",
    "sales-by-day-list": "/reports/sales-by-day",
    "sales-by-product-list": "/reports/sales-by-product",
    "projection-list": "/projections",
    "parked-event-list": "/parked-events",
    "parked-event-detail": "/parked-events/{parked}",
    "parked-event-retry": "/parked-events/{parked}/retry",
    "parked-event-skip": "/parked-events/{parked}/skip",
}
for _resource in (OrderCommands, StockCommands, CustomerCommands):
    _noun = _resource.key.removesuffix("_id")
    _address = _resource.address.removeprefix("/api/v1")
    for _route in _resource.routes:
        _granted = {role.lower() for role in handler_of(_route.command).permission.roles}
        _name = f"{_noun}-{_route.url_name}"
        GIVERS.setdefault(_name, {})[_route.verb] = frozenset(_granted | {"admin"})
        PATHS[_name] = _address + (
            "" if _route.makes_resource else f"/{{{_noun}}}/{_route.path}".rstrip("/")
        )
# For anybody, without login.
PUBLIC = {"start", "favicon", "healthz", "readyz", "problem", "schema", "docs", "api"}
# Apart from the API; for programs that watch.
METRICS = frozenset({"admin", "monitor"})
# Which role may move an order where.
MOVERS = {
    "confirmed": {"clerk", "admin", "integration"},
    "processing": {"warehouse", "admin", "integration"},
    "shipped": {"warehouse", "admin", "integration"},
    "delivered": {"warehouse", "admin", "integration"},
    "completed": {"clerk", "admin", "integration"},
    "cancelled": {"clerk", "admin", "integration"},
}


def routes(resolver: URLResolver | None = None) -> Iterator[str]:
    """The names of all routes but the admin's, which has pages of its own to prove it."""
    for pattern in (resolver or get_resolver()).url_patterns:
        if isinstance(pattern, URLResolver):
            if pattern.namespace != "admin":
                yield from routes(pattern)
        else:
            assert isinstance(pattern, URLPattern)
            assert pattern.name, f"{pattern} has no name"
            yield pattern.name


API_ROUTES = sorted(READERS.keys() | GIVERS.keys())


def test_every_route_has_a_row() -> None:
    # The root of the API is there with and without its slash.
    assert set(routes()) - {"api-root"} == PUBLIC | {"metrics"} | set(API_ROUTES)


@pytest.fixture(scope="module")
def things(service: Service, shop: Shop) -> dict[str, dict[str, str]]:
    """What the customer of the role has, what another one has, and what nobody has."""
    owners = {}
    for owner in ("own", "foreign"):
        customer, product = shop.customer(), shop.product(list_price="19.90", currency="EUR")
        owners[owner] = {
            "customer": customer,
            "product": product,
            "order": shop.order(customer, product),
        }
    service.bind_customer("customer", owners["own"]["customer"])
    service.settle()
    for found in owners.values():
        found["number"] = shop.seen(f"/orders/{found['order']}")["order_number"]
    owners["missing"] = dict.fromkeys(("customer", "product", "order", "number"), MISSING)
    # Nothing is parked.
    return {owner: found | {"parked": MISSING} for owner, found in owners.items()}


def expected(route: str, method: str, role: str, owner: str) -> set[int]:
    """The statuses that the roles allow for. Bodies are empty: no command gets far with one."""
    gives = GIVERS.get(route, {})
    first = next((gives[verb] for verb in METHODS if verb in gives), None)
    reads = READERS.get(route)
    by = {"GET": reads, "HEAD": reads, "OPTIONS": reads or first, **gives}
    if by.get(method) is None:
        return {405}
    if not role:
        return {401}
    if role not in (by[method] or ()):
        return {403}
    if method in gives:
        # Refused for its body, for what it doesn't say or for what isn't there.
        return {200, 404, 422, 428}
    if method == "OPTIONS" or "{" not in PATHS[route]:
        return {200}
    hidden = role == "customer" and not route.startswith("product")
    is_missing = owner == "missing" or "{parked}" in PATHS[route]
    return {404} if is_missing or (hidden and owner == "foreign") else {200}


@pytest.mark.parametrize("route", API_ROUTES)
def test_every_method_of_every_route_for_every_role(
    service: Service, things: dict[str, dict[str, str]], route: str
) -> None:
    deviations = []
    # A command without a body would be carried out on what is there.
    owners = list(things) if route in READERS and "{" in PATHS[route] else ["missing"]
    for role in ("", *ROLES):
        client = service.client(role)
        for owner, method in pairs(owners, METHODS):
            path = PATHS[route].format_map(defaultdict(lambda: MISSING, things[owner]))
            body: Any = {} if method in GIVERS.get(route, {}) else None
            answer = client.request(method, path, json=body)
            if answer.status_code not in expected(route, method, role, owner):
                deviations.append((role, owner, method, path, answer.status_code))
    assert deviations == []


def test_metrics_are_for_those_that_watch(service: Service) -> None:
    service.tokens["monitor"] = service.manage(
        "create_token", "prometheus", "--role", "monitor"
    ).strip()
    for role in ("", *ROLES, "monitor"):
        answer = service.client(role).get(f"{service.url}/metrics")
        assert answer.status_code == (401 if not role else 200 if role in METRICS else 403), role
    assert service.client("monitor").get("/orders").status_code == 403


def test_moves_ask_for_the_right_to_that_move(
    service: Service, things: dict[str, dict[str, str]]
) -> None:
    deviations = []
    for role, (status, movers) in pairs(ROLES, MOVERS.items()):
        # The order is missing, so that who may move one hears 404 and nothing changes.
        answer = service.client(role).post(f"/orders/{MISSING}/status", json={"status": status})
        if answer.status_code != (404 if role in movers else 403):
            deviations.append((role, status, answer.status_code))
    assert deviations == []


def without_names(answer: httpx.Response) -> tuple[int, dict[str, Any], dict[str, str]]:
    """What is left of an answer when all that names the request is taken out."""
    body = answer.json()
    named = {body.pop("instance"), body.pop("request_id")}
    assert len(named) == 2
    headers = {
        name: value
        for name, value in answer.headers.items()
        if name not in ("date", "request-id", "content-length", "ratelimit")
    }
    return answer.status_code, body, headers


def size_without_names(answer: httpx.Response) -> int:
    """The length of an answer without that of what names the request."""
    body = answer.json()
    return len(answer.content) - len(body["instance"]) - len(body["request_id"])


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/orders/{order}", None),
        ("GET", "/orders/by-number/{number}", None),
        ("GET", "/customers/{customer}", None),
        ("GET", "/customers/{customer}/orders", None),
        ("POST", "/orders/{order}/cancel", {"reason": "Mistake"}),
    ],
)
def test_what_is_foreign_looks_like_what_is_missing(
    service: Service,
    things: dict[str, dict[str, str]],
    method: str,
    path: str,
    body: dict[str, str] | None,
) -> None:
    client = service.client("customer")

    foreign, missing = (
        client.request(method, path.format(**things[owner]), json=body)
        for owner in ("foreign", "missing")
    )

    assert foreign.status_code == 404
    assert without_names(foreign) == without_names(missing)
    assert size_without_names(foreign) == size_without_names(missing)


def test_a_customer_orders_for_nobody_else(
    service: Service, shop: Shop, things: dict[str, dict[str, str]]
) -> None:
    client = service.client("customer")
    own, foreign = things["own"], things["foreign"]

    placed = client.post("/orders", json=shop.body(own["customer"], own["product"]))
    for_other = client.post("/orders", json=shop.body(foreign["customer"], own["product"]))
    for_nobody = client.post("/orders", json=shop.body(MISSING, own["product"]))

    assert placed.status_code == 201
    assert (for_other.status_code, for_nobody.status_code) == (422, 422)
    assert for_other.json()["detail"] == f"There is no customer {foreign['customer']}."
    assert for_nobody.json()["detail"] == f"There is no customer {MISSING}."


def test_a_customer_sees_and_cancels_only_what_is_theirs(
    service: Service, shop: Shop, things: dict[str, dict[str, str]]
) -> None:
    client = service.client("customer")
    own = things["own"]["customer"]
    order = shop.order(own, things["own"]["product"])
    foreign = shop.order(things["foreign"]["customer"], things["own"]["product"])
    service.settle()

    orders = client.get("/orders", params={"page_size": 100}).json()["results"]
    of_other = client.get("/orders", params={"customer": things["foreign"]["customer"]}).json()
    customers = client.get("/customers").json()["results"]

    assert {one["customer_id"] for one in orders} == {own}
    assert of_other["count"] == 0
    assert [one["customer_id"] for one in customers] == [own]
    assert client.post(f"/orders/{order}/cancel", json={"reason": "Mistake"}).status_code == 200
    assert client.post(f"/orders/{foreign}/cancel", json={"reason": "x"}).status_code == 404
    service.settle()
    assert shop.seen(f"/orders/{foreign}")["status"] == "pending"


def test_a_key_of_another_user_shows_nothing(
    service: Service, shop: Shop, things: dict[str, dict[str, str]]
) -> None:
    key = {"Idempotency-Key": str(uuid4())}
    path = f"/orders/{things['foreign']['order']}/status"
    assert shop.admin.post(path, json={"status": "confirmed"}, headers=key).is_success

    answer = service.client("customer").post(path, json={"status": "confirmed"}, headers=key)

    assert answer.status_code == 403
    assert things["foreign"]["order"] not in json.dumps(
        {name: value for name, value in answer.json().items() if name != "instance"}
    )


@pytest.mark.parametrize(
    ("role", "sees_address", "sees_email"),
    [
        ("customer", True, True),
        ("clerk", True, True),
        ("warehouse", True, None),
        ("auditor", False, False),
        ("admin", True, True),
        ("integration", True, True),
    ],
)
def test_personal_data_are_masked(
    service: Service,
    things: dict[str, dict[str, str]],
    role: str,
    sees_address: bool,
    sees_email: bool | None,
) -> None:
    client = service.client(role)

    order = client.get(f"/orders/{things['own']['order']}").json()
    customer = client.get(f"/customers/{things['own']['customer']}")

    assert (order["shipping_address"]["line1"] == "1 Example Street") == sees_address
    assert order["shipping_address"]["city"] == "Sampleton"
    if sees_email is None:
        assert customer.status_code == 403
    else:
        assert ("@" in customer.json()["email"]) == sees_email


def test_a_user_who_is_switched_off_is_out_at_once(service: Service) -> None:
    client = service.client(
        token=service.manage("create_token", "leaver", "--role", "clerk").strip()
    )
    assert client.get("/orders").status_code == 200

    with service.write() as connection:
        connection.execute("UPDATE accounts_user SET is_active = false WHERE username = 'leaver'")

    assert client.get("/orders").status_code == 401
