"""The query for the state of all parts that work behind the pages, and its course.

Its cost depends neither on the log nor on the tables: it reads checkpoints, the ring of samples,
the next timers, and the last alarms.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.db.models import Count, Min, Q, Value
from django.db.models.functions import Now
from django_q.models import OrmQ

from ordering_read.engine import status
from ordering_read.engine.live import PROJECTIONS
from ordering_read.engine.status import ProjectionStatus, RebuildProgress, WorkerStatus
from ordering_read.models import Projection
from ordering_read.queries.base import Query, QueryHandler, handles
from ordering_write.published import alarm, archive, policies, samples, subscriptions

# The columns of a checkpoint that its status is made of.
_MEASURED = (
    "pk",
    "name",
    "position",
    "error",
    "updated_at",
    "batches",
    "batch_seconds",
    "last_batch_seconds",
    "parked_streams",
)
# The part of the past that charts show.
WINDOW = timedelta(seconds=samples.SECONDS * samples.SLOTS)
# Samples further apart don't belong together: no worker was running between them. The brokers of
# django-q2 take one a minute.
_LONGEST_GAP = timedelta(seconds=90)
_ALARMS = 10
# The most tasks of the queue that are counted.
_TASKS = 1_000

_Status = Projection.Status
# The field ``policies`` hides the module.
_GivenUp = policies.given_up.Count


class Point(NamedTuple):
    """A value at a time, in seconds after the beginning of the window.

    ``is_first`` says that nothing is known about the time before.
    """

    at: float
    value: float
    is_first: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """The last minutes of a subscriber: its lag in seconds, the events that it applied a second,
    and the milliseconds that a batch took."""

    lag: Sequence[Point] = ()
    rate: Sequence[Point] = ()
    batch: Sequence[Point] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationView:
    """A generation of a projection beside the live one; ``progress`` is that of a rebuild.

    A rebuild that is neither running nor paused was killed, or ``is_ready``: it is complete and
    waits for somebody to let it take over.
    """

    generation: int
    status: str
    retired_at: datetime | None
    progress: RebuildProgress
    is_running: bool
    is_paused: bool
    is_ready: bool
    result: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectionState:
    """A projection: its progress, its other generations, and the result of its last comparison."""

    status: ProjectionStatus
    course: Course
    others: Sequence[GenerationView]
    verified_at: datetime | None
    wrong_rows: int | None
    verification: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriberState:
    """A subscriber that is no projection, such as the policies."""

    subscription: str
    status: subscriptions.SubscriberStatus
    course: Course


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueState:
    """The tasks in the queue, and since when the oldest waits (UTC)."""

    waiting: int
    running: int
    oldest: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmState:
    """A report to the administrators, and the fate of its mail."""

    raised_at: datetime
    subject: str
    text: str
    is_error: bool
    recipients: int
    mailed_at: datetime | None
    mail_error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemView:
    """The state of all parts at one time (UTC), and the last alarms, the newest first."""

    at: datetime
    workers: Sequence[WorkerStatus]
    projections: Sequence[ProjectionState]
    subscribers: Sequence[SubscriberState]
    policies: Sequence[policies.PolicyStatus]
    queue: QueueState
    alarms: Sequence[AlarmState]
    given_up: _GivenUp
    archive: archive.Progress | None


class GetSystem(Query[SystemView]):
    """Get the state of all parts."""


@handles(GetSystem)
class GetSystemHandler(QueryHandler[GetSystem, SystemView]):
    """Reads eight statements, whatever the number of subscriptions.

    With an archive of the log, one more.
    """

    def handle(self, query: GetSystem) -> SystemView:
        now = datetime.now(UTC)
        checkpoints = _other_checkpoints()
        measured = status.measured_generations([row for _, row in checkpoints])
        courses = _courses(now)
        return SystemView(
            at=now,
            workers=status.workers(),
            projections=[
                _projection(state, measured.generations, courses) for state in measured.statuses
            ],
            subscribers=[
                SubscriberState(
                    subscription=subscription.name,
                    status=state,
                    course=courses(samples.key(subscription, state.name)),
                )
                for (subscription, _), state in zip(checkpoints, measured.others, strict=True)
            ],
            policies=policies.upcoming(),
            queue=_queue(),
            alarms=[
                AlarmState(**{name: getattr(row, name) for name in AlarmState.__slots__})
                for row in alarm.last(_ALARMS)
            ],
            given_up=measured.given_up,
            archive=archive.progress(),
        )


def _other_checkpoints() -> list[tuple[subscriptions.Subscription, Any]]:
    """Return the checkpoints of the other subscriptions by name; one statement."""
    others = {
        subscription.name: subscription
        for subscription in subscriptions.registered()
        if subscription is not PROJECTIONS
    }
    first, *rest = (
        subscription.served()
        .order_by()
        .annotate(subscription=Value(name), failing=subscriptions.FAILING)
        .values_list("subscription", *_MEASURED, "failing", named=True)
        for name, subscription in others.items()
    )
    rows = first.union(*rest, all=True) if rest else first
    order = list(others)
    found = sorted(rows, key=lambda row: (order.index(row.subscription), row.name))
    return [(others[row.subscription], row) for row in found]


def _projection(
    state: ProjectionStatus, generations: Sequence[Projection], courses: Callable[[str], Course]
) -> ProjectionState:
    of_projection = [row for row in generations if row.name == state.name]
    [live] = [row for row in of_projection if row.status == _Status.LIVE]
    return ProjectionState(
        status=state,
        course=courses(samples.key(PROJECTIONS, state.name)),
        others=[_generation(row) for row in of_projection if row is not live],
        verified_at=live.verified_at,
        wrong_rows=live.wrong_rows,
        verification=live.verification,
    )


def _generation(row: Projection) -> GenerationView:
    progress = status.rebuild_progress(row)
    is_running = status.is_rebuilding(row)
    is_filled = row.position > 0 and progress.events_done >= progress.events_total
    is_silent = row.status == _Status.BUILDING and not is_running
    return GenerationView(
        generation=row.generation,
        status=row.status,
        retired_at=row.retired_at,
        progress=progress,
        is_running=is_running,
        is_paused=row.rebuild_request == Projection.RebuildRequest.PAUSE,
        is_ready=is_silent and is_filled,
        result=row.verification,
    )


def _queue() -> QueueState:
    queue = OrmQ.objects.filter(key=settings.Q_CLUSTER["name"]).order_by("pk")
    tasks = OrmQ.objects.filter(pk__in=queue.values("pk")[:_TASKS])
    is_waiting = Q(lock__lte=Now())
    counts = tasks.aggregate(
        waiting=Count("pk", filter=is_waiting),
        running=Count("pk", filter=~is_waiting),
        oldest=Min("lock", filter=is_waiting),
    )
    return QueueState(**counts)


# --- Courses -----------------------------------------------------------------------------------
def _courses(now: datetime) -> Callable[[str], Course]:
    """Return a function that returns the course of a subscriber by its key."""
    begin = now - WINDOW
    recent = samples.recent(since=begin)

    def course(key: str) -> Course:
        points: Mapping[str, list[Point]] = {"lag": [], "rate": [], "batch": []}
        last: tuple[datetime, samples.Figures] | None = None
        for sample in recent:
            if (figures := sample.figures.get(key)) is None:
                continue
            at = (sample.taken_at - begin).total_seconds()
            is_first = last is None or sample.taken_at - last[0] > _LONGEST_GAP
            points["lag"].append(Point(at, figures.lag_seconds, is_first))
            if last and not is_first:
                starts = len(points["rate"]) == 0 or points["lag"][-2].is_first
                seconds = (sample.taken_at - last[0]).total_seconds()
                rate, batch = _between(last[1], figures, seconds)
                points["rate"].append(Point(at, rate, starts))
                points["batch"].append(Point(at, batch, starts))
            last = sample.taken_at, figures
        return Course(**points)

    return course


def _between(
    before: samples.Figures, after: samples.Figures, seconds: float
) -> tuple[float, float]:
    """Return the events a second and the milliseconds of a batch between two samples.

    Another generation, which begins to count anew, may have become live between them.
    """
    batches = after.batches - before.batches
    batch_seconds = after.batch_seconds - before.batch_seconds
    rate = max(0.0, (after.position - before.position) / seconds)
    return rate, max(0.0, 1000 * batch_seconds / batches) if batches > 0 else 0.0
