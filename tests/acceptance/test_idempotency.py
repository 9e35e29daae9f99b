"""A command that is sent again: the same key, the same effect, the same answer."""

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

from tests.acceptance.service import Service
from tests.acceptance.shop import Shop, made


def test_twenty_parallel_repeats_are_one_order_and_twenty_equal_answers(
    service: Service, shop: Shop
) -> None:
    product = shop.product(100)
    body = shop.body(shop.customer(), product)
    key = {"Idempotency-Key": f'"{uuid4()}"'}

    with ThreadPoolExecutor(20) as threads:
        sent = [
            threads.submit(shop.admin.post, "/orders", json=body, headers=key) for _ in range(20)
        ]
        answers = [each.result() for each in sent]

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert len({answer.headers["Location"] for answer in answers}) == 1
    assert sum("Idempotency-Replayed" not in answer.headers for answer in answers) == 1
    assert shop.level(product)["reserved"] == 1
    customer = body["customer_id"]
    assert shop.seen(f"/customers/{customer}/orders")["count"] == 1


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


def test_the_answer_to_a_repeat_is_that_of_the_first_time(shop: Shop) -> None:
    body = shop.body(shop.customer(), shop.product())
    key = {"Idempotency-Key": str(uuid4())}
    first = shop.admin.post("/orders", json=body, headers=key)
    order = made(first)["order_id"]
    shop.admin.post(f"/orders/{order}/cancel", json={"reason": "Mistake"})

    again = shop.admin.post("/orders", json=body, headers=key)

    assert again.json() == first.json()


def test_a_key_stands_for_one_body(shop: Shop) -> None:
    customer, product = shop.customer(), shop.product()
    key = {"Idempotency-Key": str(uuid4())}
    body = shop.body(customer, product)
    made(shop.admin.post("/orders", json=body, headers=key))

    other = shop.admin.post("/orders", json=shop.body(customer, product, quantity=2), headers=key)
    elsewhere = shop.admin.post(
        "/customers", json={"name": "Kim", "email": f"{uuid4().hex}@example.com"}, headers=key
    )

    for answer in (other, elsewhere):
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    # Another order of the fields is the same body.
    turned = dict(reversed(body.items()))
    assert "Idempotency-Replayed" in shop.admin.post("/orders", json=turned, headers=key).headers


def test_a_key_is_its_users_own(service: Service, shop: Shop) -> None:
    body = shop.body(shop.customer(), shop.product())
    key = {"Idempotency-Key": str(uuid4())}

    first = shop.admin.post("/orders", json=body, headers=key)
    other = service.client("clerk").post("/orders", json=body, headers=key)

    assert made(first)["order_id"] != made(other)["order_id"]
    assert "Idempotency-Replayed" not in other.headers


def test_a_refusal_leaves_the_key_free(shop: Shop) -> None:
    product = shop.product(0)
    body = shop.body(shop.customer(), product)
    key = {"Idempotency-Key": str(uuid4())}
    assert shop.admin.post("/orders", json=body, headers=key).status_code == 400

    shop.admin.post(f"/inventory/{product}/receipts", json={"quantity": 1})
    answer = shop.admin.post("/orders", json=body, headers=key)

    made(answer)
    assert "Idempotency-Replayed" not in answer.headers


def test_without_a_key_each_request_counts(shop: Shop) -> None:
    body = shop.body(shop.customer(), shop.product())

    orders = [made(shop.admin.post("/orders", json=body))["order_id"] for _ in range(2)]

    assert orders[0] != orders[1]


def test_a_key_that_is_none(shop: Shop) -> None:
    body = shop.body(shop.customer(), shop.product())

    for key in (b"two words", "é".encode(), b"x" * 201, b'"open'):
        answer = shop.admin.post("/orders", json=body, headers=[(b"Idempotency-Key", key)])
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_parameter")
