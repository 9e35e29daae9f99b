"""Compares the live rows with the rows that the log makes, and repairs those that differ.

The log is folded again into a shadow generation. Then both generations are compared table by table
at one position. Workers and commands continue in the meantime.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from django.db import IntegrityError
from django.db.models.functions import Now

from config import logs
from ordering_read.engine import generations, live
from ordering_read.engine.shadow import Progress, ShadowGeneration
from ordering_read.engine.table_diff import (
    ComparedTable,
    Key,
    Keys,
    RowDifference,
    TableDiff,
    row_label,
)
from ordering_read.models import Projection
from ordering_read.projector import projector
from ordering_write import published

logger = logging.getLogger(__name__)

# The number of differences that one statement reads.
_ROWS_AT_ONCE = 1_000
# Tries to compare at one position. A try fails only if workers move the live generation between the
# end of its lock and the start of the comparison.
_TRIES = 100

_SECONDS_BETWEEN_RECORDS = 1.0

# Called with each row that differs.
OnDifference = Callable[[RowDifference], object]


class NeverLevelError(generations.GenerationError):
    """The live generation moves on too fast to be compared."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} moves on too fast to be compared; try again when there is less to do."
        )


class RowInTheWayError(generations.GenerationError):
    """A row can't be repaired, because a row that wasn't compared has a value that must be
    unique."""

    def __init__(self, name: str, reason: IntegrityError) -> None:
        super().__init__(
            f"{name} wasn't repaired, since a row that isn't in the sample is in the way: "
            f"{' '.join(str(reason).split())}. Repair without --sample."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """The result of verifying a projection.

    The ``keys`` of each table name all rows that differ. Rows of ``parked_streams`` lack events by
    intention, so these events count as no difference.
    """

    tables: list[ComparedTable]
    parked_streams: list[str]


def verify(
    name: str,
    *,
    sample: int | None = None,
    repaired_by: str | None = None,
    on_difference: OnDifference = lambda difference: None,
    progress: Progress = lambda done, total: None,
) -> Verified:
    """Compare the live rows of a projection with the log.

    Events that are parked or skipped are left out, since the rows lack them.

    With ``sample``, where each row belongs to one stream, fold that many streams, chosen at random,
    and compare their rows; where rows mix streams, fold the whole log and compare that many rows of
    each table. ``repaired_by`` names the person who repairs the rows that differ; None leaves the
    rows as they are.

    The result is stored with the live generation, and the progress with the shadow generation.

    Raises UnknownProjectionError, BusyError while the projection is rebuilt, NeverLevelError,
    CannotFoldError, RowInTheWayError, LogReplacedError, LogGapError and UndecodableEventError.
    """
    with generations.exclusive(projector(name).name):
        live.PROJECTIONS.ensure_checkpoints()
        served = Projection.objects.get(name=name, status=Projection.Status.LIVE)
        if not live.reads_this_log(served):
            raise published.LogReplacedError(served)
        # With the lock held, existing shadow generations are leftovers of killed processes.
        for orphan in Projection.objects.filter(name=name, status=Projection.Status.SHADOW):
            generations.discard(orphan)
        generation = generations.add(name, Projection.Status.SHADOW)
        try:
            shadow = ShadowGeneration(served, generation)
            meter = _Meter(generation, progress)
            compared = [
                (diff, _compare(shadow, diff, keys, on_difference))
                for diff, keys in shadow.fill(sample, meter.record)
            ]
            if repaired_by is not None:
                _repair(shadow, compared, repaired_by)
            tables = [table for _, table in compared]
            _store(served, tables, is_sample=sample is not None, repaired_by=repaired_by)
            return Verified(tables=tables, parked_streams=shadow.parked_streams())
        except (generations.GenerationError, published.LogGapError) as error:
            reason = logs.without_values(str(error))
            store_result(served, None, f"The rows couldn't be compared: {reason}")
            raise
        finally:
            generations.discard(generation)


class _Meter:
    """Stores the progress of a comparison on its generation, and passes it on."""

    def __init__(self, generation: Projection, progress: Progress) -> None:
        self._generation = generation
        self._progress = progress
        self._stored_at = 0.0

    def record(self, done: int, total: int) -> None:
        self._progress(done, total)
        if time.monotonic() - self._stored_at > _SECONDS_BETWEEN_RECORDS:
            self._stored_at = time.monotonic()
            fields = {"events_done": done, "events_total": total, "updated_at": Now()}
            Projection.objects.filter(pk=self._generation.pk).update(**fields)


def _store(
    served: Projection,
    tables: Sequence[ComparedTable],
    *,
    is_sample: bool,
    repaired_by: str | None,
) -> None:
    rows = sum(table.folded_rows for table in tables)
    wrong = sum(table.differing for table in tables)
    amount = f"{rows:,} rows{' of a sample' if is_sample else ''}"
    if not wrong:
        store_result(served, 0, f"All {amount} are what the log says.")
    elif repaired_by is not None:
        store_result(served, 0, f"{wrong:,} of {amount} weren't what the log says; repaired.")
    else:
        store_result(served, wrong, f"{wrong:,} of {amount} aren't what the log says.")


def store_result(generation: Projection, wrong: int | None, sentence: str) -> None:
    """Store with ``generation`` how many of its rows are wrong, None if nobody knows, and a
    sentence for people."""
    fields = {"verified_at": Now(), "wrong_rows": wrong, "verification": sentence}
    Projection.objects.filter(pk=generation.pk).update(**fields)


def _compare(
    shadow: ShadowGeneration, diff: TableDiff, keys: Keys | None, on_difference: OnDifference
) -> ComparedTable:
    """Compare a table, then compare the rows that differ once more under the lock."""
    compared = _compare_level(shadow, diff, keys)
    wrong_keys: list[Key] = []
    # In chunks, because all rows may differ.
    for start in range(0, len(compared.keys), _ROWS_AT_ONCE):
        with shadow.aligned():
            differences = diff.differences(compared.keys[start : start + _ROWS_AT_ONCE])
        for difference in differences or ():
            on_difference(difference)
            wrong_keys.append(difference.key)
    return replace(compared, differing=len(wrong_keys), keys=wrong_keys)


def _compare_level(shadow: ShadowGeneration, diff: TableDiff, keys: Keys | None) -> ComparedTable:
    for _ in range(_TRIES):
        with shadow.aligned():
            pass
        # Without the lock, because the comparison takes long and would stop the workers.
        if compared := diff.compare(keys):
            return compared
    raise NeverLevelError(shadow.name)


def _repair(
    shadow: ShadowGeneration,
    compared: Sequence[tuple[TableDiff, ComparedTable]],
    repaired_by: str,
) -> None:
    try:
        with shadow.aligned():
            for diff, table in compared:
                diff.repair(table.keys)
    except IntegrityError as error:
        raise RowInTheWayError(shadow.name, error) from error
    for _, table in compared:
        for key in table.keys:
            logger.warning("%s was repaired by %s.", row_label(table.table, key), repaired_by)
