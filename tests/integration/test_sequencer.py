"""The order of the log while connections are terminated at any moment: no event lost or moved."""

import random
import threading
from typing import Any

import psycopg
import pytest
from django.db import InterfaceError, OperationalError, connection

from ordering_write import log
from ordering_write.domain.commands import CancelOrder, Command
from ordering_write.models import CommandRecord, OutboxEvent
from tests.kit import (
    NOW,
    USER,
    check_rows_equal_log,
    create_order,
    dispatch,
    registered_customer,
    registered_product,
)
from tests.parallel import at_once
from tests.proof import size

pytestmark = [pytest.mark.proof, pytest.mark.usefixtures("committed")]

WRITERS, READERS = 6, 2
# Orders of each writer, half of them cancelled: six or seven events each, for two lines and stock.
ORDERS = size(5, full=1_350)
MOST_SECONDS_BETWEEN_CUTS = 0.2


def dispatch_until_confirmed(command: Command) -> list[Any]:
    """Dispatch ``command`` again until the client gets the answer."""
    while True:
        try:
            return list(dispatch(command))
        except (OperationalError, InterfaceError):
            connection.close()


def terminate_connections(over: threading.Event) -> int:
    """Terminate connections of this database one after the other; return their number."""
    dice, cut = random.Random(7), 0
    with psycopg.connect(**connection.get_connection_params(), autocommit=True) as own:
        while not over.wait(dice.uniform(0, MOST_SECONDS_BETWEEN_CUTS)):
            pids = own.execute(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
                " AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
            ).fetchall()
            if pids:
                own.execute("SELECT pg_terminate_backend(%s)", dice.choice(pids))
                cut += 1
    return cut


def test_terminated_connections_lose_and_reorder_no_event() -> None:
    customer, product = registered_customer(), registered_product(10**6)
    over = threading.Event()
    written = threading.Barrier(WRITERS, action=over.set)

    def write(seed: int) -> None:
        dice = random.Random(seed)
        for _ in range(ORDERS):
            [created, *_rest] = dispatch_until_confirmed(
                create_order(customer, (product, 1), (product, 1))
            )
            if dice.random() < 0.5:
                dispatch_until_confirmed(
                    CancelOrder(user_id=USER, timestamp=NOW, order_id=created.order_id, reason="x")
                )
        written.wait()

    def read() -> list[tuple[int | None, object]]:
        """Read all events in their order while they are written."""
        events: list[tuple[int | None, object]] = []
        last: Any = 0
        while True:
            try:
                if over.is_set() and log.head() == last:
                    return events
                log.sequence()
                page = log.read_log(last, 7)
                for event in page:
                    last = event.recorded.position
                    events.append((last, event.recorded.event_id))
                if not page:
                    over.wait(0.02)
            except (OperationalError, InterfaceError):
                connection.close()

    calls = [lambda seed=seed: write(seed) for seed in range(WRITERS)] + [read] * READERS
    # terminate_connections would end this connection too.
    connection.close()
    outcomes = at_once([*calls, lambda: terminate_connections(over)])

    assert outcomes[:WRITERS] == [None] * WRITERS
    *_written, first, second, cut = outcomes
    rows = list(OutboxEvent.objects.order_by("event_position__position"))
    assert first == second == [(number, row.event_id) for number, row in enumerate(rows, start=1)]
    versions: dict[str, int] = {}
    for row in rows:
        assert row.version == versions.get(row.stream, 0) + 1, "inverted in its stream"
        versions[row.stream] = row.version
    check_rows_equal_log()
    commands = CommandRecord.objects.count()
    print(f"{len(rows)} events of {commands} commands, {cut} connections cut")
