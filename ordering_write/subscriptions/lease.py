"""Leases: give each checkpoint that has work to one runner."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from django.db.models import Q, QuerySet, Value
from django.db.models.functions import Now

from config.databases import prepared
from ordering_write import log

if TYPE_CHECKING:
    from ordering_write.subscriptions.registry import Subscription

# The time for which a leased checkpoint belongs to its runner: from the lease to the first batch,
# and between batches, since a batch locks the row. A runner's sudden death costs at most LEASE.
LEASE = timedelta(seconds=2)

# SKIP LOCKED passes by a row that a runner has locked. An expired lease was never given back, which
# raises the crash suspicion (see ``CrashSuspicion``). If the lease is older than the server, a
# restart has ended the runner's sessions: that is no death of the runner, so a counted start is
# taken back, as the runner would do if it came first.
_LEASE = """
WITH followed AS ({followed}), leased AS (
    UPDATE {table} SET
        leased_until = statement_timestamp() + make_interval(secs => %s),
        start = CASE
            WHEN leased_until IS NULL THEN start
            WHEN leased_until < pg_postmaster_start_time() + make_interval(secs => %s)
                THEN CASE start WHEN 2 THEN 1 ELSE start END
            WHEN start < 2 THEN 1
            ELSE 3
        END
    WHERE id IN ({free_with_work} FOR UPDATE SKIP LOCKED)
    RETURNING id
)
SELECT followed.name, followed.position, followed.number, followed.count, leased.id IS NOT NULL,
       followed.leased_until >= statement_timestamp() IS TRUE
FROM followed LEFT JOIN leased USING (id)
"""


class _Parameter(Enum):
    HEAD = auto()
    NOW = auto()


# Stand for the head of the log and for the time of the lease (UTC) in the conditions of a lease, so
# that its statement is compiled once: compiling takes longer than running.
HEAD, NOW = Value(_Parameter.HEAD), Value(_Parameter.NOW)


class Leased(NamedTuple):
    """The result of one lease.

    ``behind`` has the leased subscribers, each with the number of events that it is behind, most
    first. ``slices`` has the numbers of the leased slices of those that are cut. ``all_taken`` is
    True if now every checkpoint belongs to a runner.
    """

    behind: dict[str, int]
    slices: dict[str, list[int]]
    all_taken: bool

    @property
    def numbers(self) -> list[int]:
        """The numbers of all leased slices."""
        return sorted({number for numbers in self.slices.values() for number in numbers})


class Share(NamedTuple):
    """The part of the slices that falls to one of ``of`` clusters of workers."""

    number: int
    of: int

    def numbers(self) -> list[int]:
        """Return the numbers of the slices in the share."""
        return list(range(self.number, log.COUNTS[-1], self.of))


WHOLE = Share(0, 1)


def lease(subscription: "Subscription", *, head: int, share: Share = WHOLE) -> Leased:
    """Lease all free checkpoints that aren't at ``head`` or have other work; one statement.

    Slices outside of ``share`` are left to other workers, unless a runner of theirs was lost. A
    checkpoint ahead of the log has lost its log: its runner must find that out.
    """
    names = tuple(subscription.names())
    if not names:
        return Leased({}, {}, all_taken=True)
    statement = _statement(subscription, names, share)
    values: dict[Any, Any] = {_Parameter.HEAD: head, _Parameter.NOW: datetime.now(UTC)}
    parameters = [values.get(parameter, parameter) for parameter in statement.parameters]
    records = prepared.fetch(statement.alias, statement.text, parameters)
    rows = list(map(_Row._make, records))
    leased = [row for row in rows if row.is_leased]
    leased.sort(key=lambda row: (row.position, names.index(row.name)))
    behind: dict[str, int] = {}
    slices: dict[str, list[int]] = {}
    for row in leased:
        behind.setdefault(row.name, head - row.position)
        if row.slice_count > 1:
            slices.setdefault(row.name, []).append(row.slice_number)
    return Leased(behind, slices, all(row.is_leased or row.is_taken for row in rows))


class _Row(NamedTuple):
    name: str
    position: int
    slice_number: int
    slice_count: int
    is_leased: bool
    is_taken: bool


class _Statement(NamedTuple):
    """A lease: the alias of its database, its text, and its parameters."""

    alias: str
    text: str
    parameters: Sequence[Any]


@cache
def _statement(subscription: "Subscription", _names: Sequence[str], share: Share) -> _Statement:
    """Return the lease of a subscription, whose parameters are the names of the subscribers too."""
    rows = subscription.checkpoints().order_by()
    free = rows.filter(Q(leased_until=None) | Q(leased_until__lt=Now()))
    with_work = free.filter(~Q(position=HEAD) | subscription.other_work())
    if share != WHOLE:
        is_lost = Q(leased_until__isnull=False)
        with_work = with_work.filter(is_lost | subscription.in_slices(share.numbers()))
    followed, followed_parameters = _compile(
        rows.values(
            "id",
            "name",
            "position",
            "leased_until",
            number=subscription.slice_number,
            count=subscription.slice_count,
        )
    )
    free_with_work, free_parameters = _compile(with_work.values("id"))
    text = _LEASE.format(
        table=rows.model._meta.db_table, followed=followed, free_with_work=free_with_work
    )
    seconds = LEASE.total_seconds()
    parameters = [*followed_parameters, seconds, seconds, *free_parameters]
    return _Statement(rows.db, text, parameters)


def _compile(rows: "QuerySet[Any]") -> tuple[str, tuple[Any, ...]]:
    statement, parameters = rows.query.sql_with_params()
    return statement, parameters
