"""All schedules of two commands on one order: each has the result of one of the serial orders."""

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest
from django.db import connection

from ordering_write.domain import commands as c
from ordering_write.domain.commands import Command
from ordering_write.domain.errors import DomainError
from ordering_write.log import outbox, verification
from ordering_write.models import Order, OrderItem, Reservation, Shipment, StockItem
from tests import kit
from tests.databases import KeptRows
from tests.kit_kinds import ORDER_KINDS, Shop
from tests.kit_schedules import Stage
from tests.proof import IS_PROOF, size

pytestmark = [pytest.mark.proof, pytest.mark.usefixtures("committed")]

# A buyer competes with the order for the last unit.
PARTNERS: tuple[type[Command], ...] = (c.CreateOrder, *ORDER_KINDS)
PREEMPTIONS = size(1, full=2)
SOME_PAIRS: dict[type[Command], list[type[Command]]] = {
    c.CancelOrder: [c.RecordPayment],
    c.ChangeItemQuantity: [c.CreateOrder],
    c.CreateShipment: [c.CancelOrder],
}
_EVENTS = """
SELECT stream, version, type, data::text FROM event WHERE id > %s ORDER BY stream, version
"""
# The tables whose rows are the fold of events.
_TABLES = [model._meta.db_table for model in (Order, OrderItem, Shipment, StockItem, Reservation)]
_ROWS = " UNION ALL ".join(
    f"SELECT '{table}', (to_jsonb({table}) - 'id')::text FROM {table}" for table in _TABLES
)
# Ids and numbers that a command draws, and the version of the event, which is compared anyway.
_DRAWN = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|\d{4}-\d{6}")


def partners_of(kind: type[Command]) -> Sequence[type[Command]]:
    """Return the kinds that come no later in the life of an order; the others have own pairs."""
    return PARTNERS[: PARTNERS.index(kind) + 1] if IS_PROOF else SOME_PAIRS[kind]


@pytest.mark.parametrize("kind", ORDER_KINDS if IS_PROOF else SOME_PAIRS)
def test_two_commands_have_the_result_of_a_serial_order(
    kind: type[Command], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A commit in a hundred, chosen by its random id, would have a statement more.
    monkeypatch.setattr(outbox, "_COMMITS_BETWEEN_RELIEFS", 1 << 128)
    # One unit is left.
    shop = Shop(kind, on_hand=3)
    kept = KeptRows()
    schedules = 0
    with Stage() as stage:
        for partner in partners_of(kind):
            pair = shop.command(kind), shop.command(partner)
            schedules += check_pair(stage, kept, pair)
        if IS_PROOF or kind is c.CancelOrder:
            command = shop.command(kind)
            schedules += check_pair(stage, kept, (command, command))
    print(f"{kind.__name__}: {schedules} schedules")


def check_pair(stage: Stage, kept: KeptRows, pair: tuple[Command, Command]) -> int:
    """Give the pair by all schedules; return their number."""
    last_id = last_event_id()
    serial = []
    for order in ((0, 1), (1, 0)):
        serial.append(serial_result(kept, pair, order, last_id))
        assert list(verification.verify(progress=lambda _: None)) == []

    def prepare() -> list[Callable[[], Any]]:
        kept.put_back()
        return [partial(kit.dispatch, command) for command in pair]

    schedules = 0
    for schedule, outcome in stage.schedules(prepare, preemptions=PREEMPTIONS):
        names = [type(command).__name__ for command in pair]
        result = result_of(outcome.results, last_id)
        assert result in serial, (names, schedule)
        schedules += 1
    return schedules


def serial_result(
    kept: KeptRows, pair: Sequence[Command], order: Sequence[int], last_id: int
) -> Any:
    kept.put_back()
    results: list[Any] = [None, None]
    for number in order:
        try:
            results[number] = kit.dispatch(pair[number])
        except DomainError as refusal:
            results[number] = refusal
    return result_of(results, last_id)


def result_of(results: Sequence[Any], last_id: int) -> Any:
    """Return both outcomes, the new events and all rows, without the ids that were drawn."""
    with connection.cursor() as cursor:
        cursor.execute(_EVENTS, [last_id])
        events = cursor.fetchall()
        cursor.execute(f"{_ROWS} ORDER BY 1, 2")
        rows = cursor.fetchall()
    drawn: dict[str, str] = {}
    text = _DRAWN.sub(lambda found: drawn.setdefault(found[0], f"#{len(drawn)}"), f"{events}{rows}")
    return [outcome_of(result) for result in results], text


def outcome_of(result: Any) -> str:
    if isinstance(result, DomainError):
        return type(result).__name__
    if isinstance(result, BaseException):
        raise result
    return "accepted"


def last_event_id() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT max(id) FROM event")
        [last] = cursor.fetchone()
    return int(last)
