"""The cost of looking at the log doesn't depend on the number of commits without a position."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import psycopg
import pytest
from django.db import connection, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext

from config.accounts.roles import Role
from config.workers.broker import ProjectionBroker
from ordering_read.engine import status, waiting
from ordering_write import log, subscriptions
from ordering_write.log import outbox, sequencer
from ordering_write.models import EventPending, EventPosition
from ordering_write.subscriptions import alarm
from tests import kit
from tests.integration.test_read_api import ROOT, Shop, client_of
from tests.proof import size

COMMITS = size(8_000, full=20_000)
EVENTS_OF_A_COMMIT = 3
# Pages that a look may read in addition while commits are pending: those of a bounded count, and of
# at most 1,000 dead rows that other tests have left. A look at all commits reads 20,000.
MOST_PAGES = 400
# Pages that a look may read in addition to pass over at most 1,000 deleted rows of event_pending.
# One that passes over all deleted rows reads 80.
MOST_PAGES_OF_DELETED_ROWS = 30
# A batch of 200 commits, each of which is found and written by itself. A batch that compares each
# pending commit reads 14,000 pages.
MOST_PAGES_OF_A_BATCH = 8_000

# Copies an event of the log: commits of other streams, each with its row in event_pending.
FILL = """
WITH added AS (SELECT gen_random_uuid() AS commit_id, number FROM generate_series(1, %s) number),
copies AS (
    INSERT INTO event (event_id, stream, version, type, schema_version, timestamp, recorded_at,
                       actor, channel, command_id, correlation_id, causation_id, commit_id, data,
                       personal_digest, hash)
    SELECT gen_random_uuid(), 'copy-' || added.commit_id, version, type, schema_version, timestamp,
           clock_timestamp(), actor, channel, command_id, correlation_id, causation_id,
           added.commit_id, data, '', hash
    FROM added, generate_series(1, %s) version,
         (SELECT type, schema_version, timestamp, actor, channel, command_id, correlation_id,
                 causation_id, data, hash FROM event LIMIT 1) original
)
INSERT INTO event_pending (commit_id, events)
SELECT commit_id, %s FROM added ORDER BY number
"""


def fill(commits: int, *, counted: bool = True) -> None:
    """Append so many commits, which have no positions yet."""
    number = EVENTS_OF_A_COMMIT if counted else None
    with connection.cursor() as cursor:
        cursor.execute(FILL, [commits, EVENTS_OF_A_COMMIT, number])


def pages_read(act: Callable[[], object]) -> dict[str, int]:
    """Return the pages that each statement of ``act`` reads, by its text and its number."""
    with (
        CaptureQueriesContext(connections["default"]) as write,
        CaptureQueriesContext(connections["read"]) as read,
    ):
        act()
    pages: dict[str, int] = {}
    for alias, queries in (("default", write), ("read", read)):
        for number, query in enumerate(queries.captured_queries):
            if query["sql"].lstrip().startswith(("SELECT", "WITH", "UPDATE")):
                pages[f"{alias} {number}: {query['sql'][:80]}"] = pages_of(alias, query["sql"])
    return pages


def pages_of(alias: str, statement: str) -> int:
    with connections[alias].cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}")
        [(plans,)] = cursor.fetchall()
    plan = (json.loads(plans) if isinstance(plans, str) else plans)[0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


@pytest.mark.proof
@pytest.mark.django_db(databases=["default", "read"])
def test_a_look_at_the_log_reads_no_more_pages_while_commits_are_pending(
    subtests: pytest.Subtests,
) -> None:
    shop = Shop()
    log.sequence()
    client = client_of(Role.ADMIN)
    looks: dict[str, Callable[[], object]] = {
        "an order": lambda: client.get(f"{ROOT}/orders/{shop.first.pk}"),
        "a list": lambda: client.get(f"{ROOT}/orders"),
        "the projections": lambda: client.get(f"{ROOT}/projections"),
        "metrics": lambda: client.get("/metrics"),
        "readiness": lambda: Client().get("/readyz"),
        "statuses": status.statuses,
        "the alarm": alarm.look,
        "leases": lambda: [subscription.lease() for subscription in subscriptions.registered()],
        "a wait": lambda: waiting.wait(event_id=shop.first.pk, projections=[], timeout=0),
        "the position of an event": lambda: log.position_of(shop.first.pk),
    }
    for look in looks.values():
        look()  # what is cached from now on
    level = {name: pages_read(look) for name, look in looks.items()}

    fill(COMMITS)

    for name, look in looks.items():
        with subtests.test("a look", at=name):
            pages = pages_read(look)
            assert pages
            assert max(pages.values()) <= max(level[name].values()) + MOST_PAGES


@contextmanager
def long_transaction() -> Iterator[None]:
    """Hold a snapshot, as pg_dump does: rows that are deleted meanwhile stay in the indexes."""
    with closing(psycopg.connect(**connection.get_connection_params())) as own:
        own.execute("SET idle_in_transaction_session_timeout = 0")
        own.commit()
        own.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        own.execute("SELECT count(*) FROM event_pending")
        yield


@pytest.mark.proof
def test_the_lag_is_read_at_once_beside_a_long_transaction(committed: None) -> None:
    kit.registered_product()
    look = "SELECT oldest_pending_at()"
    pages_of("default", look)  # what is cached from now on
    before = pages_of("default", look)
    fill(COMMITS)
    with long_transaction():
        while not log.sequence():
            pass
        fill(1)
        assert subscriptions.lag_seconds([log.last_position()])[log.last_position()] > 0

        pages = pages_of("default", look)

    assert pages <= before + MOST_PAGES_OF_DELETED_ROWS


def test_statistics_of_an_empty_backlog_dont_slow_the_sequencer_down(committed: None) -> None:
    kit.registered_product()
    fill(600)
    while not log.sequence():
        pass
    with connection.cursor() as cursor:
        # As autovacuum does at any time: there are pages, but no row is in them.
        cursor.execute("ANALYZE event_pending")
    fill(2_000)

    pages = pages_of("default", f"SELECT sequence_log({sequencer._SEQUENCER_LOCK}, 200)")

    assert EventPending.objects.count() == 1_800
    assert pages <= MOST_PAGES_OF_A_BATCH


@pytest.mark.django_db
def test_the_head_counts_pending_events_up_to_a_bound(subtests: pytest.Subtests) -> None:
    kit.registered_product()
    log.sequence()
    end = log.head()
    for counted in (True, False):
        with subtests.test("releases that count the events of a commit and others", at=counted):
            before = log.head()
            fill(10, counted=counted)
            assert log.head() == before + 10 * EVENTS_OF_A_COMMIT
    fill(1_500)

    assert end + 1_000 * EVENTS_OF_A_COMMIT <= log.head() <= end + 1_020 * EVENTS_OF_A_COMMIT


@pytest.mark.django_db
def test_one_call_of_the_sequencer_assigns_a_bounded_number_of_positions() -> None:
    kit.registered_product()
    log.sequence()
    end = log.last_position()
    fill(1_200)

    assert not log.sequence()
    assert log.last_position() == end + 1_000 * EVENTS_OF_A_COMMIT
    assert log.sequence()
    assert log.last_position() == log.head() == end + 1_200 * EVENTS_OF_A_COMMIT


def test_commands_assign_positions_while_no_worker_does(
    committed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "_COMMITS_BETWEEN_RELIEFS", 1)
    kit.registered_product()
    assert not EventPosition.objects.exists(), "a few commits are left to the workers"
    fill(sequencer._BACKLOG)

    kit.registered_product()

    assert EventPending.objects.count() < sequencer._BACKLOG
    positions = EventPosition.objects.order_by("position").values_list("position", flat=True)
    assert list(positions) == list(range(1, len(positions) + 1))


def test_the_broker_hands_out_work_while_many_commits_are_pending(committed: None) -> None:
    kit.registered_product()
    fill(1_500)
    broker = ProjectionBroker("orders")

    handouts = broker.dequeue()

    assert handouts
    assert broker._listener is not None
    broker._listener.close()
