"""A repeat gets the stored response of the first request, byte for byte."""

from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import uuid4, uuid5

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.utils import timezone
from rest_framework.test import APIClient

from config.accounts.models import User
from ordering_write.bus import get_command_bus
from ordering_write.domain.commands import CancelOrder, ReceiveStock
from ordering_write.domain.errors import IdempotencyKeyExpiredError
from ordering_write.models import CommandRecord, Order, OutboxEvent
from tests import kit
from tests.parallel import at_once

ROOT = "/api/v1"


@pytest.fixture
def api(db: None, admin_user: User) -> APIClient:
    return api_of(admin_user)


def api_of(user: Any) -> APIClient:
    client = APIClient()
    client.force_authenticate(user)
    return client


def order_body(customer, product) -> dict[str, Any]:
    return {
        "customer_id": str(customer.pk),
        "currency": "EUR",
        "items": [{"product_id": str(product.pk), "quantity": 1, "unit_price": "19.90"}],
        "shipping_address": kit.ADDRESS,
    }


def place(api: APIClient, body: dict[str, Any], key: str, **extra: Any) -> Any:
    headers = {"Idempotency-Key": key}
    return api.post(f"{ROOT}/orders", body, format="json", headers=headers, **extra)


STORED_HEADERS = ("Location", "Consistency-Token", "Content-Type")


def test_a_repeat_gets_the_first_answer_after_the_order_has_changed(api, customer, settings):
    settings.ALLOWED_HOSTS = ["one.example", "two.example"]
    body = order_body(customer, kit.registered_product())
    first = place(api, body, "key", SERVER_NAME="one.example")
    order = Order.objects.get(pk=first.json()["order_id"])
    kit.dispatch(CancelOrder(user_id=kit.USER, order_id=order.pk, reason="Mistake"))

    again = place(api, body, "key", SERVER_NAME="two.example")

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert [again.headers[name] for name in STORED_HEADERS] == [
        first.headers[name] for name in STORED_HEADERS
    ]
    assert first.headers["Location"].startswith("http://one.example/")
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"


def test_a_repeat_gets_the_first_answer_after_a_change_of_role(db, customer, make_user):
    user = make_user("Clerk")
    body = order_body(customer, kit.registered_product())
    first = place(api_of(user), body, "key")
    user.groups.set(make_user("Admin").groups.all())
    again = place(api_of(type(user).objects.get(pk=user.pk)), body, "key")
    assert again.content == first.content


def test_the_response_commits_with_the_command(api, customer):
    body = order_body(customer, kit.registered_product())
    with transaction.atomic():
        assert place(api, body, "key").status_code == 201
        transaction.set_rollback(True)
    assert not OutboxEvent.objects.filter(type="OrderCreated").exists()
    assert not CommandRecord.objects.exclude(stored_response="").exists()
    assert "Idempotency-Replayed" not in place(api, body, "key").headers
    assert CommandRecord.objects.exclude(stored_response="").count() == 1


def test_without_a_key_no_response_is_stored(api, customer):
    body = order_body(customer, kit.registered_product())
    assert api.post(f"{ROOT}/orders", body, format="json").status_code == 201
    assert not CommandRecord.objects.exclude(stored_response="").exists()


def test_without_a_stored_response_a_repeat_is_answered_from_the_events(api, admin_user, customer):
    product = kit.registered_product()
    first = place(api, order_body(customer, product), "key")
    CommandRecord.objects.update(stored_response="")
    again = place(api, order_body(customer, product), "key")
    assert again.json() == first.json()


def test_a_key_can_be_required(api, customer, settings):
    settings.IDEMPOTENCY_KEY_REQUIRED = ["CreateOrder"]
    body = order_body(customer, kit.registered_product())
    refused = api.post(f"{ROOT}/orders", body, format="json")
    assert (refused.status_code, refused.json()["code"]) == (400, "idempotency_key_missing")
    order = place(api, body, "key").json()["order_id"]
    # Other commands don't need one.
    response = api.post(f"{ROOT}/orders/{order}/cancel", {"reason": "x"}, format="json")
    assert response.status_code == 200


# --- Parallel repeats --------------------------------------------------------------------------
def test_a_parallel_repeat_is_409_with_retry_after(committed, admin_user, customer):
    product = kit.registered_product()
    body = order_body(customer, product)

    def place_impatiently(key: str) -> Any:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '50ms'")
        return place(api_of(admin_user), body, key)

    same_id = uuid5(admin_user.pk, "key")
    with transaction.atomic():
        kit.dispatch(kit.create_order(customer, (product, 1), command_id=same_id))
        in_flight, blocked = at_once(
            [lambda: place_impatiently("key"), lambda: place_impatiently("other")]
        )

    assert (in_flight.status_code, in_flight.json()["code"]) == (409, "idempotency_in_flight")
    assert (blocked.status_code, blocked.json()["code"]) == (409, "concurrent_update")
    assert in_flight.headers["Retry-After"] == blocked.headers["Retry-After"] == "1"


# --- Pruning -----------------------------------------------------------------------------------
def prune(*arguments: str) -> str:
    output = StringIO()
    call_command("prune_commands", *arguments, stdout=output)
    return output.getvalue().splitlines()[0]


def set_age(days: float, *records: CommandRecord) -> None:
    recorded_at = timezone.now() - timedelta(days=days)
    CommandRecord.objects.filter(pk__in=[record.pk for record in records]).update(
        recorded_at=recorded_at
    )


def test_old_records_are_pruned_in_batches(db):
    for _ in range(5):
        kit.registered_product()
    old, young = list(CommandRecord.objects.all()[:4]), CommandRecord.objects.all()[4]
    set_age(8, *old)
    set_age(6, young)
    assert prune("--batch", "2") == "pruned 4"
    assert list(CommandRecord.objects.all()) == [young]
    assert prune("--older-than", "5") == "pruned 1"
    for arguments in (
        ["--older-than", "-1"],
        ["--older-than", "36501"],
        ["--batch", "0"],
        ["--batch", "1000001"],
    ):
        with pytest.raises(CommandError):
            prune(*arguments)


def test_a_repeat_after_pruning_has_no_effect(api, customer):
    product = kit.registered_product(10)
    body = order_body(customer, product)
    place(api, body, "key")
    prune("--older-than", "0")
    assert not CommandRecord.objects.exists()

    late = place(api, body, "key")

    assert (late.status_code, late.json()["code"]) == (409, "idempotency_key_expired")
    assert Order.objects.count() == 1
    product.refresh_from_db()
    assert product.reserved == 1


def test_a_command_id_is_never_accepted_twice(db):
    product = kit.registered_product(0)
    command = ReceiveStock(command_id=uuid4(), user_id=kit.USER, product_id=product.pk, quantity=1)
    kit.dispatch(command)
    CommandRecord.objects.all().delete()
    with pytest.raises(IdempotencyKeyExpiredError):
        get_command_bus().dispatch(command)
    product.refresh_from_db()
    assert product.on_hand == 1


def test_pruning_during_commands_repeats_none(committed, customer):
    product = kit.registered_product(100)
    commands = [kit.create_order(customer, (product, 1)) for _ in range(20)]

    def order(command) -> Any:
        kit.dispatch(command)
        return kit.dispatch(command)

    outcomes = at_once(
        [
            call
            for command in commands
            for call in (lambda command=command: order(command), lambda: prune("--older-than=0"))
        ]
    )

    failures = {type(outcome) for outcome in outcomes if isinstance(outcome, Exception)}
    assert failures <= {IdempotencyKeyExpiredError}
    assert Order.objects.count() == 20
    product.refresh_from_db()
    assert product.reserved == 20
    kit.check_rows_equal_log()
