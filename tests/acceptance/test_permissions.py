"""Permissions over HTTP: every route of the URL conf with every method as every role.

The tables below repeat what the code grants: a permission that is granted by mistake differs from
them, and a new route without a row fails. The routes of commands come from the tables of routes
and grants.
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
from tests.proof import IS_PROOF

METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
MISSING = "01900000-0000-7000-8000-000000000000"

EVERYBODY = frozenset(ROLES)
READERS = {
    "order-list": EVERYBODY,
    "order-detail": EVERYBODY,
    "order-by-number": EVERYBODY,
    "order-number": EVERYBODY,
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
    "taxes-by-day-list": frozenset({"clerk", "auditor", "admin"}),
    "sales-by-product-list": frozenset({"clerk", "auditor", "admin"}),
    "projection-list": frozenset({"clerk", "warehouse", "auditor", "admin"}),
    "parked-event-list": frozenset({"clerk", "warehouse", "auditor", "admin"}),
    "parked-event-detail": frozenset({"clerk", "warehouse", "auditor", "admin"}),
    "webhook-endpoint-list": frozenset({"auditor", "admin"}),
    "webhook-endpoint-detail": frozenset({"auditor", "admin"}),
    "webhook-delivery-list": frozenset({"auditor", "admin"}),
    "webhook-delivery-detail": frozenset({"auditor", "admin"}),
}
# The roles that may send a command to a route, by method. The routes of commands are added below;
# tests/integration/test_permissions.py checks the grants.
SENDERS: dict[str, dict[str, frozenset[str]]] = {
    "parked-event-retry": {"POST": frozenset({"admin"})},
    "parked-event-skip": {"POST": frozenset({"admin"})},
    "webhook-endpoint-list": {"POST": frozenset({"admin"})},
    "webhook-endpoint-detail": {
        "PATCH": frozenset({"admin"}),
        "DELETE": frozenset({"admin"}),
    },
    **{
        f"webhook-{route}": {"POST": frozenset({"admin"})}
        for route in (
            "endpoint-rotate-secret",
            "endpoint-test",
            "endpoint-disable",
            "endpoint-enable",
            "endpoint-replay",
            "delivery-send-again",
            "delivery-skip",
        )
    },
}
PATHS = {
    "order-list": "/orders",
    "order-detail": "/orders/{order}",
    "order-by-number": "/orders/by-number/{number}",
    "order-number": "/order-numbers/{number}",
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
    "taxes-by-day-list": "/reports/taxes-by-day",
    "sales-by-product-list": "/reports/sales-by-product",
    "projection-list": "/projections",
    "parked-event-list": "/parked-events",
    "parked-event-detail": "/parked-events/{parked}",
    "parked-event-retry": "/parked-events/{parked}/retry",
    "parked-event-skip": "/parked-events/{parked}/skip",
    "webhook-endpoint-list": "/webhook-endpoints",
    "webhook-endpoint-detail": "/webhook-endpoints/{parked}",
    "webhook-endpoint-rotate-secret": "/webhook-endpoints/{parked}/rotate-secret",
    "webhook-endpoint-test": "/webhook-endpoints/{parked}/test",
    "webhook-endpoint-disable": "/webhook-endpoints/{parked}/disable",
    "webhook-endpoint-enable": "/webhook-endpoints/{parked}/enable",
    "webhook-endpoint-replay": "/webhook-endpoints/{parked}/replay",
    "webhook-delivery-list": "/webhook-deliveries",
    "webhook-delivery-detail": "/webhook-deliveries/{parked}",
    "webhook-delivery-send-again": "/webhook-deliveries/{parked}/send-again",
    "webhook-delivery-skip": "/webhook-deliveries/{parked}/skip",
}
for _resource in (OrderCommands, StockCommands, CustomerCommands):
    _noun = _resource.id_name.removesuffix("_id")
    _address = _resource.address.removeprefix("/api/v1")
    for _route in _resource.routes:
        _granted = {role.lower() for role in handler_of(_route.command).permission.roles}
        _name = f"{_noun}-{_route.url_name}"
        SENDERS.setdefault(_name, {})[_route.verb] = frozenset(_granted | {"admin"})
        PATHS[_name] = _address + (
            "" if _route.makes_resource else f"/{{{_noun}}}/{_route.path}".rstrip("/")
        )
# Routes without a login.
PUBLIC = {
    "start",
    "favicon",
    "healthz",
    "readyz",
    "payment-webhook",
    "problem",
    "schema",
    "docs",
    "docs-file",
    "api",
}
# The roles that may read the metrics.
METRICS = frozenset({"admin", "monitor"})
# The roles that may set each status of an order.
MOVERS = {
    "confirmed": {"clerk", "admin", "integration"},
    "processing": {"warehouse", "admin", "integration"},
    "shipped": {"warehouse", "admin", "integration"},
    "delivered": {"warehouse", "admin", "integration"},
    "completed": {"clerk", "admin", "integration"},
    "cancelled": {"clerk", "admin", "integration"},
}


def routes(resolver: URLResolver | None = None) -> Iterator[str]:
    """Yield the names of the routes; the admin site and customers' pages have their own tests."""
    for pattern in (resolver or get_resolver()).url_patterns:
        if isinstance(pattern, URLResolver):
            if pattern.namespace not in ("admin", "my", "screens"):
                yield from routes(pattern)
        else:
            assert isinstance(pattern, URLPattern)
            assert pattern.name, f"{pattern} has no name"
            yield pattern.name


API_ROUTES = sorted(READERS.keys() | SENDERS.keys())


@pytest.fixture(scope="module")
def clients(service: Service) -> dict[str, httpx.Client]:
    """Return a client for each role, and one without a login at the key ""."""
    return {role: service.client(role) for role in ("", *ROLES)}


def test_every_route_has_a_row() -> None:
    # The root of the API has a route with and one without its slash.
    names = set(routes())
    # The preview of a command is the command's own method, with its permission.
    previews = {name for name in names if name.endswith("-preview")}
    assert {name.removesuffix("-preview") for name in previews} < SENDERS.keys()
    assert names - previews - {"api-root"} == PUBLIC | {"metrics"} | set(API_ROUTES)


@pytest.fixture(scope="module")
def ids_of(service: Service, shop: Shop) -> dict[str, dict[str, str]]:
    """Return ids for a URL: of the role's own customer, of another customer, and of nothing."""
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
    for ids in owners.values():
        ids["number"] = shop.read(f"/orders/{ids['order']}")["order_number"]
    owners["missing"] = dict.fromkeys(("customer", "product", "order", "number"), MISSING)
    # No event is parked, and there is no webhook endpoint.
    return {owner: ids | {"parked": MISSING} for owner, ids in owners.items()}


def expected(route: str, method: str, role: str, owner: str) -> set[int]:
    """Return the statuses that the tables allow. The body of a command is empty."""
    sends = SENDERS.get(route, {})
    first = next((sends[verb] for verb in METHODS if verb in sends), None)
    reads = READERS.get(route)
    by = {"GET": reads, "HEAD": reads, "OPTIONS": reads or first, **sends}
    if by.get(method) is None:
        return {405}
    if not role:
        return {401}
    if role not in (by[method] or ()):
        return {403}
    if method in sends:
        # Accepted, missing, or refused for its body or a missing precondition.
        return {200, 404, 422, 428}
    if method == "OPTIONS" or "{" not in PATHS[route]:
        return {200}
    hidden = role == "customer" and not route.startswith("product")
    is_missing = owner == "missing" or "{parked}" in PATHS[route]
    return {404} if is_missing or (hidden and owner == "foreign") else {200}


@pytest.mark.proof
def test_every_method_of_every_route_for_every_role(
    clients: dict[str, httpx.Client], ids_of: dict[str, dict[str, str]]
) -> None:
    deviations = [
        deviation for route in API_ROUTES for deviation in deviations_of(clients, ids_of, route)
    ]
    assert deviations == []


def deviations_of(
    clients: dict[str, httpx.Client], ids_of: dict[str, dict[str, str]], route: str
) -> Iterator[tuple[str, str, str, str, int]]:
    """Yield role, owner, method, path and status of each response that the tables exclude."""
    # A command with an empty body could be carried out on an order that exists.
    owners = list(ids_of) if route in READERS and "{" in PATHS[route] else ["missing"]
    for method, owner, role in tries(route, owners):
        path = PATHS[route].format_map(defaultdict(lambda: MISSING, ids_of[owner]))
        body: Any = {} if method in SENDERS.get(route, {}) else None
        response = clients[role].request(method, path, json=body)
        if response.status_code not in expected(route, method, role, owner):
            yield role, owner, method, path, response.status_code
        if (method, role) == ("OPTIONS", "admin"):
            offered = {name for name in METHODS if 405 not in expected(route, name, role, owner)}
            if set(response.headers["Allow"].split(", ")) != offered:
                yield role, owner, method, response.headers["Allow"], response.status_code


def tries(route: str, owners: list[str]) -> Iterator[tuple[str, str, str]]:
    """Yield the methods, owners and roles that together show the permissions of a route.

    `make proof` takes every role for a command. Otherwise a role for each outcome will do:
    tests/integration/test_permissions.py compares the permission of each route, and of each role.
    """
    anyone = ("", *ROLES)
    methods = [method for method in METHODS if expected(route, method, "admin", owners[0]) != {405}]
    missing = [method for method in METHODS if method not in methods]
    # A forgotten method would work for the administrator at least. OPTIONS names all methods.
    for method in missing if IS_PROOF else missing[-1:]:
        yield method, owners[0], "admin"
    for method in methods:
        outcomes = {tuple(expected(route, method, role, owners[0])): role for role in anyone}
        if method == "GET" or (IS_PROOF and method in SENDERS.get(route, {})):
            roles = list(anyone)
        elif method in ("HEAD", "OPTIONS"):
            # These share the permission of another method: one role that has it, one that hasn't.
            roles = ["admin", outcomes[max(outcomes)]]
        else:
            roles = list(outcomes.values())
        for role in roles:
            yield method, owners[0], role
        if method == "GET":
            # A reader without a limit stands for all of them.
            yield from ((method, *pair) for pair in pairs(owners[1:], ("", "customer", "admin")))


def test_metrics_need_their_permission(service: Service, clients: dict[str, httpx.Client]) -> None:
    token = service.call("create_token", "prometheus", "--role", "monitor")
    monitor = service.client(token=token.strip())
    for role, client in {**clients, "monitor": monitor}.items():
        response = client.get(f"{service.url}/metrics")
        assert response.status_code == (401 if not role else 200 if role in METRICS else 403), role
    assert monitor.get("/orders").status_code == 403


def test_each_status_needs_its_own_permission(clients: dict[str, httpx.Client]) -> None:
    deviations = []
    for role, (status, movers) in pairs(ROLES, MOVERS.items()):
        # The order is missing: a role with the permission gets 404, and nothing changes.
        response = clients[role].post(f"/orders/{MISSING}/status", json={"status": status})
        if response.status_code != (404 if role in movers else 403):
            deviations.append((role, status, response.status_code))
    assert deviations == []


def without_names(response: httpx.Response) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Return status, body and headers of a response without what names the request."""
    body = response.json()
    named = {body.pop("instance"), body.pop("request_id")}
    assert len(named) == 2
    headers = {
        name: value
        for name, value in response.headers.items()
        if name not in ("date", "request-id", "content-length", "ratelimit")
    }
    return response.status_code, body, headers


def size_without_names(response: httpx.Response) -> int:
    """Return the length of a response without what names the request."""
    body = response.json()
    return len(response.content) - len(body["instance"]) - len(body["request_id"])


def test_a_resource_of_another_customer_looks_missing(
    service: Service, ids_of: dict[str, dict[str, str]], subtests: pytest.Subtests
) -> None:
    # The responses tell how far the projections are.
    service.settle()
    client = service.client("customer")
    cases = [
        ("GET", "/orders/{order}", None),
        ("GET", "/orders/by-number/{number}", None),
        ("GET", "/customers/{customer}", None),
        ("GET", "/customers/{customer}/orders", None),
        ("POST", "/orders/{order}/cancel", {"reason": "Mistake"}),
    ]
    for method, path, body in cases:
        with subtests.test(f"{method} {path}"):
            foreign, missing = (
                client.request(method, path.format(**ids_of[owner]), json=body)
                for owner in ("foreign", "missing")
            )

            assert foreign.status_code == 404
            assert without_names(foreign) == without_names(missing)
            assert size_without_names(foreign) == size_without_names(missing)


def test_a_customer_places_own_orders_only(
    service: Service, shop: Shop, ids_of: dict[str, dict[str, str]]
) -> None:
    client = service.client("customer")
    own, foreign = ids_of["own"], ids_of["foreign"]

    placed = client.post("/orders", json=shop.body(own["customer"], own["product"]))
    for_other = client.post("/orders", json=shop.body(foreign["customer"], own["product"]))
    for_nobody = client.post("/orders", json=shop.body(MISSING, own["product"]))

    assert placed.status_code == 201
    assert (for_other.status_code, for_nobody.status_code) == (422, 422)
    assert for_other.json()["detail"] == f"There is no customer {foreign['customer']}."
    assert for_nobody.json()["detail"] == f"There is no customer {MISSING}."


def test_a_customer_reads_and_cancels_own_orders_only(
    service: Service, shop: Shop, ids_of: dict[str, dict[str, str]]
) -> None:
    client = service.client("customer")
    own = ids_of["own"]["customer"]
    order = shop.order(own, ids_of["own"]["product"])
    foreign = shop.order(ids_of["foreign"]["customer"], ids_of["own"]["product"])
    service.settle()

    orders = client.get("/orders", params={"page_size": 100}).json()["results"]
    of_other = client.get("/orders", params={"customer": ids_of["foreign"]["customer"]}).json()
    customers = client.get("/customers").json()["results"]

    assert {order["customer_id"] for order in orders} == {own}
    assert of_other["count"] == 0
    assert [customer["customer_id"] for customer in customers] == [own]
    assert client.post(f"/orders/{order}/cancel", json={"reason": "Mistake"}).status_code == 200
    assert client.post(f"/orders/{foreign}/cancel", json={"reason": "x"}).status_code == 404
    service.settle()
    assert shop.read(f"/orders/{foreign}")["status"] == "pending"


def test_an_idempotency_key_of_another_user_reveals_nothing(
    service: Service, shop: Shop, ids_of: dict[str, dict[str, str]]
) -> None:
    key = {"Idempotency-Key": str(uuid4())}
    path = f"/orders/{ids_of['foreign']['order']}/status"
    assert shop.admin.post(path, json={"status": "confirmed"}, headers=key).is_success

    response = service.client("customer").post(path, json={"status": "confirmed"}, headers=key)

    assert response.status_code == 403
    assert ids_of["foreign"]["order"] not in json.dumps(
        {name: value for name, value in response.json().items() if name != "instance"}
    )


def test_personal_data_are_masked_by_role(
    service: Service, ids_of: dict[str, dict[str, str]], subtests: pytest.Subtests
) -> None:
    cases = [
        ("customer", True, True),
        ("clerk", True, True),
        ("warehouse", True, None),
        ("auditor", False, False),
        ("admin", True, True),
        ("integration", True, True),
    ]
    for role, sees_address, sees_email in cases:
        with subtests.test(role=role):
            client = service.client(role)

            order = client.get(f"/orders/{ids_of['own']['order']}").json()
            customer = client.get(f"/customers/{ids_of['own']['customer']}")

            assert (order["shipping_address"]["line1"] == "1 Example Street") == sees_address
            assert order["shipping_address"]["city"] == "Sampleton"
            if sees_email is None:
                assert customer.status_code == 403
            else:
                assert ("@" in customer.json()["email"]) == sees_email


def test_a_deactivated_user_is_refused_at_once(service: Service) -> None:
    token = service.call("create_token", "leaver", "--role", "clerk")
    client = service.client(token=token.strip())
    assert client.get("/orders").status_code == 200

    with service.write() as connection:
        connection.execute("UPDATE accounts_user SET is_active = false WHERE username = 'leaver'")

    assert client.get("/orders").status_code == 401
