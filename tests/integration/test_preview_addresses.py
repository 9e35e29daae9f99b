"""The previews of commands at addresses of their own."""

import json
from typing import Any
from uuid import uuid4

import pytest
from django.urls import resolve
from rest_framework.test import APIClient

from config.accounts.models import User
from ordering_write.models import CommandRecord, Order, OutboxEvent
from tests import kit
from tests.kit import ADDRESS, placed_order, registered_product

ROOT = "/api/v1"


@pytest.fixture
def admin(db: None, admin_user: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(admin_user)
    return client


@pytest.fixture
def order(db: None) -> Order:
    return placed_order(kit.registered_customer(), (registered_product(10), 2))


def test_a_preview_is_the_answer_of_the_dry_run_and_changes_nothing(
    admin: APIClient, order: Order
) -> None:
    lines = kit.stored(order.stream).lines
    line = next(iter(lines))
    body = {"customer_id": str(order.customer_id), "shipping_address": ADDRESS}
    item = {"product_id": str(lines[line].product_id), "quantity": 1}
    at = f"{ROOT}/orders/{order.pk}"
    cases: list[tuple[str, str, dict[str, Any]]] = [
        ("post", f"{ROOT}/orders", {**body, "items": [{**item, "unit_price": "19.90"}]}),
        ("post", f"{at}/cancel", {"reason": "Ordered twice"}),
        ("patch", f"{at}/items/{line}", {"new_quantity": 3}),
        ("put", f"{at}/tags/gift", {}),
        ("patch", f"{ROOT}/customers/{order.customer_id}", {"name": "Kim Example"}),
    ]
    before = (OutboxEvent.objects.count(), CommandRecord.objects.count())
    for method, address, payload in cases:
        answers = [
            admin.generic(
                method.upper(),
                at_address,
                json.dumps(payload),
                content_type="application/json",
                headers={"If-Match": "*"},
            )
            for at_address in (f"{address}/preview", f"{address}?dry_run=true")
        ]
        assert [answer.status_code for answer in answers] == [200, 200], answers[0].content
        shown, expected = (types_of(answer.json()) for answer in answers)
        assert shown == expected != []
        assert "Consistency-Token" not in answers[0]
    assert (OutboxEvent.objects.count(), CommandRecord.objects.count()) == before


def types_of(preview: dict[str, Any]) -> list[str]:
    return [event["type"] for event in preview["would_emit"]]


def test_a_preview_is_refused_like_its_command(
    admin: APIClient, order: Order, clerk: User, settings: Any, subtests: pytest.Subtests
) -> None:
    settings.IDEMPOTENCY_KEY_REQUIRED = ["CancelOrder"]
    at = f"{ROOT}/orders/{order.pk}"
    anonymous, of_clerk = APIClient(), APIClient()
    of_clerk.force_authenticate(clerk)
    why = {"reason": "Ordered twice"}
    for name, client, address, body, status in (
        ("no key is needed", admin, f"{at}/cancel/preview", why, 200),
        ("a login", anonymous, f"{at}/cancel/preview", why, 401),
        ("a permission", of_clerk, f"{at}/shipments/preview", {"items": []}, 403),
        ("a body", admin, f"{at}/cancel/preview", {"reason": ""}, 422),
        ("a missing order", admin, f"{ROOT}/orders/{uuid4()}/cancel/preview", why, 404),
        ("the state", admin, f"{at}/complete/preview", {}, 409),
        ("a parameter", admin, f"{at}/cancel/preview?dry_run=true", why, 400),
    ):
        with subtests.test(name):
            assert client.post(address, body, format="json").status_code == status
    stale = admin.post(f"{at}/cancel/preview", why, format="json", headers={"If-Match": '"1.full"'})
    assert stale.status_code == 412
    assert admin.get(f"{ROOT}/orders/preview").status_code == 405


def test_a_tag_can_be_called_preview(admin: APIClient, order: Order) -> None:
    answer = admin.put(f"{ROOT}/orders/{order.pk}/tags/preview")
    assert answer.json()["events"][0]["type"] == "OrderTagged"
    preview = resolve(f"{ROOT}/orders/{order.pk}/tags/gift/preview")
    assert preview.url_name == "order-tags-tag-preview"
