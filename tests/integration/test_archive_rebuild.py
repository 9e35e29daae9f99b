"""Rebuilds that read the archive of the log in place of the log."""

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from ordering_read.engine import fill, generations, live
from ordering_read.engine.rebuild import Rebuilt, rebuild
from ordering_read.models import Projection
from ordering_read.projector import registered
from ordering_write import log
from ordering_write.archive import Storage, archive, replay
from ordering_write.domain.commands import EraseCustomer
from ordering_write.domain.events import DomainEvent, OrderStatus
from ordering_write.models import ArchivedFile
from tests import kit
from tests.proof import IS_PROOF

# Rows of streams with personal fields, and rows that mix streams.
NAMES = list(registered()) if IS_PROOF else ["order_view", "customer_view", "sales_by_day"]


@pytest.fixture
def _archived(tmp_path: Path, settings: Any) -> None:
    """Archive some orders, one of an erased customer; then place another one."""
    settings.ARCHIVE_URL = str(tmp_path)
    product = kit.registered_product(on_hand=100)
    erased = kit.registered_customer()
    kit.dispatch(kit.cancel(kit.placed_order(erased, (product, 1))))
    kit.dispatch(EraseCustomer(user_id=kit.USER, customer_id=erased.pk, reason="Asked for it"))
    customer = kit.registered_customer()
    for _ in range(2):
        order = kit.placed_order(customer, (product, 2))
        kit.dispatch(kit.move(order, OrderStatus.CONFIRMED))
    assert list(archive(Storage(), events_of_file=15, rest=True))
    kit.placed_order(customer, (product, 3))
    for name in NAMES:
        live.run(name)


# The effects of an erased stream are made again from the log.
FORGET = """
WITH forgotten AS (
    DELETE FROM event_position USING event
    WHERE event.id = event_position.event_id AND position < %s
      AND stream NOT IN (SELECT stream FROM event WHERE type = ANY(%s))
    RETURNING event_position.event_id
)
DELETE FROM event WHERE id IN (SELECT event_id FROM forgotten)
"""


def forget_archived_events() -> None:
    """Delete the events from the log that only the archive is to be asked for."""
    last = ArchivedFile.objects.latest("first").last
    erasing = [name for name, event in DomainEvent.types.items() if event.erases]
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(FORGET, [last, erasing])
        assert cursor.rowcount > 5
        cursor.execute("SET LOCAL session_replication_role = origin")


def assert_same_rows(rebuilt: Rebuilt) -> None:
    assert rebuilt.not_compared == ""
    assert [(table.table, table.differing) for table in rebuilt.compared if table.differing] == []
    assert any(table.folded_rows for table in rebuilt.compared)


@pytest.mark.proof
@pytest.mark.usefixtures("db", "_archived")
def test_a_rebuild_from_the_archive_makes_the_rows_that_the_log_makes(
    subtests: pytest.Subtests,
) -> None:
    forget_archived_events()
    for name in NAMES:
        with subtests.test(name):
            assert_same_rows(rebuild(name, batch=7, from_archive=True))


@pytest.mark.usefixtures("db", "_archived")
def test_a_resumed_rebuild_reads_the_archive_on(subtests: pytest.Subtests) -> None:
    for name in ("order_view", "sales_by_day"):
        with subtests.test(name):
            building = generations.add(name, Projection.Status.BUILDING)
            building.fill_source = Projection.FillSource.ARCHIVE
            until = ArchivedFile.objects.latest("first").last
            fill.begin(building, until=until, batch=5)
            assert next(fill.fill_slice(building, 0, batch=5)) > 0
            assert_same_rows(rebuild(name, batch=7))


@pytest.mark.usefixtures("committed", "_archived")
def test_processes_rebuild_from_the_archive_also_beside_a_reader_of_their_parent() -> None:
    last = ArchivedFile.objects.latest("first").last
    [end] = replay.slices([DomainEvent], of=1)
    replay.read_streams([DomainEvent], after=("", 0), last=end, until=last, limit=2)
    output = StringIO()
    options = {"workers": 2, "batch": 5, "from_archive": True, "stdout": output}
    call_command("rebuild_projections", "order_view", **options)
    assert "order_summary: 4 rows, the same as before." in output.getvalue()


@pytest.mark.usefixtures("db", "_archived")
def test_a_rebuild_refuses_an_archive_that_was_changed_or_has_a_gap() -> None:
    Storage().write(ArchivedFile.objects.latest("first").name, b"")
    with pytest.raises(CommandError, match=r"or was changed: manage\.py verify_archive$"):
        call_command("rebuild_projections", "order_view", "--from-archive")
    ArchivedFile.objects.latest("first").delete()
    with pytest.raises(log.LogGapError, match=r"^\d+ of 1000 events are missing in the archive"):
        fill.begin(
            Projection(name="order_view", fill_source=Projection.FillSource.ARCHIVE), until=1_000
        )
    ArchivedFile.objects.all().delete()
    with pytest.raises(CommandError, match="Nothing is archived yet"):
        call_command("rebuild_projections", "order_view", "--from-archive")
    assert not Projection.objects.filter(status=Projection.Status.BUILDING).exists()
