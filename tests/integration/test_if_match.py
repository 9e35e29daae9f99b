"""If-Match: a command is carried out on the version that the client has read, or not at all."""

from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from rest_framework.test import APIClient

from config.accounts.models import User
from ordering_write.bus import get_command_bus
from ordering_write.domain.commands import AddNote, Command, ReceiveStock, TagOrder
from ordering_write.domain.errors import VersionConflictError
from ordering_write.models import Customer, Order, StockItem
from tests import kit
from tests.databases import rolled_back
from tests.parallel import at_once

ROOT = "/api/v1"


@pytest.fixture
def product(db: None) -> StockItem:
    return kit.registered_product(100)


@pytest.fixture
def order(customer: Customer, product: StockItem) -> Order:
    """An order at version 3: placed, its line added, tagged."""
    placed = kit.placed_order(customer, (product, 1), tags=["gift"])
    assert placed.version == 3
    return placed


@pytest.fixture
def api(db: None, admin_user: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(admin_user)
    return client


def cancel(api: APIClient, order: Order, tag: str, query: str = "") -> Any:
    address = f"{ROOT}/orders/{order.pk}/cancel{query}"
    return api.post(address, {"reason": "Mistake"}, format="json", headers={"If-Match": tag})


def test_a_command_on_the_current_version_is_carried_out(api, order, subtests):
    for tag in [
        '"3.full"',
        '"3"',
        '"3.full.html"',
        "*",
        " * ",
        '"2.full", "3.masked"',
        '"a,b", "3.x"',
    ]:
        with subtests.test(tag), rolled_back():
            assert cancel(api, order, tag).status_code == 200


def test_a_tag_that_a_compressing_proxy_has_changed_names_its_version(api, order, subtests):
    for tag in [
        'W/"3.full"',
        'W/"3"',
        'W/"1.x", W/"3.full"',
        '"3.full-gzip"',
        'W/"3.full;br"',
        '"3--gzip"',
    ]:
        with subtests.test(tag), rolled_back():
            assert cancel(api, order, tag).status_code == 200


def test_a_command_on_another_version_is_refused(api, order, subtests):
    for tag in ['"2.full"', 'W/"2.full"', '"4.full"', '"0"', '"1", "2"']:
        with subtests.test(tag):
            answer = cancel(api, order, tag)
            assert (answer.status_code, answer.json()["code"]) == (412, "version_conflict")
            assert answer.json()["current_version"] == 3
            order.refresh_from_db()
            assert order.status == "pending"


def test_a_tag_that_can_not_match_is_refused(api, order, subtests):
    for tag in ['"other"', 'W/"3-0123abcd"', '"-3.full"', '"9999999999"', '""', 'W/""']:
        with subtests.test(tag):
            answer = cancel(api, order, tag)
            assert (answer.status_code, answer.json()["code"]) == (412, "version_conflict")
            assert "names no version of this resource" in answer.json()["detail"]
            assert [event["version"] for event in answer.json()["events_since"]] == [1, 2, 3]


def test_a_malformed_tag_is_an_invalid_parameter_that_shows_the_fault(api, order, subtests):
    for tag, part in [
        ("3", "'3'"),
        ("3.full", "'3.full'"),
        ("'3'", "'3'"),
        ('"open', "'\"open'"),
        ("W/3", "'W/3'"),
        ('w/"3.full"', "'w/"),
        ('"3.full" "4.full"', '"4.full"'),
        ('"3.full", *', "'*'"),
        ('"3.full"-gzip', "-gzip"),
        ("", "no entity tag"),
        (", ,", "no entity tag"),
    ]:
        with subtests.test(tag):
            answer = cancel(api, order, tag)
            assert (answer.status_code, answer.json()["code"]) == (400, "invalid_parameter")
            assert answer.json()["parameter"] == "If-Match"
            assert part in answer.json()["detail"]


def test_the_refusal_lists_the_events_since(api, order, admin_user):
    assert cancel(api, order, '"3.full"').status_code == 200
    answer = cancel(api, order, '"2.full"').json()
    assert [(event["type"], event["version"]) for event in answer["events_since"]] == [
        ("OrderTagged", 3),
        ("OrderCancelled", 4),
    ]
    assert answer["events_since"][1]["actor"]["id"] == str(admin_user.pk)
    assert answer["events_since"][1]["timestamp"].endswith("Z")


def test_customers_do_not_see_the_actors_of_events_since(order, customer_user):
    api = APIClient()
    api.force_authenticate(customer_user)
    answer = cancel(api, order, '"2.full"')
    assert answer.status_code == 412
    assert [event.keys() for event in answer.json()["events_since"]] == [
        {"type", "version", "timestamp"}
    ]


def test_the_refusal_lists_a_hundred_events_at_most(api, order):
    for number in range(105):
        kit.dispatch(AddNote(user_id=kit.USER, order_id=order.pk, text=f"Note {number}"))
    assert len(cancel(api, order, '"3.full"').json()["events_since"]) == 100


def test_an_order_outside_the_scope_is_not_found_at_any_version(api, order, make_user):
    assert cancel(api, Order(id=uuid4()), '"3.full"').status_code == 404
    stranger = APIClient()
    stranger.force_authenticate(make_user("Customer", customer_id=kit.registered_customer().pk))
    assert cancel(stranger, order, '"2.full"').status_code == 404


def test_a_dry_run_checks_the_version(api, order):
    assert cancel(api, order, '"2.full"', "?dry_run=true").status_code == 412
    assert cancel(api, order, '"3.full"', "?dry_run=true").status_code == 200


def test_a_repeat_is_answered_though_the_version_has_changed(api, order):
    headers = {"Idempotency-Key": "once", "If-Match": '"3.full"'}
    address = f"{ROOT}/orders/{order.pk}/cancel"
    first = api.post(address, {"reason": "Mistake"}, format="json", headers=headers)
    again = api.post(address, {"reason": "Mistake"}, format="json", headers=headers)
    assert (first.status_code, again.status_code) == (200, 200)
    assert again.content == first.content


def test_products_have_versions(api, product):
    address = f"{ROOT}/inventory/{product.pk}/receipts"
    for tag, status in (('"1.x"', 412), ('"2.x"', 200), ('"2.x"', 412)):
        headers = {"If-Match": tag}
        answer = api.post(address, {"quantity": 1}, format="json", headers=headers)
        assert answer.status_code == status


def test_a_new_resource_has_no_version(api):
    body = {"name": "Kim Example", "email": "kim@example.com"}
    for tag, status in (('"1.x"', 412), ('W/"1.x"', 412), ('W/"0-x"', 412), ("*", 201)):
        headers = {"If-Match": tag}
        answer = api.post(f"{ROOT}/customers", body, format="json", headers=headers)
        assert answer.status_code == status


def test_a_form_sends_the_version_of_its_page(order, admin_user, client):
    client.force_login(admin_user)
    for tag, status in (('"2.full"', 412), ('"3.full"', 200)):
        answer = client.post(
            f"{ROOT}/orders/{order.pk}/cancel",
            f"_content=%7B%22reason%22%3A%22Mistake%22%7D&_if_match={tag}",
            content_type="application/x-www-form-urlencoded",
            headers={"Accept": "text/html"},
        )
        assert answer.status_code == status


# --- Every command -----------------------------------------------------------------------------
NAMED_BY = {"order_id", "product_id", "customer_id"}


def aggregate_commands() -> list[type[Command]]:
    """Return the commands with the id of the aggregate that they change."""
    return [
        command_type
        for command_type in get_command_bus().commands
        if any(
            name in command_type.model_fields and command_type.model_fields[name].annotation is UUID
            for name in NAMED_BY
        )
        and command_type.__name__ != "CreateOrder"
    ]


def test_every_command_checks_the_version(
    order, product, customer, subtests: pytest.Subtests
) -> None:
    ids = {"order_id": order.pk, "product_id": product.pk, "customer_id": customer.pk}
    for command_type in aggregate_commands():
        with subtests.test(command_type.__name__):
            fields: dict[str, Any] = dict.fromkeys(command_type.model_fields)
            fields |= {name: pk for name, pk in ids.items() if name in fields}
            fields |= {"command_id": uuid4(), "user_id": kit.USER, "timestamp": kit.NOW}
            command = command_type.model_construct(**fields | {"expected_version": 9})
            with pytest.raises(VersionConflictError):
                get_command_bus().preview(command)


def test_fifty_parallel_commands_on_one_order_lose_nothing(committed, customer):
    order = kit.placed_order(customer, (kit.registered_product(10), 1))
    commands = [
        *(AddNote(user_id=kit.USER, order_id=order.pk, text=f"Note {n}") for n in range(40)),
        *(TagOrder(user_id=kit.USER, order_id=order.pk, tag=f"tag-{n}") for n in range(10)),
    ]
    before = order.version

    outcomes = at_once([partial(kit.dispatch, command) for command in commands])

    assert [outcome for outcome in outcomes if isinstance(outcome, Exception)] == []
    versions = sorted(event.recorded.version for events in outcomes for event in events)
    assert versions == list(range(before + 1, before + 51))
    kit.check_rows_equal_log()


def test_of_parallel_commands_on_one_version_one_wins(committed):
    product = kit.registered_product(10)
    command = {"user_id": kit.USER, "product_id": product.pk, "expected_version": 2}
    outcomes = at_once(
        [lambda: kit.dispatch(ReceiveStock(quantity=1, **command)) for _ in range(20)]
    )
    assert sum(not isinstance(outcome, Exception) for outcome in outcomes) == 1
    product.refresh_from_db()
    assert product.on_hand == 11
