"""Dry runs: the preview of a command, without any effect."""

from decimal import Decimal
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from rest_framework.test import APIClient

from config.accounts.models import User
from ordering_write.bus import get_command_bus
from ordering_write.bus.preview import Preview
from ordering_write.domain.commands import (
    ChangeShippingAddress,
    Command,
    ReceiveStock,
    RegisterCustomer,
    SetListPrice,
)
from ordering_write.domain.errors import (
    InsufficientInventoryError,
    InvalidTransitionError,
    OrderNotFoundError,
    VersionConflictError,
)
from ordering_write.domain.events import OrderStatus
from ordering_write.models import Order
from tests import kit
from tests.kit import USER, cancel, create_order, move, placed_order, registered_product
from tests.parallel import at_once


def preview(command: Command) -> Preview:
    return get_command_bus().preview(command)


def stored_rows() -> dict[str, Any]:
    """Return all rows of the write side, and the last order number drawn."""
    rows = {
        model._meta.db_table: list(model._default_manager.order_by("pk").values_list())
        for model in apps.get_app_config("ordering_write").get_models()
    }
    with connection.cursor() as cursor:
        cursor.execute("SELECT last_value, is_called FROM order_number_seq")
        return {**rows, "order_number_seq": cursor.fetchone()}


def test_the_preview_of_a_new_order(db, customer):
    product = registered_product(10)
    before = stored_rows()

    would = preview(create_order(customer, (product, 2), tags=["gift"]))

    assert [event.type for event in would.would_emit] == [
        "OrderCreated",
        "OrderItemAdded",
        "OrderTagged",
        "StockReserved",
    ]
    assert would.would_emit[0].fields["order_number"] is None
    # Personal fields aren't in the preview.
    assert "shipping_address" not in would.would_emit[0].fields
    assert (would.status_after, would.total_after) == ("pending", Decimal("39.80"))
    changes = {change.path: (change.before, change.after) for change in would.diff}
    assert changes["/status"] == (None, "pending")
    assert changes["/total"] == (None, Decimal("39.80"))
    [line] = changes["/lines"][1].values()
    assert line["ordered"] == 2
    assert "/order_number" not in changes
    assert stored_rows() == before


def test_the_diff_names_lines_and_fields(db, customer):
    lamp, chair = registered_product(10), registered_product(10)
    order = placed_order(customer, (lamp, 2), (chair, 1))
    before = stored_rows()

    would = preview(cancel(order))

    line_ids = list(kit.stored(order.stream).lines)
    changes = {change.path: (change.before, change.after) for change in would.diff}
    assert (
        changes.items()
        >= {
            "/status": ("pending", "cancelled"),
            f"/lines/{line_ids[0]}/cancelled": (0, 2),
            f"/lines/{line_ids[1]}/cancelled": (0, 1),
        }.items()
    )
    assert stored_rows() == before
    # The real command emits the previewed events.
    events = kit.dispatch(cancel(order))
    assert [(e.type, e.recorded.stream, e.recorded.version) for e in events] == [
        (e.type, e.stream, e.version) for e in would.would_emit
    ]
    assert [event.encode()[0] for event in events] == [e.fields for e in would.would_emit]


def test_the_diff_shows_the_shipping_address(db, customer):
    order = placed_order(customer, (registered_product(10), 1))
    elsewhere = {**kit.ADDRESS, "city": "Otherville"}
    would = preview(
        ChangeShippingAddress(user_id=USER, order_id=order.pk, shipping_address=elsewhere)
    )
    assert [(change.path, change.before, change.after) for change in would.diff] == [
        ("/shipping_address/city", "Sampleton", "Otherville")
    ]


def test_the_preview_of_products_and_customers(db):
    product = registered_product(10)
    would = preview(ReceiveStock(user_id=USER, product_id=product.pk, quantity=5))
    changes = {change.path: (change.before, change.after) for change in would.diff}
    assert changes == {"/on_hand": (10, 15), "/available": (10, 15)}
    assert (would.status_after, would.total_after) == (None, None)

    # The state before comes from the row, and not from the whole stream, which may be long.
    kit.dispatch(ReceiveStock(user_id=USER, product_id=product.pk, quantity=5))
    priced = preview(SetListPrice(user_id=USER, product_id=product.pk, list_price="21.50"))
    changes = {change.path: (change.before, change.after) for change in priced.diff}
    assert changes == {"/list_price": (Decimal("19.90"), Decimal("21.50"))}
    assert str(priced.diff[0].before) == "19.90"

    would = preview(RegisterCustomer(user_id=USER, name="Kim", email="kim@example.com"))
    assert would.status_after == "active"
    assert would.would_emit[0].fields.keys().isdisjoint({"name", "email"})


def test_a_dry_run_is_refused_like_the_command(db, customer):
    product = registered_product(1)
    order = placed_order(customer, (product, 1), auto_confirm=True)
    stranger = kit.registered_customer()
    before = stored_rows()
    for command, refusal in (
        (create_order(customer, (product, 2)), InsufficientInventoryError),
        (move(order, OrderStatus.CONFIRMED), InvalidTransitionError),
        (cancel(order, expected_version=1), VersionConflictError),
        (cancel(order, customer_scope=stranger.pk), OrderNotFoundError),
    ):
        with pytest.raises(refusal):
            preview(command)
    assert stored_rows() == before


def test_a_customer_previews_events_of_their_order_only(db, customer):
    order = placed_order(customer, (registered_product(10), 1))
    would = preview(cancel(order, customer_scope=customer.pk))
    assert {event.stream for event in would.would_emit} == {order.stream}


def test_a_dry_run_does_not_use_up_the_command_id(db, customer):
    command = create_order(customer, (registered_product(10), 1))
    preview(command)
    preview(command)
    assert not kit.dispatch(command).replayed


def test_concurrent_dry_runs_and_commands(committed, customer):
    product = registered_product(20)
    commands = [create_order(customer, (product, 1)) for _ in range(20)]
    outcomes = at_once(
        [
            call
            for command in commands
            for call in (
                lambda command=command: preview(command),
                lambda command=command: kit.dispatch(command),
            )
        ]
    )
    assert [outcome for outcome in outcomes[1::2] if isinstance(outcome, Exception)] == []
    # A dry run that comes when the last one is sold is refused; nothing else can happen to it.
    assert {type(outcome) for outcome in outcomes[::2]} <= {Preview, InsufficientInventoryError}
    assert Order.objects.count() == 20
    kit.check_rows_equal_log()


# --- Over HTTP ---------------------------------------------------------------------------------
@pytest.fixture
def api(db: None, admin_user: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(admin_user)
    return client


def test_a_parameter_makes_a_request_a_dry_run(api, customer):
    order = placed_order(customer, (registered_product(10), 2))
    before = stored_rows()
    address = f"/api/v1/orders/{order.pk}/cancel?dry_run=true"

    response = api.post(address, {"reason": "Mistake"}, format="json")

    assert response.status_code == 200
    body = response.json()
    assert body.keys() == {"would_emit", "diff", "status_after", "total_after"}
    assert body["would_emit"][0]["type"] == "OrderCancelled"
    assert (body["status_after"], body["total_after"]) == ("cancelled", "39.80")
    assert {"path": "/status", "before": "pending", "after": "cancelled"} in body["diff"]
    assert stored_rows() == before


def test_a_dry_run_of_a_creation(api):
    body = {"name": "Kim Example", "email": "kim@example.com"}
    key = {"Idempotency-Key": "once"}
    preview = api.post("/api/v1/customers?dry_run=true", body, format="json", headers=key)
    assert (preview.status_code, preview.json()["status_after"]) == (200, "active")
    assert "Location" not in preview.headers
    # The key is still free.
    created = api.post("/api/v1/customers", body, format="json", headers=key)
    assert (created.status_code, created.headers.get("Idempotency-Replayed")) == (201, None)
    assert api.post("/api/v1/customers?dry_run=true", body, format="json").status_code == 409


@pytest.mark.parametrize("query", ["dry_run=false", "dry_run=1", "dry_run=", "dryrun=true"])
def test_an_invalid_parameter_is_refused_without_effect(api, query):
    before = stored_rows()
    body = {"name": "Kim Example", "email": "kim@example.com"}
    response = api.post(f"/api/v1/customers?{query}", body, format="json")
    assert (response.status_code, response.json()["parameter"]) == (400, query.partition("=")[0])
    assert stored_rows() == before


def test_a_dry_run_needs_the_permission_of_the_command(api, auditor):
    api.force_authenticate(auditor)
    body = {"name": "Kim Example", "email": "kim@example.com"}
    assert api.post("/api/v1/customers?dry_run=true", body, format="json").status_code == 403


def test_the_browsable_api_has_a_button_for_a_dry_run(db, client, admin_user, customer):
    order = placed_order(customer, (registered_product(10), 2))
    client.force_login(admin_user)
    response = client.post(
        f"/api/v1/orders/{order.pk}/cancel?dry_run=true",
        "_content=%7B%22reason%22%3A%22Mistake%22%7D",
        content_type="application/x-www-form-urlencoded",
        headers={"Accept": "text/html"},
    )
    page = response.content.decode()
    assert response.status_code == 200
    assert "would_emit" in page
    assert f'formaction="/api/v1/orders/{order.pk}/cancel?dry_run=true"' in page
    order.refresh_from_db()
    assert order.status == "pending"
