"""Command metrics: counts by outcome, in memory and in the table, and one log line a command."""

import logging
import os
from typing import Any
from uuid import UUID

import psycopg
import pytest
from uuid_utils.compat import uuid7

from ordering_write.bus import bus, metrics
from ordering_write.domain.commands import Command, ReceiveStock, RegisterStockItem
from ordering_write.domain.errors import ProductNotFoundError
from ordering_write.models import CommandMetric
from tests import kit

pytestmark = pytest.mark.usefixtures("committed")


@pytest.fixture(autouse=True)
def _no_counts() -> Any:
    metrics._counts.clear()
    yield
    metrics._counts.clear()


def totals() -> dict[tuple[str, str, str], int]:
    for row in CommandMetric.objects.all():
        assert 0 < row.seconds < 60 * row.count
    return {(row.type, row.outcome, row.reason): row.count for row in CommandMetric.objects.all()}


def receive(product_id: UUID, **fields: Any) -> Any:
    return kit.dispatch(ReceiveStock(user_id=kit.USER, product_id=product_id, quantity=1, **fields))


def test_commands_are_counted_by_type_and_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    product, key = kit.registered_product(), uuid7()
    receive(product.pk, command_id=key)
    receive(product.pk, command_id=key)
    for _ in range(2):
        with pytest.raises(ProductNotFoundError):
            receive(uuid7())
    with monkeypatch.context() as broken:
        broken.setattr(bus, "_insert_record", lambda command, digest: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            receive(product.pk)

    metrics.flush()
    metrics.flush()

    assert totals() == {
        ("RegisterStockItem", "accepted", ""): 1,
        ("ReceiveStock", "accepted", ""): 1,
        ("ReceiveStock", "replayed", ""): 1,
        ("ReceiveStock", "refused", "ProductNotFoundError"): 2,
        ("ReceiveStock", "failed", "ZeroDivisionError"): 1,
    }
    kit.registered_product()
    metrics.flush()
    assert totals()["RegisterStockItem", "accepted", ""] == 2


def test_counts_that_can_not_be_written_are_kept_for_later(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(**_parameters: Any) -> Any:
        raise psycopg.OperationalError("gone")

    kit.registered_product()
    with monkeypatch.context() as outage:
        outage.setattr(psycopg, "connect", away)
        metrics.flush()
    kit.registered_product()
    assert not CommandMetric.objects.exists()

    metrics.flush()

    assert totals() == {("RegisterStockItem", "accepted", ""): 2}


def test_a_forked_process_starts_with_no_counts() -> None:
    kit.registered_product()
    child = os.fork()
    if child == 0:
        os._exit(len(metrics._counts))

    assert os.waitpid(child, 0)[1] == 0
    assert metrics._counts


def test_each_command_logs_its_outcome_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "ordering_write.bus.bus"):
        [_registered, received] = kit.dispatch(
            RegisterStockItem(user_id=kit.USER, sku="A-1", name="Sample", on_hand=1)
        )
        with pytest.raises(ProductNotFoundError):
            receive(uuid7())

    accepted, refused = (line.fields for line in caplog.records)  # type: ignore[attr-defined]
    assert 0 < accepted.pop("seconds") < 60
    assert accepted == {
        "type": "RegisterStockItem",
        "outcome": "accepted",
        "reason": "",
        "event_id": received.recorded.event_id,
    }
    assert (refused["outcome"], refused["reason"]) == ("refused", "ProductNotFoundError")
    assert "Sample" not in caplog.text


def test_log_lines_within_a_command_carry_its_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    bound: list[dict[str, str]] = []
    insert_record = bus._insert_record

    def insert_and_note(command: Command, digest: str) -> Any:
        bound.append(ids())
        return insert_record(command, digest)

    monkeypatch.setattr(bus, "_insert_record", insert_and_note)
    trace, command_id = uuid7(), uuid7()

    kit.registered_product()
    with pytest.raises(ProductNotFoundError):
        receive(uuid7(), command_id=command_id, correlation_id=trace)

    assert bound[0]["correlation_id"] == bound[0]["command_id"]
    assert bound[1] == {
        "command_id": str(command_id),
        "correlation_id": str(trace),
        "actor": f"user:{kit.USER}",
    }
    assert ids() == {}


def ids() -> dict[str, str]:
    from config.logs import _ids

    return dict(_ids.get())
