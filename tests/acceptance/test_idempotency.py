"""Idempotency: a repeated command has one effect and one response."""

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

from tests.acceptance.service import Service
from tests.acceptance.shop import Shop, created


def test_twenty_parallel_repeats_are_one_order_with_twenty_equal_responses(
    service: Service, shop: Shop
) -> None:
    product = shop.product(100)
    body = shop.body(shop.customer(), product)
    key = {"Idempotency-Key": f'"{uuid4()}"'}

    with ThreadPoolExecutor(20) as threads:
        sent = [
            threads.submit(shop.admin.post, "/orders", json=body, headers=key) for _ in range(20)
        ]
        responses = [future.result() for future in sent]

    assert {response.status_code for response in responses} == {201}
    assert len({response.content for response in responses}) == 1
    assert len({response.headers["Location"] for response in responses}) == 1
    assert sum("Idempotency-Replayed" not in response.headers for response in responses) == 1
    assert shop.level(product)["reserved"] == 1
    customer = body["customer_id"]
    assert shop.read(f"/customers/{customer}/orders")["count"] == 1


def test_every_command_can_be_repeated(shop: Shop) -> None:
    order, product = shop.order(), shop.product(0)
    commands = [
        (f"/orders/{order}/status", {"status": "confirmed"}),
        (f"/orders/{order}/cancel", {"reason": "Mistake"}),
        (f"/inventory/{product}/receipts", {"quantity": 3}),
        ("/inventory", {"sku": uuid4().hex, "name": "Rug", "on_hand": 1}),
        ("/customers", {"name": "Kim Example", "email": f"{uuid4().hex}@example.com"}),
    ]
    for path, body in commands:
        key = {"Idempotency-Key": str(uuid4())}
        first = shop.admin.post(path, json=body, headers=key)
        again = shop.admin.post(path, json=body, headers=key)
        assert first.is_success, first.text
        assert (again.status_code, again.content) == (first.status_code, first.content)
        assert again.headers["Idempotency-Replayed"] == "true"
    assert shop.level(product)["on_hand"] == 3


def test_a_repeat_gets_the_first_response(shop: Shop) -> None:
    body = shop.body(shop.customer(), shop.product())
    key = {"Idempotency-Key": str(uuid4())}
    first = shop.admin.post("/orders", json=body, headers=key)
    order = created(first)["order_id"]
    shop.admin.post(f"/orders/{order}/cancel", json={"reason": "Mistake"})

    again = shop.admin.post("/orders", json=body, headers=key)

    assert again.json() == first.json()


def test_a_key_with_another_body_is_refused(shop: Shop) -> None:
    customer, product = shop.customer(), shop.product()
    key = {"Idempotency-Key": str(uuid4())}
    body = shop.body(customer, product)
    created(shop.admin.post("/orders", json=body, headers=key))

    other = shop.admin.post("/orders", json=shop.body(customer, product, quantity=2), headers=key)
    elsewhere = shop.admin.post(
        "/customers", json={"name": "Kim", "email": f"{uuid4().hex}@example.com"}, headers=key
    )

    for response in (other, elsewhere):
        assert (response.status_code, response.json()["code"]) == (422, "idempotency_key_reused")
    # The order of the fields doesn't matter.
    turned = dict(reversed(body.items()))
    assert "Idempotency-Replayed" in shop.admin.post("/orders", json=turned, headers=key).headers


def test_two_users_may_use_the_same_key(service: Service, shop: Shop) -> None:
    body = shop.body(shop.customer(), shop.product())
    key = {"Idempotency-Key": str(uuid4())}

    first = shop.admin.post("/orders", json=body, headers=key)
    other = service.client("clerk").post("/orders", json=body, headers=key)

    assert created(first)["order_id"] != created(other)["order_id"]
    assert "Idempotency-Replayed" not in other.headers


def test_the_key_of_a_refused_command_can_be_used_again(shop: Shop) -> None:
    product = shop.product(0)
    body = shop.body(shop.customer(), product)
    key = {"Idempotency-Key": str(uuid4())}
    assert shop.admin.post("/orders", json=body, headers=key).status_code == 400

    shop.admin.post(f"/inventory/{product}/receipts", json={"quantity": 1})
    response = shop.admin.post("/orders", json=body, headers=key)

    created(response)
    assert "Idempotency-Replayed" not in response.headers


def test_each_request_without_a_key_is_a_new_order(shop: Shop) -> None:
    body = shop.body(shop.customer(), shop.product())

    orders = [created(shop.admin.post("/orders", json=body))["order_id"] for _ in range(2)]

    assert orders[0] != orders[1]


def test_a_malformed_key_is_refused(shop: Shop) -> None:
    body = shop.body(shop.customer(), shop.product())

    for key in (b"two words", "é".encode(), b"x" * 201, b'"open'):
        response = shop.admin.post("/orders", json=body, headers=[(b"Idempotency-Key", key)])
        assert (response.status_code, response.json()["code"]) == (400, "invalid_parameter")
