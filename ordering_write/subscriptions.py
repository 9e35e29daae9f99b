"""Following the log: the one loop by which subscribers read it, each from its own checkpoint."""

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from django.db import models, transaction
from django.db.models.functions import Now

from ordering_write import log
from ordering_write.domain.events import DomainEvent

# What a subscriber does with a batch, in the transaction that moves its checkpoint.
Apply = Callable[[Sequence[DomainEvent]], None]

# How long a subscriber that was handed to a runner is not handed to another one. It outlives any
# usual batch, and it is what a runner's sudden death costs at most.
LEASE = timedelta(seconds=5)

# Looks at a log whose newest events another process is just giving their positions.
_LOOKS = 50
_SECONDS_BETWEEN_LOOKS = 0.01


class Checkpoint(models.Model):
    """How far a subscriber has read. It lives in the database that holds what the subscriber does."""

    position = models.BigIntegerField(default=0, help_text="The last position that was applied.")
    updated_at = models.DateTimeField(db_default=Now())
    leased_until = models.DateTimeField(
        null=True, blank=True, help_text="Until then a runner is taken to be at it."
    )
    error = models.TextField(blank=True, help_text="Why it can't go on; empty when it can.")
    failed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        abstract = True


def catch_up(checkpoints: "models.QuerySet[Any]", apply: Apply, *, batch: int) -> int:
    """Apply what the log has after the one checkpoint in ``checkpoints``; returns how many events.

    Each batch of about ``batch`` events is applied and the checkpoint moved in one transaction of
    the checkpoint's database, so that neither happens without the other. Only one runner at a time
    holds the checkpoint; a second one returns at once, and the first one looks once more after it
    has let go, so that the wake-up which the second one answered is not lost.
    """
    applied = looks = 0
    while looks < _LOOKS:
        log.sequence()
        done = _apply_batch(checkpoints, apply, batch)
        if done is None:
            return applied
        applied += done
        if done:
            looks = 0
            continue
        checkpoints.update(leased_until=None)
        if log.head() <= (checkpoints.values_list("position", flat=True).first() or 0):
            return applied
        # Something is there that can't be read yet: another process is sequencing it.
        looks += 1
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    return applied


def _apply_batch(checkpoints: "models.QuerySet[Any]", apply: Apply, batch: int) -> int | None:
    """One batch; None when another runner holds the checkpoint or it is gone."""
    with transaction.atomic(using=checkpoints.db):
        checkpoint = checkpoints.select_for_update(skip_locked=True).first()
        if checkpoint is None:
            return None
        events = log.read_log(checkpoint.position, batch)
        if not events:
            return 0
        apply(events)
        checkpoint.position = events[-1].recorded.position
        checkpoint.leased_until = Now() + LEASE
        checkpoint.error, checkpoint.failed_at = "", None
        checkpoint.save(
            update_fields=["position", "updated_at", "leased_until", "error", "failed_at"]
        )
    return len(events)
