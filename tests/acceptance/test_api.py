"""The API, row by row: what it answers, and how it refuses."""

import re
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.acceptance.service import Service
from tests.acceptance.shop import ADDRESS, PRICE, Shop, made

PROBLEM = {"type", "title", "status", "detail", "instance", "code", "request_id"}
NOBODY = "01900000-0000-7000-8000-000000000000"


def refused(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The problem in ``answer``, which must be this one, with a page that explains it."""
    assert answer.headers["Content-Type"] == "application/problem+json", answer.text
    problem: dict[str, Any] = answer.json()
    assert (answer.status_code, problem["code"]) == (status, code), answer.text
    assert problem["status"] == status
    assert problem.keys() >= PROBLEM
    assert problem["instance"] == answer.url.path
    assert problem["request_id"] == answer.headers["Request-Id"]
    assert problem["type"].endswith("/problems/" + code.replace("_", "-"))
    return problem


# --- What is there -----------------------------------------------------------------------------
def test_the_root_links_to_everything(service: Service, shop: Shop) -> None:
    links = shop.admin.get("").json()

    assert {"orders", "customers", "inventory", "projections"} <= links.keys()
    for link in links.values():
        assert shop.admin.get(link).status_code == 200


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/api/schema", "/api/docs"])
def test_what_is_at_the_root_needs_no_login(service: Service, path: str) -> None:
    assert service.get(path).status_code == 200


def test_browsers_hear_that_there_is_no_icon(service: Service) -> None:
    assert service.get("/favicon.ico").status_code == 204


def test_the_pages_of_the_api_are_served_by_ourselves(service: Service) -> None:
    page = service.get("/api/docs").text

    files = re.findall(r'(?:src|href)="([^"]+\.(?:js|css|png)[^"]*)"', page)
    assert files
    for file in files:
        assert file.startswith("/"), file
        assert service.get(file).status_code == 200


def test_the_schema_is_openapi_3_1(service: Service) -> None:
    schema = httpx.get(f"{service.url}/api/schema", params={"format": "json"}).json()

    assert schema["openapi"].startswith("3.1")
    assert {"/api/v1/orders", "/api/v1/orders/{id}", "/api/v1/orders/{id}/cancel"} <= schema[
        "paths"
    ].keys()


def test_customers(shop: Shop) -> None:
    email = f"{uuid4().hex}@example.com"

    answer = shop.admin.post("/customers", json={"name": "Kim Example", "email": email})

    body = made(answer)
    assert (set(body), body["version"]) == ({"customer_id", "version", "events", "links"}, 1)
    assert answer.headers["Location"] == f"{shop.admin.base_url}customers/{body['customer_id']}"
    shown = shop.seen(f"/customers/{body['customer_id']}")
    assert (shown["name"], shown["email"]) == ("Kim Example", email)
    assert shown in shop.seen("/customers")["results"]


def test_products(shop: Shop) -> None:
    product, sku = str(uuid4()), uuid4().hex

    answer = shop.admin.post(
        "/inventory",
        json={
            "product_id": product,
            "sku": sku,
            "name": "Wall clock",
            "on_hand": 7,
            "list_price": "34.00",
            "currency": "EUR",
        },
    )

    assert made(answer)["product_id"] == product
    assert answer.headers["Location"] == f"{shop.admin.base_url}inventory/{product}"
    shown = shop.seen(f"/inventory/{product}")
    assert (shown["sku"], shown["name"]) == (sku, "Wall clock")
    assert (shown["list_price"], shown["currency"]) == ("34.00", "EUR")
    assert (shown["on_hand"], shown["reserved"], shown["available"]) == (7, 0, 7)
    assert sku in [one["sku"] for one in everything(shop, "/inventory")]


def test_an_order_is_where_its_location_says(shop: Shop) -> None:
    answer = shop.admin.post("/orders", json=shop.body(shop.customer(), shop.product()))

    body = made(answer)
    assert body.keys() >= {"order_id", "order_number", "status", "version"}
    assert (body["status"], body["version"]) == ("pending", 2)
    assert answer.headers["Location"] == f"{shop.admin.base_url}orders/{body['order_id']}"
    assert shop.seen(answer.headers["Location"])["id"] == body["order_id"]


# --- Lists -------------------------------------------------------------------------------------
def everything(shop: Shop, path: str, **parameters: Any) -> list[dict[str, Any]]:
    """All items of a list, by following its links from page to page."""
    answer = shop.admin.get(path, params=parameters | {"page_size": 100}).json()
    items = list(answer["results"])
    while answer["next"]:
        answer = shop.admin.get(answer["next"]).json()
        items += answer["results"]
    assert len(items) == answer["count"]
    return items


def test_a_list_is_read_page_by_page(service: Service, shop: Shop) -> None:
    customer = shop.customer()
    product = shop.product()
    orders = [shop.order(customer, product) for _ in range(5)]
    service.settle()
    path = f"/customers/{customer}/orders"

    first = shop.admin.get(path, params={"page_size": 2}).json()
    second = shop.admin.get(first["next"]).json()
    third = shop.admin.get(second["next"]).json()
    past = shop.admin.get(path, params={"page": 9, "page_size": 2}).json()

    pages = [[one["id"] for one in page["results"]] for page in (first, second, third)]
    newest_first = orders[::-1]
    assert pages == [newest_first[:2], newest_first[2:4], newest_first[4:]]
    assert [page["count"] for page in (first, second, third, past)] == [5, 5, 5, 5]
    assert (first["previous"], third["next"], past["next"]) == (None, None, None)
    assert shop.admin.get(third["previous"]).json() == second
    assert past["results"] == []
    assert shop.admin.get(past["previous"]).json()["results"] == third["results"]


def test_orders_are_filtered(service: Service, shop: Shop) -> None:
    customer, product = shop.customer(), shop.product()
    pending, confirmed, cancelled = (shop.order(customer, product) for _ in range(3))
    shop.admin.post(f"/orders/{confirmed}/status", json={"status": "confirmed"})
    shop.admin.post(f"/orders/{cancelled}/cancel", json={"reason": "Mistake"})
    service.settle()

    def found(**parameters: str) -> set[str]:
        return {one["id"] for one in everything(shop, "/orders", **parameters)}

    assert found(customer=customer) == {pending, confirmed, cancelled}
    assert found(customer=customer, status="pending") == {pending}
    assert found(customer=customer, status="confirmed,cancelled") == {confirmed, cancelled}
    assert found(customer=NOBODY) == set()
    assert pending in found(status="pending")
    of_customer = f"/customers/{customer}/orders"
    assert [one["id"] for one in everything(shop, of_customer, status="cancelled")] == [cancelled]


@pytest.mark.parametrize(
    "path", ["/orders", "/customers", "/inventory", "/projections", "/parked-events"]
)
def test_lists_have_one_shape(shop: Shop, path: str) -> None:
    assert shop.admin.get(path).json().keys() >= {"count", "next", "previous", "results"}


# --- Forms of one address ----------------------------------------------------------------------
@pytest.mark.parametrize(
    "path",
    [
        "",
        "/orders",
        "/orders/{order}",
        "/customers",
        "/inventory",
        "/projections",
        "/parked-events",
    ],
)
def test_an_address_speaks_json_and_html_with_and_without_a_slash(shop: Shop, path: str) -> None:
    path = path.format(order=shop.order()) if "{" in path else path
    shop.seen(path)
    for address in {path, path and f"{path}/"}:
        json = shop.admin.get(address)
        page = shop.admin.get(address, headers={"Accept": "text/html"})
        assert (json.status_code, json.headers["Content-Type"]) == (200, "application/json")
        assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")


def test_commands_accept_a_slash_too(shop: Shop) -> None:
    answer = shop.admin.post("/orders/", json=shop.body(shop.customer(), shop.product()))

    order = made(answer)["order_id"]
    assert shop.admin.post(f"/orders/{order}/cancel/", json={"reason": "x"}).status_code == 200


def test_a_request_id_is_echoed(shop: Shop) -> None:
    answer = shop.admin.get("/orders", headers={"Request-Id": "mine-1"})

    assert answer.headers["Request-Id"] == "mine-1"


# --- Refusals ----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("query", "code", "parameter"),
    [
        ("nonsense=1", "unknown_parameter", "nonsense"),
        ("Status=pending", "unknown_parameter", "Status"),
        ("page=0", "invalid_parameter", "page"),
        ("page=-1", "invalid_parameter", "page"),
        ("page=one", "invalid_parameter", "page"),
        ("page=1&page=2", "invalid_parameter", "page"),
        ("page_size=0", "invalid_parameter", "page_size"),
        ("page_size=101", "invalid_parameter", "page_size"),
        ("status=lost", "invalid_parameter", "status"),
        ("customer=me", "invalid_parameter", "customer"),
        ("format=xml", "invalid_parameter", "format"),
    ],
)
def test_queries_that_make_no_sense(shop: Shop, query: str, code: str, parameter: str) -> None:
    problem = refused(shop.admin.get(f"/orders?{query}"), 400, code)

    assert problem["parameter"] == parameter
    assert parameter in problem["detail"] or parameter == "format"


def test_a_page_of_a_hundred_is_the_largest(shop: Shop) -> None:
    assert shop.admin.get("/orders?page_size=100").status_code == 200


def test_who_is_not_known_is_asked_to_log_in(service: Service) -> None:
    for client in (service.client(), service.client(token="0" * 64)):
        answer = client.get("/orders")
        refused(answer, 401, "authentication_required")
        assert answer.headers["WWW-Authenticate"].startswith("Token")


def test_who_may_not_is_told_which_permission_is_missing(service: Service, shop: Shop) -> None:
    body = shop.body(shop.customer(), shop.product())

    answer = service.client("auditor").post("/orders", json=body)

    problem = refused(answer, 403, "permission_denied")
    assert problem["needed_permission"] == "ordering_write.create_order"


@pytest.mark.parametrize(
    ("path", "detail"),
    [
        (f"/orders/{NOBODY}", "Order not found"),
        ("/orders/none", "Order not found"),
        (f"/customers/{NOBODY}", "Customer not found"),
        (f"/customers/{NOBODY}/orders", "Customer not found"),
        (f"/inventory/{NOBODY}", "Product not found"),
        ("/nowhere", None),
    ],
)
def test_what_is_not_there(shop: Shop, path: str, detail: str | None) -> None:
    problem = refused(shop.admin.get(path), 404, "not_found")

    assert detail is None or problem["detail"] == detail


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (f"/orders/{NOBODY}/cancel", {"reason": "x"}),
        (f"/orders/{NOBODY}/status", {"status": "confirmed"}),
        (f"/inventory/{NOBODY}/receipts", {"quantity": 1}),
    ],
)
def test_commands_on_what_is_not_there(shop: Shop, path: str, body: dict[str, Any]) -> None:
    refused(shop.admin.post(path, json=body), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/orders", {"GET", "POST", "HEAD", "OPTIONS"}),
        ("PUT", f"/orders/{NOBODY}", {"GET", "HEAD", "OPTIONS"}),
        ("GET", f"/orders/{NOBODY}/cancel", {"POST", "OPTIONS"}),
        ("POST", "/projections", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_methods_that_are_not_there(shop: Shop, method: str, path: str, allowed: set[str]) -> None:
    answer = shop.admin.request(method, path, json={})

    refused(answer, 405, "method_not_allowed")
    assert set(answer.headers["Allow"].split(", ")) == allowed


def test_formats_that_are_not_offered(shop: Shop) -> None:
    answer = shop.admin.get("/orders", headers={"Accept": "image/png"})

    refused(answer, 406, "not_acceptable")


def test_bodies_that_are_no_strict_json(shop: Shop) -> None:
    json = {"Content-Type": "application/json"}

    for body in (b"{", b"[]", b'{"a": 1, "a": 2}', b'{"a": NaN}', b'{"a": "\\u0000"}', b"\xff"):
        refused(shop.admin.post("/orders", content=body, headers=json), 400, "malformed")


def test_bodies_that_are_too_large(service: Service) -> None:
    json = {"Content-Type": "application/json"}
    body = b'{"name": "' + b"x" * 3_000_000 + b'"}'
    # Each on one connection, which a refusal must leave in order for the next request.
    for client in (service.client("admin"), service.client()):
        for path in ("/orders", "/customers", f"/orders/{NOBODY}/cancel"):
            answer = client.post(path, content=body, headers=json)
            if "Authorization" in client.headers:
                refused(answer, 413, "too_large")
            else:
                refused(answer, 401, "authentication_required")


def test_bodies_of_other_types(shop: Shop) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/xml"):
        answer = shop.admin.post("/orders", content=b"{}", headers={"Content-Type": kind})
        refused(answer, 415, "unsupported_media_type")


def test_fields_that_can_not_be_used_are_all_named(shop: Shop) -> None:
    body = {
        "customer_id": "me",
        "status": "shipped",
        "items": [{"product_id": NOBODY, "quantity": 0, "unit_price": "-1"}],
        "shipping_address": ADDRESS | {"country": "Spain"},
    }

    problem = refused(shop.admin.post("/orders", json=body), 422, "validation")

    pointers = {error["pointer"] for error in problem["errors"]}
    assert pointers == {
        "#/customer_id",
        "#/status",
        "#/items/0/quantity",
        "#/items/0/unit_price",
        "#/shipping_address/country",
    }


def test_an_order_that_the_stock_does_not_cover(shop: Shop) -> None:
    customer, lamp, rug = shop.customer(), shop.product(2, sku=uuid4().hex), shop.product(0)
    body = shop.body(customer, lamp, rug, quantity=2)
    # The demand is summed per product.
    body["items"].append({"product_id": lamp, "quantity": 1, "unit_price": PRICE})

    problem = refused(shop.admin.post("/orders", json=body), 400, "insufficient_inventory")

    assert problem["detail"].startswith("Insufficient inventory: ")
    shortages = {
        one["product_id"]: (one["requested"], one["available"]) for one in problem["shortages"]
    }
    assert shortages == {lamp: (3, 2), rug: (2, 0)}
    assert shop.level(lamp) == {"on_hand": 2, "reserved": 0, "available": 2}


def test_an_order_of_what_nobody_knows(shop: Shop) -> None:
    product, customer = shop.product(), shop.customer()

    for body, pointer in (
        (shop.body(NOBODY, product), "#/customer_id"),
        (shop.body(customer, product, NOBODY), "#/items/1/product_id"),
    ):
        problem = refused(shop.admin.post("/orders", json=body), 422, "validation")
        assert [error["pointer"] for error in problem["errors"]] == [pointer]


def test_a_shipped_order_can_not_be_cancelled(shop: Shop) -> None:
    order = shop.order()
    for status in ("confirmed", "processing", "shipped"):
        shop.admin.post(f"/orders/{order}/status", json={"status": status})

    answer = shop.admin.post(f"/orders/{order}/cancel", json={"reason": "Too late"})

    problem = refused(answer, 409, "already_shipped")
    assert problem["detail"] == "Cannot cancel shipped order"


def test_moves_that_an_order_can_not_make(shop: Shop) -> None:
    order = shop.order()
    move = f"/orders/{order}/status"

    problem = refused(
        shop.admin.post(move, json={"status": "delivered"}), 409, "invalid_transition"
    )
    assert "confirmed" in problem["allowed_transitions"]
    shop.admin.post(move, json={"status": "confirmed"})
    refused(shop.admin.post(move, json={"status": "confirmed"}), 409, "invalid_transition")
    for status in ("pending", "partially_shipped", "lost"):
        refused(shop.admin.post(move, json={"status": status}), 422, "validation")
    shop.admin.post(f"/orders/{order}/cancel", json={"reason": "Mistake"})
    again = shop.admin.post(f"/orders/{order}/cancel", json={"reason": "Mistake"})
    refused(again, 409, "invalid_transition")


def test_names_that_are_taken(shop: Shop) -> None:
    sku, email = uuid4().hex, f"{uuid4().hex}@example.com"
    product = {"sku": sku, "name": "Wall clock", "on_hand": 1}
    customer = {"name": "Kim Example", "email": email}

    made(shop.admin.post("/inventory", json=product))
    made(shop.admin.post("/customers", json=customer))

    refused(shop.admin.post("/inventory", json=product), 409, "duplicate_sku")
    customer["email"] = email.upper()
    refused(shop.admin.post("/customers", json=customer), 409, "duplicate_email")


def test_every_problem_has_a_page(service: Service, shop: Shop) -> None:
    problem = shop.admin.get("/orders?page=0").json()

    page = httpx.get(problem["type"], headers={"Accept": "text/html"})

    assert page.status_code == 200
    assert problem["title"] in page.text
