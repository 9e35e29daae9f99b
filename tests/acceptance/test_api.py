"""The API: responses and refusals of each kind."""

import re
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.acceptance.service import Service
from tests.acceptance.shop import ADDRESS, PRICE, Shop, created

PROBLEM = {"type", "title", "status", "detail", "instance", "code", "request_id"}
NOBODY = "01900000-0000-7000-8000-000000000000"


def refused(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Return the problem in ``response``, which must have this status and code."""
    assert response.headers["Content-Type"] == "application/problem+json", response.text
    problem: dict[str, Any] = response.json()
    assert (response.status_code, problem["code"]) == (status, code), response.text
    assert problem["status"] == status
    assert problem.keys() >= PROBLEM
    assert problem["instance"] == response.url.path
    assert problem["request_id"] == response.headers["Request-Id"]
    assert problem["type"].endswith("/problems/" + code.replace("_", "-"))
    return problem


# --- Resources ---------------------------------------------------------------------------------
def test_the_root_links_to_everything(service: Service, shop: Shop) -> None:
    links = shop.admin.get("").json()

    assert {"orders", "customers", "inventory", "projections"} <= links.keys()
    for link in links.values():
        assert shop.admin.get(link).status_code == 200


def test_public_pages_need_no_login(service: Service, subtests: pytest.Subtests) -> None:
    for path in ["/", "/healthz", "/readyz", "/api/schema", "/api/docs"]:
        with subtests.test(path):
            assert service.get(path).status_code == 200


def test_the_favicon_has_no_content(service: Service) -> None:
    assert service.get("/favicon.ico").status_code == 204


def test_the_docs_load_no_file_of_another_host(service: Service) -> None:
    page = service.get("/api/docs").text

    files = re.findall(r'(?:src|href)="([^"]+\.(?:js|css|png)[^"]*)"', page)
    assert files
    for file in files:
        assert file.startswith("/"), file
        assert service.get(file).status_code == 200


def test_the_schema_is_openapi_3_1(service: Service) -> None:
    schema = httpx.get(f"{service.url}/api/schema", params={"format": "json"}).json()

    assert schema["openapi"].startswith("3.1")
    addresses = {f"/api/v1/orders{path}" for path in ("", "/{order_id}", "/{order_id}/cancel")}
    assert addresses <= schema["paths"].keys()


def test_a_registered_customer_is_listed(shop: Shop) -> None:
    email = f"{uuid4().hex}@example.com"

    response = shop.admin.post("/customers", json={"name": "Kim Example", "email": email})

    body = created(response)
    assert (set(body), body["version"]) == ({"customer_id", "version", "events", "links"}, 1)
    assert response.headers["Location"] == f"{shop.admin.base_url}customers/{body['customer_id']}"
    shown = shop.read(f"/customers/{body['customer_id']}")
    assert (shown["name"], shown["email"]) == ("Kim Example", email)
    assert shown in shop.read("/customers")["results"]


def test_a_registered_product_is_listed(shop: Shop) -> None:
    product, sku = str(uuid4()), uuid4().hex

    response = shop.admin.post(
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

    assert created(response)["product_id"] == product
    assert response.headers["Location"] == f"{shop.admin.base_url}inventory/{product}"
    shown = shop.read(f"/inventory/{product}")
    assert (shown["sku"], shown["name"]) == (sku, "Wall clock")
    assert (shown["list_price"], shown["currency"]) == ("34.00", "EUR")
    assert (shown["on_hand"], shown["reserved"], shown["available"]) == (7, 0, 7)
    assert sku in [product["sku"] for product in all_items(shop, "/inventory")]


def test_an_order_is_read_at_its_location(shop: Shop) -> None:
    response = shop.admin.post("/orders", json=shop.body(shop.customer(), shop.product()))

    body = created(response)
    assert body.keys() >= {"order_id", "order_number", "status", "version"}
    assert (body["status"], body["version"]) == ("pending", 2)
    assert response.headers["Location"] == f"{shop.admin.base_url}orders/{body['order_id']}"
    assert shop.read(response.headers["Location"])["id"] == body["order_id"]


# --- Lists -------------------------------------------------------------------------------------
def all_items(shop: Shop, path: str, **parameters: Any) -> list[dict[str, Any]]:
    """Return all items of a list, by following its links from page to page."""
    response = shop.admin.get(path, params=parameters | {"page_size": 100}).json()
    items = list(response["results"])
    while response["next"]:
        response = shop.admin.get(response["next"]).json()
        items += response["results"]
    assert len(items) == response["count"]
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

    pages = [[order["id"] for order in page["results"]] for page in (first, second, third)]
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

    def order_ids(**parameters: str) -> set[str]:
        return {order["id"] for order in all_items(shop, "/orders", **parameters)}

    assert order_ids(customer=customer) == {pending, confirmed, cancelled}
    assert order_ids(customer=customer, status="pending") == {pending}
    assert order_ids(customer=customer, status="confirmed,cancelled") == {confirmed, cancelled}
    assert order_ids(customer=NOBODY) == set()
    assert pending in order_ids(status="pending")
    of_customer = f"/customers/{customer}/orders"
    cancelled_orders = all_items(shop, of_customer, status="cancelled")
    assert [order["id"] for order in cancelled_orders] == [cancelled]


def test_every_list_has_the_same_members(shop: Shop, subtests: pytest.Subtests) -> None:
    for path in ["/orders", "/customers", "/inventory", "/projections", "/parked-events"]:
        with subtests.test(path):
            assert shop.admin.get(path).json().keys() >= {"count", "next", "previous", "results"}


# --- Formats and addresses ---------------------------------------------------------------------
def test_an_address_answers_json_and_html_with_and_without_a_slash(
    shop: Shop, subtests: pytest.Subtests
) -> None:
    cases = [
        "",
        "/orders",
        "/orders/{order}",
        "/customers",
        "/inventory",
        "/projections",
        "/parked-events",
    ]
    for path in cases:
        with subtests.test(path):
            path = path.format(order=shop.order()) if "{" in path else path
            shop.read(path)
            for address in {path, path and f"{path}/"}:
                json = shop.admin.get(address)
                page = shop.admin.get(address, headers={"Accept": "text/html"})
                assert (json.status_code, json.headers["Content-Type"]) == (200, "application/json")
                assert (page.status_code, page.headers["Content-Type"]) == (
                    200,
                    "text/html; charset=utf-8",
                )


def test_a_command_accepts_a_trailing_slash(shop: Shop) -> None:
    response = shop.admin.post("/orders/", json=shop.body(shop.customer(), shop.product()))

    order = created(response)["order_id"]
    assert shop.admin.post(f"/orders/{order}/cancel/", json={"reason": "x"}).status_code == 200


def test_a_request_id_is_echoed(shop: Shop) -> None:
    response = shop.admin.get("/orders", headers={"Request-Id": "mine-1"})

    assert response.headers["Request-Id"] == "mine-1"


# --- Refusals ----------------------------------------------------------------------------------
def test_an_unknown_or_invalid_parameter_is_named(shop: Shop, subtests: pytest.Subtests) -> None:
    cases = [
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
    ]
    for query, code, parameter in cases:
        with subtests.test(query):
            problem = refused(shop.admin.get(f"/orders?{query}"), 400, code)

            assert problem["parameter"] == parameter
            assert parameter in problem["detail"] or parameter == "format"


def test_a_page_may_have_a_hundred_items(shop: Shop) -> None:
    assert shop.admin.get("/orders?page_size=100").status_code == 200


def test_a_request_without_a_valid_token_is_401(service: Service) -> None:
    for client in (service.client(), service.client(token="0" * 64)):
        response = client.get("/orders")
        refused(response, 401, "authentication_required")
        assert response.headers["WWW-Authenticate"].startswith("Token")


def test_a_refusal_names_the_missing_permission(service: Service, shop: Shop) -> None:
    body = shop.body(shop.customer(), shop.product())

    response = service.client("auditor").post("/orders", json=body)

    problem = refused(response, 403, "permission_denied")
    assert problem["needed_permission"] == "ordering_write.create_order"


def test_a_missing_resource_is_404(shop: Shop, subtests: pytest.Subtests) -> None:
    cases = [
        (f"/orders/{NOBODY}", "Order not found"),
        ("/orders/none", "Order not found"),
        (f"/customers/{NOBODY}", "Customer not found"),
        (f"/customers/{NOBODY}/orders", "Customer not found"),
        (f"/inventory/{NOBODY}", "Product not found"),
        ("/nowhere", None),
    ]
    for path, detail in cases:
        with subtests.test(path):
            problem = refused(shop.admin.get(path), 404, "not_found")

            assert detail is None or problem["detail"] == detail


def test_a_command_on_a_missing_resource_is_404(shop: Shop, subtests: pytest.Subtests) -> None:
    cases = [
        (f"/orders/{NOBODY}/cancel", {"reason": "x"}),
        (f"/orders/{NOBODY}/status", {"status": "confirmed"}),
        (f"/inventory/{NOBODY}/receipts", {"quantity": 1}),
    ]
    for path, body in cases:
        with subtests.test(path):
            refused(shop.admin.post(path, json=body), 404, "not_found")


def test_an_unsupported_method_is_405_with_the_allowed_ones(
    shop: Shop, subtests: pytest.Subtests
) -> None:
    cases = [
        ("DELETE", "/orders", {"GET", "POST", "HEAD", "OPTIONS"}),
        ("PUT", f"/orders/{NOBODY}", {"GET", "HEAD", "OPTIONS"}),
        ("GET", f"/orders/{NOBODY}/cancel", {"POST", "OPTIONS"}),
        ("POST", "/projections", {"GET", "HEAD", "OPTIONS"}),
    ]
    for method, path, allowed in cases:
        with subtests.test(f"{method} {path}"):
            response = shop.admin.request(method, path, json={})

            refused(response, 405, "method_not_allowed")
            assert set(response.headers["Allow"].split(", ")) == allowed


def test_a_media_type_that_is_not_offered_is_406(shop: Shop) -> None:
    response = shop.admin.get("/orders", headers={"Accept": "image/png"})

    refused(response, 406, "not_acceptable")


def test_a_body_that_is_not_strict_json_is_malformed(shop: Shop) -> None:
    json = {"Content-Type": "application/json"}

    for body in (b"{", b"[]", b'{"a": 1, "a": 2}', b'{"a": NaN}', b'{"a": "\\u0000"}', b"\xff"):
        refused(shop.admin.post("/orders", content=body, headers=json), 400, "malformed")


def test_a_body_that_is_too_large_is_413(service: Service) -> None:
    json = {"Content-Type": "application/json"}
    body = b'{"name": "' + b"x" * 3_000_000 + b'"}'
    # Each on one connection, which a refusal must leave in order for the next request.
    for client in (service.client("admin"), service.client()):
        for path in ("/orders", "/customers", f"/orders/{NOBODY}/cancel"):
            response = client.post(path, content=body, headers=json)
            if "Authorization" in client.headers:
                refused(response, 413, "too_large")
            else:
                refused(response, 401, "authentication_required")


def test_a_body_of_another_media_type_is_415(shop: Shop) -> None:
    for media_type in ("text/plain", "application/x-www-form-urlencoded", "application/xml"):
        headers = {"Content-Type": media_type}
        response = shop.admin.post("/orders", content=b"{}", headers=headers)
        refused(response, 415, "unsupported_media_type")


def test_every_invalid_field_of_a_body_is_named(shop: Shop) -> None:
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


def test_an_order_beyond_the_stock_names_every_shortage(shop: Shop) -> None:
    customer, lamp, rug = shop.customer(), shop.product(2, sku=uuid4().hex), shop.product(0)
    body = shop.body(customer, lamp, rug, quantity=2)
    # The demand is summed per product.
    body["items"].append({"product_id": lamp, "quantity": 1, "unit_price": PRICE})

    problem = refused(shop.admin.post("/orders", json=body), 400, "insufficient_inventory")

    assert problem["detail"].startswith("Insufficient inventory: ")
    shortages = {
        shortage["product_id"]: (shortage["requested"], shortage["available"])
        for shortage in problem["shortages"]
    }
    assert shortages == {lamp: (3, 2), rug: (2, 0)}
    assert shop.level(lamp) == {"on_hand": 2, "reserved": 0, "available": 2}


def test_an_order_of_an_unknown_customer_or_product_is_refused(shop: Shop) -> None:
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

    response = shop.admin.post(f"/orders/{order}/cancel", json={"reason": "Too late"})

    problem = refused(response, 409, "already_shipped")
    assert problem["detail"] == "Cannot cancel shipped order"


def test_an_order_refuses_an_invalid_transition(shop: Shop) -> None:
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


def test_a_duplicate_sku_or_email_is_refused(shop: Shop) -> None:
    sku, email = uuid4().hex, f"{uuid4().hex}@example.com"
    product = {"sku": sku, "name": "Wall clock", "on_hand": 1}
    customer = {"name": "Kim Example", "email": email}

    created(shop.admin.post("/inventory", json=product))
    created(shop.admin.post("/customers", json=customer))

    refused(shop.admin.post("/inventory", json=product), 409, "duplicate_sku")
    customer["email"] = email.upper()
    refused(shop.admin.post("/customers", json=customer), 409, "duplicate_email")


def test_the_type_of_a_problem_leads_to_a_page(service: Service, shop: Shop) -> None:
    problem = shop.admin.get("/orders?page=0").json()

    page = httpx.get(problem["type"], headers={"Accept": "text/html"})

    assert page.status_code == 200
    assert problem["title"] in page.text
