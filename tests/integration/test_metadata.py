"""Metadata of orders, lines and customers, and the numbers of purchase orders."""

from collections.abc import Mapping
from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from config.accounts.models import User
from config.accounts.roles import Role
from ordering_read.engine import live
from ordering_read.projector import registered
from ordering_write.domain import commands as c
from ordering_write.domain import errors
from ordering_write.management.commands.scan_personal_data import find_texts, personal_texts
from ordering_write.models import Customer, Order
from tests import kit
from tests.integration.test_admin_commands import hidden_fields

pytestmark = pytest.mark.usefixtures("db")

ROOT = "/api/v1"


def api_of(user: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(user)
    return client


def catch_up() -> None:
    live.run(*registered())


def set_metadata(order: Order, metadata: Mapping[str, str | None]) -> Any:
    return kit.dispatch(
        c.SetOrderMetadata.model_validate(
            {"user_id": kit.USER, "order_id": order.pk, "metadata": metadata}
        )
    )


@pytest.fixture
def order(customer: Customer) -> Order:
    """An order with metadata, on its line too, and a number of a purchase order."""
    product = kit.registered_product()
    item = {"product_id": product.pk, "quantity": 1, "unit_price": "19.90"}
    return kit.placed_order(
        customer,
        items=[{**item, "metadata": {"engraving": "For Kim"}}],
        metadata={"gift": "yes", "erp": "4711"},
        po_number="PO-2026/7",
    )


# --- The commands ------------------------------------------------------------------------------
def test_metadata_are_merged_and_null_removes_a_pair(order: Order) -> None:
    [changed] = set_metadata(order, {"gift": None, "erp": "4712", "colour": "red"})

    assert (changed.values, changed.removed) == ({"erp": "4712", "colour": "red"}, ["gift"])
    assert kit.stored(order.stream).metadata == {"erp": "4712", "colour": "red"}
    kit.check_rows_equal_log()


def test_pairs_that_are_so_already_change_nothing(order: Order) -> None:
    assert set_metadata(order, {"gift": "yes", "unknown": None}) == []


def test_a_line_and_a_customer_have_metadata_of_their_own(order: Order) -> None:
    line = next(iter(kit.stored(order.stream).lines))
    of_line = {"order_id": order.pk, "line_id": line, "metadata": {"engraving": "For Robin"}}
    of_customer = {"customer_id": order.customer_id, "metadata": {"crm": "9"}}

    kit.dispatch(c.SetLineMetadata.model_validate({"user_id": kit.USER, **of_line}))
    kit.dispatch(c.SetCustomerMetadata.model_validate({"user_id": kit.USER, **of_customer}))

    assert kit.stored(order.stream).lines[line].metadata == {"engraving": "For Robin"}
    assert Customer.objects.get().metadata == {"crm": "9"}
    kit.check_rows_equal_log()


def test_a_customer_is_registered_with_metadata() -> None:
    command = {"name": "Kim", "email": "kim@example.com", "metadata": {"crm": "9"}}
    events = kit.dispatch(c.RegisterCustomer.model_validate({"user_id": kit.USER, **command}))

    assert [event.type for event in events] == ["CustomerRegistered", "CustomerMetadataChanged"]
    assert Customer.objects.get().metadata == {"crm": "9"}


def test_an_added_line_has_metadata(order: Order) -> None:
    product = kit.registered_product()
    command = {"order_id": order.pk, "product_id": product.pk, "quantity": 1}
    price = {"unit_price": "19.90", "metadata": {"engraving": "For Sam"}}
    kit.dispatch(c.AddOrderItem.model_validate({"user_id": kit.USER, **command, **price}))

    *_, line = kit.stored(order.stream).lines.values()
    assert line.metadata == {"engraving": "For Sam"}
    kit.check_rows_equal_log()


def test_an_order_has_fifty_pairs_at_most(order: Order) -> None:
    set_metadata(order, {f"key {number}": "" for number in range(48)})
    with pytest.raises(errors.TooManyPairsError):
        set_metadata(order, {"one more": "x"})
    # A pair that is removed makes room.
    set_metadata(order, {"one more": "x", "gift": None})
    assert len(kit.stored(order.stream).metadata) == 50


def test_keys_and_values_have_limits(order: Order, clerk: User, subtests: pytest.Subtests) -> None:
    wrong: dict[str, Any] = {
        "a long key": {"k" * 41: "x"},
        "a long value": {"k": "v" * 501},
        "an equals sign": {"a=b": "x"},
        "an invisible key": {"\u200b": "x"},
        "a number": {"k": 5},
        "a list": [],
        "nothing": {},
        "too many": {f"k{number}": "x" for number in range(101)},
    }
    for name, metadata in wrong.items():
        with subtests.test(name):
            body = {"metadata": metadata}
            answer = api_of(clerk).patch(f"{ROOT}/orders/{order.pk}/metadata", body, format="json")
            assert answer.status_code == 422, answer.content
            assert answer.json()["errors"][0]["pointer"].startswith("#/metadata")


def test_customers_set_no_metadata(
    customer: Customer, customer_user: User, subtests: pytest.Subtests
) -> None:
    product = kit.registered_product()
    item = {"product_id": str(product.pk), "quantity": 1, "unit_price": "19.90"}
    order = {"customer_id": str(customer.pk), "items": [item], "shipping_address": kit.ADDRESS}
    bodies: dict[str, Any] = {
        "#/metadata": {**order, "metadata": {"vip": "yes"}},
        "#/items/0/metadata": {**order, "items": [{**item, "metadata": {"vip": "yes"}}]},
    }
    for pointer, body in bodies.items():
        with subtests.test(pointer):
            answer = api_of(customer_user).post(f"{ROOT}/orders", body, format="json")
            assert answer.status_code == 422
            assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


def test_a_po_number_is_changed_and_removed(order: Order) -> None:
    change = {"user_id": kit.USER, "order_id": order.pk}
    kit.dispatch(c.SetPoNumber(**change, po_number="PO-8"))
    assert kit.dispatch(c.SetPoNumber(**change, po_number="PO-8")) == []
    assert kit.stored(order.stream).po_number == "PO-8"

    kit.dispatch(c.SetPoNumber(**change))

    assert kit.stored(order.stream).po_number == ""
    kit.check_rows_equal_log()


# --- What readers see --------------------------------------------------------------------------
def test_orders_show_metadata_and_po_number(order: Order, clerk: User) -> None:
    catch_up()
    whole = api_of(clerk).get(f"{ROOT}/orders/{order.pk}").json()
    [listed] = api_of(clerk).get(f"{ROOT}/orders").json()["results"]
    strong = api_of(clerk).get(f"{ROOT}/orders/{order.pk}?consistency=strong").json()

    pairs = {"gift": "yes", "erp": "4711"}
    for shown in (whole, listed, strong):
        assert (shown["metadata"], shown["po_number"]) == (pairs, "PO-2026/7")
    for shown in (whole, strong):
        assert shown["items"][0]["metadata"] == {"engraving": "For Kim"}


def test_the_feed_and_the_timeline_show_metadata(
    order: Order, integration: User, clerk: User
) -> None:
    set_metadata(order, {"gift": None, "erp": "4712"})
    kit.dispatch(c.SetPoNumber(user_id=kit.USER, order_id=order.pk))
    catch_up()

    feed = api_of(integration).get(f"{ROOT}/feed?types=OrderMetadataChanged").json()
    timeline = api_of(clerk).get(f"{ROOT}/orders/{order.pk}/timeline").json()["results"]

    assert [event["data"]["values"] for event in feed["events"]] == [
        {"gift": "yes", "erp": "4711"},
        {"engraving": "For Kim"},
        {"erp": "4712"},
    ]
    sentences = [entry["sentence"].partition(str(kit.USER))[2].strip() for entry in timeline]
    assert sentences[2:] == [
        "changed the metadata: erp = 4711, gift = yes",
        "changed the metadata of Sample: engraving = For Kim",
        "changed the metadata: erp = 4712, gift removed",
        "removed the PO number",
    ]


def test_lists_are_filtered_by_a_pair(
    order: Order, clerk: User, make_user: Any, customer_user: User, subtests: pytest.Subtests
) -> None:
    kit.dispatch(
        c.SetCustomerMetadata(
            user_id=kit.USER, customer_id=order.customer_id, metadata={"gift": "yes"}
        )
    )
    kit.placed_order(Customer.objects.get(), (kit.registered_product(), 1))
    catch_up()
    cases = {
        "gift=yes": 1,
        "gift": 1,
        "gift=no": 0,
        "yes": 0,
        "erp=4711": 1,
        "engraving": 0,
    }
    for pair, count in cases.items():
        with subtests.test(pair):
            answer = api_of(clerk).get(f"{ROOT}/orders", {"metadata": pair}).json()
            assert answer["count"] == count
    customers = api_of(clerk).get(f"{ROOT}/customers", {"metadata": "gift=yes"}).json()
    assert customers["count"] == 1
    assert api_of(clerk).get(f"{ROOT}/orders", {"metadata": "=yes"}).status_code == 400
    for user in (make_user(Role.AUDITOR), customer_user):
        answer = api_of(user).get(f"{ROOT}/orders", {"metadata": "gift=yes"}).json()
        assert answer["count"] == 0


def test_values_are_hidden_from_users_who_may_not_see_them(
    order: Order, auditor: User, customer_user: User, subtests: pytest.Subtests
) -> None:
    catch_up()
    masked = {"gift": "***", "erp": "***"}
    for user, pairs in ((auditor, masked), (customer_user, {})):
        with subtests.test(user.username):
            whole = api_of(user).get(f"{ROOT}/orders/{order.pk}").json()
            [listed] = api_of(user).get(f"{ROOT}/orders").json()["results"]
            [found] = api_of(user).get(f"{ROOT}/search?q=PO-2026").json()["orders"]
            assert whole["metadata"] == listed["metadata"] == found["metadata"] == pairs
            assert set(whole["items"][0]["metadata"].values()) <= {"***"}
            assert whole["po_number"] == "PO-2026/7"


def test_an_order_is_found_by_its_po_number(order: Order, clerk: User) -> None:
    catch_up()
    for text in ("PO-2026/7", "po-2026"):
        answer = api_of(clerk).get(f"{ROOT}/orders", {"q": text}).json()
        assert [found["id"] for found in answer["results"]] == [str(order.pk)]


def test_the_admin_shows_and_changes_metadata(
    order: Order, admin_user: User, client: Client
) -> None:
    catch_up()
    client.force_login(admin_user)
    page = client.get(f"/admin/ordering_read/ordersummary/{order.pk}/change/").content.decode()
    for text in ("gift = yes", "engraving = For Kim", "PO-2026/7"):
        assert text in page
    form = f"/admin/ordering_read/ordersummary/{order.pk}/commands/set_order_metadata/"
    fields = {**hidden_fields(client.get(form)), "metadata": "erp = 4712\ncolour=red\n\ngift"}

    answer = client.post(form, {**fields, "confirm": "1"})

    assert answer.status_code == 302, answer.content.decode()
    assert kit.stored(order.stream).metadata == {"erp": "4712", "colour": "red"}


# --- Erasure -----------------------------------------------------------------------------------
def test_metadata_are_erased_with_the_customer(order: Order, clerk: User) -> None:
    customer_id = order.customer_id
    kit.dispatch(
        c.SetCustomerMetadata(
            user_id=kit.USER, customer_id=customer_id, metadata={"crm": "canary-crm"}
        )
    )
    set_metadata(order, {"erp": "canary-erp"})
    kit.dispatch(kit.cancel(order))
    catch_up()
    assert {"canary-crm", "canary-erp", "For Kim"} <= set(personal_texts(customer_id))
    erasure = c.EraseCustomer(user_id=kit.USER, customer_id=customer_id, reason="Asked for it")

    kit.dispatch(erasure)
    catch_up()

    assert list(find_texts(["canary-crm", "canary-erp", "For Kim"])) == []
    shown = api_of(clerk).get(f"{ROOT}/orders/{order.pk}").json()
    assert (shown["metadata"], shown["items"][0]["metadata"]) == ({}, {})
    kit.check_rows_equal_log()
    with pytest.raises(errors.CustomerErasedError):
        set_metadata(order, {"gift": "yes"})
