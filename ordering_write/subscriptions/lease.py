"""Leases: give each checkpoint that has work to one runner."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from django.db import connections
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

# The time for which a leased checkpoint belongs to its runner: from the lease to the first batch,
# and between batches, since a batch locks the row. A runner's sudden death costs at most LEASE.
LEASE = timedelta(seconds=2)

# SKIP LOCKED passes by a row that a runner has locked. An expired lease was never given back, which
# raises the crash suspicion (see ``CrashSuspicion``).
_LEASE = """
WITH followed AS ({followed}), leased AS (
    UPDATE {table} SET
        leased_until = statement_timestamp() + make_interval(secs => %s),
        start = CASE WHEN leased_until IS NULL THEN start WHEN start < 2 THEN 1 ELSE 3 END
    WHERE id IN ({free_with_work} FOR UPDATE SKIP LOCKED)
    RETURNING id
)
SELECT followed.name, followed.position, leased.id IS NOT NULL,
       followed.leased_until >= statement_timestamp() IS TRUE
FROM followed LEFT JOIN leased USING (id)
"""


class Leased(NamedTuple):
    """The result of one lease.

    ``behind`` has the leased subscribers, each with the number of events that it is behind, most
    first. ``all_taken`` is True if now every checkpoint belongs to a runner.
    """

    behind: dict[str, int]
    all_taken: bool


def lease(
    checkpoints: "QuerySet[Any]", *, names: Sequence[str], head: int, other_work: Q
) -> Leased:
    """Lease all free ``checkpoints`` that aren't at ``head`` or have ``other_work``; one statement.

    A checkpoint ahead of the log has lost its log: its runner must find that out. ``names`` is
    the order of subscribers at the same position.
    """
    if not names:
        return Leased({}, all_taken=True)
    rows = checkpoints.order_by()
    free = rows.filter(Q(leased_until=None) | Q(leased_until__lt=Now()))
    with_work = free.filter(~Q(position=head) | other_work)
    followed, followed_values = _compiled(rows.values("id", "name", "position", "leased_until"))
    free_with_work, free_values = _compiled(with_work.values("id"))
    statement = _LEASE.format(
        table=rows.model._meta.db_table, followed=followed, free_with_work=free_with_work
    )
    with connections[rows.db].cursor() as cursor:
        cursor.execute(statement, [*followed_values, LEASE.total_seconds(), *free_values])
        results = cursor.fetchall()
    leased = [(name, position) for name, position, is_leased, _is_taken in results if is_leased]
    leased.sort(key=lambda row: (row[1], names.index(row[0])))
    behind: dict[str, int] = {}
    for name, position in leased:
        behind.setdefault(name, head - position)
    return Leased(behind, all(is_leased or is_taken for *_, is_leased, is_taken in results))


def _compiled(rows: "QuerySet[Any]") -> tuple[str, tuple[Any, ...]]:
    statement, values = rows.query.sql_with_params()
    return statement, values
