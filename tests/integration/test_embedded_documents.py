"""Embedded documents: each release reads what older releases stored, and a change is noticed."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from django.db.models import JSONField
from django.test import Client
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from rest_framework.test import APIClient

from config.accounts.models import User
from ordering_read import documents
from ordering_read.engine import fingerprint
from ordering_read.engine.fingerprint import code_fingerprint
from ordering_read.engine.live import PROJECTIONS
from ordering_read.engine.status import statuses
from ordering_read.models import OrderSummary, Projection, ReadModel
from ordering_read.models.fulfilment import QueuedOrder
from ordering_read.projector import registered, writing
from ordering_read.queries import get_query_bus
from ordering_read.queries.fulfilment import GetFulfilmentQueue
from ordering_read.queries.order_lists import ListOrders
from ordering_read.queries.orders import GetOrderById
from ordering_write.domain import events as e
from tests import kit_documents

pytestmark = pytest.mark.usefixtures("db")

HOW_TO = "tests/kit_documents.py says how a golden file is added"
READS_ORDERS = {"order_view", "order_timeline", "status_counter", "fulfilment_queue"}


# --- What older releases have stored -----------------------------------------------------------
@contextmanager
def rows_of(path: Path) -> Iterator[Any]:
    """Serve the golden rows at ``path`` within the block; yield the row of their order."""
    with transaction.atomic("read"):
        kit_documents.store(kit_documents.read(path))
        yield OrderSummary.live.get()
        transaction.set_rollback(True, "read")


def test_queries_answer_rows_of_each_release(subtests: pytest.Subtests) -> None:
    ask = get_query_bus().dispatch
    for path in kit_documents.all_paths():
        with subtests.test(path.stem), rows_of(path) as row:
            order = ask(GetOrderById(order_id=row.order_id))

            assert order.shipping_address is not None
            assert order.shipping_address.line1 == row.shipping_address["line1"]
            assert order.hold is not None
            for column in ("adjustments", "shipments", "payments", "refunds", "returns", "notes"):
                assert len(getattr(order, column)) == len(getattr(row, column)) > 0, column
            assert ask(ListOrders(q="ring")).count == 1
            [queued] = ask(GetFulfilmentQueue()).items
            assert {line.sku for line in queued.lines} == {"SKU-1", "SKU-2"}


def test_pages_show_rows_of_each_release(
    client: Client, admin_user: User, subtests: pytest.Subtests
) -> None:
    client.force_login(admin_user)
    api = APIClient()
    api.force_authenticate(admin_user)
    for path in kit_documents.all_paths():
        with subtests.test(path.stem), rows_of(path) as row:
            with writing():
                # Slips leave out orders on hold.
                QueuedOrder.live.update(hold_reason="", status="processing")

            order = api.get(f"/api/v1/orders/{row.order_id}")
            page = client.get(f"/admin/ordering_read/ordersummary/{row.order_id}/change/")
            slips = client.get(f"/admin/packing/slips/?orders={row.order_number}")

            assert order.status_code == 200, order.content
            for response in (page, slips):
                assert "1 Example Street" in response.content.decode()


def test_golden_rows_are_never_changed_or_removed() -> None:
    sums = kit_documents.SUMS.read_text().splitlines()
    assert sums == [kit_documents.sum_of(path) for path in kit_documents.all_paths()], HOW_TO


# --- What this release stores ------------------------------------------------------------------
def test_each_json_column_declares_its_documents() -> None:
    models = [model for projection in registered().values() for model in projection.models]
    for model in models:
        assert issubclass(model, ReadModel)
        columns = {f.name for f in model._meta.concrete_fields if isinstance(f, JSONField)}
        assert columns == set(model.documents), model
        assert model in kit_documents.MODELS or not columns, model


def test_documents_are_stored_with_the_declared_fields() -> None:
    assert kit_documents.fields_in(kit_documents.projected()) == kit_documents.declared_fields()


def test_the_newest_golden_rows_have_the_declared_fields() -> None:
    """A changed field needs a new golden file, so that later releases read these rows too."""
    newest = kit_documents.read(kit_documents.all_paths()[-1])
    assert kit_documents.fields_in(newest) == kit_documents.declared_fields(), HOW_TO


# --- The code fingerprint ----------------------------------------------------------------------
def forget_code() -> None:
    """Let the next fingerprints be made anew."""
    fingerprint._code.cache_clear()
    fingerprint._fields_of_class.cache_clear()


@pytest.fixture
def add_field(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Add an optional field to a class, as another release of the code would have it."""

    def add(cls: type[BaseModel], name: str = "company") -> None:
        field = FieldInfo(annotation=str, default="")
        monkeypatch.setitem(cls.__pydantic_fields__, name, field)
        forget_code()

    yield add
    monkeypatch.undo()
    forget_code()


def fingerprints() -> dict[str, str]:
    return {name: code_fingerprint(name) for name in registered()}


# The fingerprints of the unchanged code, computed once.
unchanged_fingerprints = cache(fingerprints)


def changed_by(change: Any, *arguments: Any) -> set[str]:
    """Return the projections whose code fingerprints differ after ``change``."""
    before = unchanged_fingerprints()
    change(*arguments)
    return {name for name, after in fingerprints().items() if after != before[name]}


def embedded_classes() -> list[tuple[str, type[BaseModel]]]:
    """Return each class of documents, and of their parts, with the projection that stores it."""
    classes: set[tuple[str, type[BaseModel]]] = {
        (model.projection_name, cls)
        for model in kit_documents.MODELS
        for annotation in model.documents.values()
        for cls in vars(documents).values()
        if isinstance(cls, type) and issubclass(cls, documents.Document)
        if cls.__name__ in str(annotation)
    }
    parts: set[tuple[str, type[BaseModel]]] = {
        ("order_view", documents.UnitsView),
        ("order_view", documents.ReturnedUnitsView),
    }
    return sorted(classes | parts, key=str)


@pytest.mark.parametrize(("projection", "cls"), embedded_classes())
def test_a_new_field_of_a_document_changes_the_fingerprint(
    projection: str, cls: type[BaseModel], add_field: Any
) -> None:
    assert changed_by(add_field, cls) == {projection}


@pytest.mark.parametrize(
    ("cls", "projections"),
    [
        (
            e.PostalAddress,
            READS_ORDERS | {"search", "customer_stats", "sales_by_day", "tax_by_day"},
        ),
        (e.Person, READS_ORDERS | {"search", "customer_stats", "sales_by_day"}),
        (e.ReturnRequested, READS_ORDERS),
        (e.RequestedUnits, READS_ORDERS),
        (e.StockReceived, {"inventory_level", "stock_ledger"}),
        (e.CustomerErased, {"customer_view", "search"}),
        (e.Money, set(registered()) - {"customer_view", "stock_ledger"}),
        (e.Actor, set(registered())),
    ],
)
def test_a_new_field_of_an_event_or_value_changes_the_fingerprint_of_its_readers(
    cls: type[BaseModel], projections: set[str], add_field: Any
) -> None:
    assert changed_by(add_field, cls) == projections


def test_a_new_version_of_an_event_changes_the_fingerprint_of_its_readers(
    monkeypatch: pytest.MonkeyPatch, add_field: Any
) -> None:
    def raise_version() -> None:
        monkeypatch.setattr(e.StockReceived, "schema_version", 2)
        forget_code()

    assert changed_by(raise_version) == {"inventory_level", "stock_ledger"}


def test_projections_of_a_changed_value_are_outdated(add_field: Any) -> None:
    Projection.objects.all().delete()
    PROJECTIONS.ensure_checkpoints()
    assert {status.status for status in statuses()} == {"live"}

    add_field(e.PostalAddress)

    outdated = {status.name for status in statuses() if status.status == "outdated"}
    assert outdated == READS_ORDERS | {"search", "customer_stats", "sales_by_day", "tax_by_day"}
