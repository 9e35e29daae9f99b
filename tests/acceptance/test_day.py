"""The first day of a new user: place an order, read it, cancel it, read the log, rebuild."""

import json

from tests.acceptance.service import Service, wait_until
from tests.acceptance.shop import ADDRESS, PRICE, Shop, created


def test_an_order_is_placed_read_cancelled_logged_and_rebuilt(service: Service, shop: Shop) -> None:
    customer, product = shop.customer("Robin Sample"), shop.product(10, name="Desk lamp")

    placed = created(shop.admin.post("/orders", json=shop.body(customer, product, quantity=3)))

    order = placed["order_id"]
    shown = shop.read(f"/orders/{order}")
    assert (shown["order_number"], shown["status"]) == (placed["order_number"], "pending")
    assert (shown["customer_id"], shown["customer_name"]) == (customer, "Robin Sample")
    assert (shown["total_amount"], shown["currency"]) == ("59.70", "EUR")
    assert (shown["item_count"], shown["unit_count"]) == (1, 3)
    assert (shown["version"], shown["created_at"][-1]) == (placed["version"], "Z")
    [line] = shown["items"]
    assert (line["product_id"], line["name"], line["quantity"]) == (product, "Desk lamp", 3)
    assert (line["unit_price"], line["line_total"]) == (PRICE, "59.70")
    assert ADDRESS.items() <= shown["shipping_address"].items()
    assert shop.level(product) == {"on_hand": 10, "reserved": 3, "available": 7}

    cancelled = shop.admin.post(f"/orders/{order}/cancel", json={"reason": "No longer wanted"})

    assert cancelled.status_code == 200
    assert (cancelled.json()["order_id"], cancelled.json()["status"]) == (order, "cancelled")
    version = cancelled.json()["version"]
    wait_until(lambda: shop.read(f"/orders/{order}")["version"] == version)
    assert shop.read(f"/orders/{order}")["status"] == "cancelled"
    assert shop.level(product) == {"on_hand": 10, "reserved": 0, "available": 10}

    with service.write() as connection:
        log = connection.execute(
            "SELECT type, version, actor->>'label' FROM event WHERE stream = %s ORDER BY id",
            [f"order-{order}"],
        ).fetchall()
    assert log == [
        ("OrderCreated", 1, "admin"),
        ("OrderItemAdded", 2, "admin"),
        ("OrderCancelled", 3, "admin"),
    ]

    before = service.rows()
    service.call("rebuild_projections")
    assert service.rows() == before
    [line] = shown["items"]
    assert shop.read(f"/orders/{order}") == shown | {
        "status": "cancelled",
        # A cancelled order costs nothing.
        "balance": "0.00",
        "items": [line | {"cancelled": 3, "open": 0}],
        "version": version,
        "updated_at": shop.read(f"/orders/{order}")["updated_at"],
        "position": shop.read(f"/orders/{order}")["position"],
    }


def test_an_order_is_completed_and_its_stock_leaves(shop: Shop) -> None:
    product = shop.product(5)
    order = shop.order(product=product, quantity=2)

    versions = []
    for status in ("confirmed", "processing", "shipped", "delivered", "completed"):
        response = shop.admin.post(f"/orders/{order}/status", json={"status": status})
        assert (response.status_code, response.json()["status"]) == (200, status)
        versions.append(response.json()["version"])

    assert versions == sorted(set(versions))
    assert shop.level(product) == {"on_hand": 3, "reserved": 0, "available": 3}
    assert shop.read(f"/orders/{order}")["status"] == "completed"


def test_received_stock_can_be_ordered(shop: Shop) -> None:
    customer, product = shop.customer(), shop.product(0)
    body = shop.body(customer, product, quantity=2)
    assert shop.admin.post("/orders", json=body).status_code == 400

    receipt = shop.admin.post(
        f"/inventory/{product}/receipts", json={"quantity": 2, "reference": "Delivery 1"}
    )

    assert (receipt.status_code, receipt.json()["product_id"]) == (200, product)
    created(shop.admin.post("/orders", json=body))
    assert shop.level(product) == {"on_hand": 2, "reserved": 2, "available": 0}


def test_the_status_of_the_projections_is_reported(service: Service, shop: Shop) -> None:
    shop.order()
    service.settle()

    projections = shop.admin.get("/projections").json()["results"]

    names = {projection["name"] for projection in projections}
    assert names >= {"customer_view", "inventory_level", "order_view"}
    for projection in projections:
        assert (projection["status"], projection["last_error"]) == ("live", "")
        assert projection["position"] == projection["head"]
        assert (projection["lag_events"], projection["lag_seconds"]) == (0, 0.0)
    status = service.call("projection_status", "--fail-over", "30")
    assert all(name in status for name in names)


def test_a_token_is_printed_once_and_has_no_permission_without_a_role(service: Service) -> None:
    token = service.call("create_token", "visitor").strip()

    response = service.client(token=token).get("/orders")

    assert (response.status_code, response.json()["code"]) == (403, "permission_denied")
    with service.write() as connection:
        stored = connection.execute("SELECT digest, token_key FROM knox_authtoken").fetchall()
    assert not any(token in column for row in stored for column in row)


def test_orders_of_a_file_are_placed(service: Service, shop: Shop) -> None:
    customer, product = shop.customer(), shop.product(10)
    good, greedy = shop.body(customer, product), shop.body(customer, product, quantity=100)
    lines = "\n".join([json.dumps(good), json.dumps(greedy), json.dumps(good), "{"])

    output = service.manage("place_orders", "--user", "admin", "--file", "-", stdin=lines, status=1)

    assert "line 2: Insufficient inventory" in output
    assert "line 4:" in output
    assert "placed 2, repeated 0, refused 2" in output
    assert shop.level(product)["available"] == 8
