"""The lists of the API as files: the columns and rows of the exports in the admin."""

import csv
import json
from typing import Any

import pytest
from rest_framework.test import APIClient

from config.accounts.models import User
from config.accounts.roles import Role
from config.exports.models import Export
from ordering_read.api import list_files
from ordering_write.domain import commands as c
from tests import kit
from tests.integration.test_exports import exported, table
from tests.kit_admin import logged_in, run_projections
from tests.kit_contract import document
from tests.kit_openapi import inlined

pytestmark = pytest.mark.usefixtures("db")

ROOT = "/api/v1"


@pytest.fixture
def shop() -> dict[str, Any]:
    """Two orders of a customer whose name is a formula; returns the ids."""
    customer = kit.registered_customer(name="=SUM(1) Sample", email="robin.sample@example.com")
    product = kit.registered_product(50, sku="LAMP-1", name="Desk lamp")
    first, second = (kit.placed_order(customer, (product, 2), (product, 1)) for _ in range(2))
    kit.dispatch(c.ConfirmOrder(order_id=second.pk, user_id=kit.USER))
    run_projections()
    return {"customer": customer.pk, "product": product.pk, "order": second.pk, "first": first.pk}


def client_of(user: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(user)
    return client


def rows_of(answer: Any) -> list[dict[str, str]]:
    assert answer.status_code == 200, answer.content
    return list(csv.DictReader(answer.content.decode("utf-8-sig").splitlines(keepends=True)))


def test_each_list_has_the_file_that_the_admin_exports(
    shop: dict[str, Any], admin_user: User, subtests: pytest.Subtests
) -> None:
    client, staff = client_of(admin_user), logged_in(admin_user)
    paths = inlined(document())["paths"]

    for address, name, query in (
        ("/orders", "orders", ""),
        ("/customers/{customer}/orders", "orders", "customer_id={customer}"),
        ("/customers", "customers", ""),
        ("/inventory", "stock", ""),
        ("/inventory/{product}/movements", "stock-movements", ""),
        ("/fulfilment-queue", "fulfilment-queue", ""),
    ):
        with subtests.test(address):
            answer = client.get(f"{ROOT}{address.format(**shop)}?format=csv&page_size=1&page=9")

            expected = table(exported(staff, f"{name}.csv", query.format(**shop)))
            rows = rows_of(answer)
            assert len(rows) == len(expected) > 0
            key = lambda row: sorted(row.items())  # noqa: E731
            assert sorted(rows, key=key) == sorted(expected, key=key)
            assert answer["Content-Type"] == "text/csv; charset=utf-8"
            assert f'filename="{name}-' in answer["Content-Disposition"]
            of_path = address.format(customer="{customer_id}", product="{product_id}")
            documented = paths[f"{ROOT}{of_path}"]["get"]["responses"]["200"]
            assert documented["content"].keys() == {
                "application/json",
                "text/csv",
                "application/jsonl",
            }
            assert "Content-Disposition" in documented["headers"]


def test_a_file_keeps_the_filters_and_is_recorded(shop: dict[str, Any], clerk: User) -> None:
    client = client_of(clerk)

    [row] = rows_of(client.get(f"{ROOT}/orders?format=csv&status=confirmed"))
    lines = client.get(f"{ROOT}/orders/{shop['order']}/timeline?format=jsonl").content.splitlines()
    found = client.get(f"{ROOT}/orders?q=sample", headers={"Accept": "text/csv"})

    assert row["status"] == "confirmed"
    assert row["customer_name"] == "'=SUM(1) Sample"
    manifest, *entries = map(json.loads, lines)
    assert manifest["manifest"]["list"] == "timeline"
    assert [entry["version"] for entry in entries] == list(range(1, len(entries) + 1))
    assert len(rows_of(found)) == 2
    records = Export.objects.order_by("created_at").values_list("list_name", "query", "rows_done")
    assert list(records) == [
        ("orders", "status=confirmed", 1),
        ("timeline", "", len(entries)),
        ("orders", "q=%E2%80%A6", 2),
    ]


def test_files_are_refused_with_a_reason(
    shop: dict[str, Any], make_user: Any, clerk: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse, integration = (
        client_of(make_user(role)) for role in (Role.WAREHOUSE, Role.INTEGRATION)
    )
    refused = warehouse.get(f"{ROOT}/orders?format=csv")
    assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
    assert len(rows_of(warehouse.get(f"{ROOT}/inventory?format=csv"))) == 1
    assert len(rows_of(integration.get(f"{ROOT}/orders?format=csv"))) == 2
    customer = make_user(Role.CUSTOMER, username="robin", customer_id=shop["customer"])
    assert client_of(customer).get(f"{ROOT}/orders?format=csv").status_code == 403

    client = client_of(clerk)
    monkeypatch.setattr(list_files, "MOST_AT_ONCE", 1)
    long = client.get(f"{ROOT}/orders?format=csv")
    assert (long.status_code, long.json()["parameter"]) == (400, "format")
    assert "at most 1 rows, and this list has more" in long.json()["detail"]
    assert client.get(f"{ROOT}/orders/{shop['order']}?format=csv").status_code == 400
    unknown = f"{ROOT}/customers/{shop['order']}/orders?format=csv"
    assert client.get(unknown).status_code == 404
    assert "metadata" not in rows_of(warehouse.get(f"{ROOT}/inventory?format=csv"))[0]
