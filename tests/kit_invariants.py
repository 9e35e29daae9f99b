"""The invariants that hold after any fault, once the workers have done their work."""

from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from config.workers import tasks
from ordering_read.engine import generations
from ordering_read.models import Projection
from ordering_read.projector import registered
from ordering_write import log, subscriptions
from ordering_write.log import verification
from ordering_write.models import EventPending, OutboxEvent, StockItem, Timer
from tests.kit_projections import project, rows_of

# Turns of a worker after which everything must be done.
_MOST_TURNS = 20


def let_workers_finish() -> None:
    """Let a worker take turns until nothing is left to do; leases of dead workers end."""
    for _ in range(_MOST_TURNS):
        end_leases()
        tasks.project_all()
        if is_level():
            return
    raise AssertionError("the workers never finish")


def end_leases() -> None:
    """Let the time pass after which the leases of dead workers end."""
    for subscription in subscriptions.registered():
        subscription.checkpoints().filter(leased_until__gt=Now()).update(leased_until=Now())
    Timer.objects.filter(parked_at=None).update(leased_until=None)


def is_level() -> bool:
    """Return True if every event has a position, and every subscriber has passed it."""
    return not EventPending.objects.exists() and all(
        subscriber.position == subscriber.head
        for statuses in subscriptions.all_statuses().values()
        for subscriber in statuses
    )


def check_everything() -> None:
    """Check the log, the rows of the write side and those of the read side."""
    check_log()
    check_read_side()


def check_log() -> None:
    """Check that the log is dense, that rows equal it, and that commands took effect once."""
    assert [str(finding) for finding in verification.verify(progress=lambda _: None)] == []
    assert not EventPending.objects.exists()
    assert OutboxEvent.objects.count() == log.head() == len(log.read_log(0, 1_000_000))
    commits = set(OutboxEvent.objects.values_list("command_id", "commit_id"))
    commands = {command_id for command_id, _ in commits}
    assert len(commits) == len(commands), "a command took effect twice"
    for item in StockItem.objects.all():
        assert item.on_hand >= 0, item


def check_read_side() -> None:
    """Check that each projection has one live generation, whose rows are the fold of the log."""
    generations.discard_expired()
    events = log.read_log(0, 1_000_000)
    for name, projector in registered().items():
        statuses = list(Projection.objects.filter(name=name).values_list("status", flat=True))
        assert statuses.count("live") == 1, (name, statuses)
        assert set(statuses) <= {"live", "retired"}, (name, statuses)
        served = Projection.objects.get(name=name, status="live")
        assert (served.position, served.parked_streams) == (len(events), 0), name
        with transaction.atomic(using="read"):
            folded = generations.add(name, Projection.Status.RETIRED)
            project(events, folded)
            for model in projector.models:
                _check_rows(model, served, folded)
            transaction.set_rollback(True, using="read")


def _check_rows(model: Any, served: Projection, folded: Projection) -> None:
    expected = rows_of(model, folded)
    assert rows_of(model, served) == expected, f"{model.__name__} isn't what the log says"
