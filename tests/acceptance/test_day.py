"""The first day of a new user: place an order, see it, cancel it, look at the log, rebuild."""

import json

from tests.acceptance.service import Service, wait_until
from tests.acceptance.shop import ADDRESS, PRICE, Shop, made


def test_an_order_is_placed_read_cancelled_logged_and_rebuilt(service: Service, shop: Shop) -> None:
    customer, product = shop.customer("Robin Sample"), shop.product(10, name="Desk lamp")

    placed = made(shop.admin.post("/orders", json=shop.body(customer, product, quantity=3)))

    order = placed["order_id"]
    shown = shop.seen(f"/orders/{order}")
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
    wait_until(lambda: shop.seen(f"/orders/{order}")["version"] == version)
    assert shop.seen(f"/orders/{order}")["status"] == "cancelled"
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
    service.manage("rebuild_projections")
    assert service.rows() == before
    [line] = shown["items"]
    assert shop.seen(f"/orders/{order}") == shown | {
        "status": "cancelled",
        # Nothing is owed for it any more.
        "balance": "0.00",
        "items": [line | {"cancelled": 3, "open": 0}],
        "version": version,
        "updated_at": shop.seen(f"/orders/{order}")["updated_at"],
        "position": shop.seen(f"/orders/{order}")["position"],
    }


def test_an_order_goes_all_the_way_and_its_stock_leaves(shop: Shop) -> None:
    product = shop.product(5)
    order = shop.order(product=product, quantity=2)

    versions = []
    for status in ("confirmed", "processing", "shipped", "delivered", "completed"):
        answer = shop.admin.post(f"/orders/{order}/status", json={"status": status})
        assert (answer.status_code, answer.json()["status"]) == (200, status)
        versions.append(answer.json()["version"])

    assert versions == sorted(set(versions))
    assert shop.level(product) == {"on_hand": 3, "reserved": 0, "available": 3}
    assert shop.seen(f"/orders/{order}")["status"] == "completed"


def test_stock_that_comes_in_can_be_sold(shop: Shop) -> None:
    customer, product = shop.customer(), shop.product(0)
    body = shop.body(customer, product, quantity=2)
    assert shop.admin.post("/orders", json=body).status_code == 400

    receipt = shop.admin.post(
        f"/inventory/{product}/receipts", json={"quantity": 2, "reference": "Delivery 1"}
    )

    assert (receipt.status_code, receipt.json()["product_id"]) == (200, product)
    made(shop.admin.post("/orders", json=body))
    assert shop.level(product) == {"on_hand": 2, "reserved": 2, "available": 0}


def test_operations_are_told_how_far_the_projections_are(service: Service, shop: Shop) -> None:
    shop.order()
    service.settle()

    projections = shop.admin.get("/projections").json()["results"]

    assert {"customer_view", "inventory_level", "order_view"} <= {
        one["name"] for one in projections
    }
    for one in projections:
        assert (one["position"], one["lag_events"], one["lag_seconds"]) == (one["head"], 0, 0.0)
        assert (one["status"], one["last_error"]) == ("live", "")
    status = service.manage("projection_status", "--fail-over", "30")
    assert all(one["name"] in status for one in projections)


def test_a_token_is_printed_once_and_without_a_role_opens_nothing(service: Service) -> None:
    token = service.manage("create_token", "visitor").strip()

    answer = service.client(token=token).get("/orders")

    assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied")
    with service.write() as connection:
        stored = connection.execute("SELECT digest, token_key FROM knox_authtoken").fetchall()
    assert not any(token in column for row in stored for column in row)


def test_orders_of_a_file_are_placed_once(service: Service, shop: Shop) -> None:
    customer, product = shop.customer(), shop.product(10)
    good, greedy = shop.body(customer, product), shop.body(customer, product, quantity=100)
    lines = "\n".join([json.dumps(good), json.dumps(greedy), json.dumps(good), "{"])

    place = ("place_orders", "--user", "admin", "--file", "-")
    first = service.manage(*place, stdin=lines, status=1)
    second = service.manage(*place, stdin=lines, status=1)

    assert "line 2: Insufficient inventory" in first
    assert "line 4:" in first
    assert "placed 2, repeated 0, refused 2" in first
    assert "placed 0, repeated 2, refused 2" in second
    assert shop.level(product)["available"] == 8
