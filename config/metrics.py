"""``/metrics``: figures for Prometheus, read from the databases when they are asked for.

Nothing is counted in this process: several of them answer, and each would know a part.
"""

from collections.abc import Iterable, Sequence

from django.db import connection
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from config.http.input.query import Parameters, parse_query
from config.http.views import ApiView
from ordering_read import permissions
from ordering_read.engine import status
from ordering_read.engine.status import ProjectionStatus
from ordering_write import policies
from ordering_write.models import CommandTally

# By the database's clock, which those times are from.
_QUEUE = """
SELECT count(*), coalesce(extract(epoch FROM statement_timestamp() - min(lock)), 0)
FROM django_q_ormq WHERE lock <= statement_timestamp()
"""


class MetricsRenderer(BaseRenderer):
    """Names the format; the view writes it."""

    media_type = "text/plain"
    format = "txt"


class MetricsView(ApiView):
    """``/metrics``, for the holders of ``view_metrics``."""

    needed_permission = permissions.VIEW_METRICS
    renderer_classes = [MetricsRenderer]
    http_method_names = ["get", "head"]

    @extend_schema(exclude=True)
    def get(self, request: Request) -> HttpResponse:
        parse_query(request, Parameters)
        figures = generate_latest(DatabaseCollector())
        headers = {"Cache-Control": "no-store"}
        return HttpResponse(figures, content_type=CONTENT_TYPE_PLAIN_0_0_4, headers=headers)


class DatabaseCollector(Collector):
    """Reads all figures, by a number of queries that doesn't depend on what there is."""

    def collect(self) -> Iterable[Metric]:
        projections = status.statuses()
        yield _appended(projections)
        yield from _positions(projections)
        yield _batches(projections)
        yield from _rebuilds(projections)
        yield from _policies()
        yield _commands()
        yield from _queue()
        yield GaugeMetricFamily(
            "orders_workers",
            "Clusters of workers that have given a sign of life lately.",
            value=status.workers_seen(),
        )


def _appended(projections: Sequence[ProjectionStatus]) -> Metric:
    # Positions have no holes, so that the last one is the number of events.
    head = max((one.head for one in projections), default=0)
    return CounterMetricFamily("orders_events_appended", "Events in the log.", value=head)


def _positions(projections: Sequence[ProjectionStatus]) -> Iterable[Metric]:
    yield _per_projection(
        "position",
        "Last event of the log that was applied; its rate is that of the events applied.",
        {one.name: one.position for one in projections},
    )
    yield _per_projection(
        "head",
        "Newest committed event of the log.",
        {one.name: one.head for one in projections},
    )
    yield _per_projection(
        "lag_events",
        "Committed events that aren't applied.",
        {one.name: one.lag_events for one in projections},
    )
    yield _per_projection(
        "lag_seconds",
        "Age of the oldest committed event that isn't applied, or for how long it can't go on.",
        {one.name: one.lag_seconds for one in projections},
    )
    yield _per_projection(
        "failed",
        "1 while it can't go on, else 0.",
        {one.name: int(one.failed) for one in projections},
    )
    yield _per_projection(
        "parked_streams",
        "Streams that wait for an event which can't be applied.",
        {one.name: one.parked_streams for one in projections},
    )
    yield _per_projection(
        "last_batch_seconds",
        "How long the last batch took.",
        {one.name: one.last_batch_seconds for one in projections},
    )


def _batches(projections: Sequence[ProjectionStatus]) -> Metric:
    family = SummaryMetricFamily(
        "orders_projection_batch_seconds",
        "How long the batches took that made the live rows.",
        labels=["projection"],
    )
    for one in projections:
        family.add_metric([one.name], count_value=one.batches, sum_value=one.batch_seconds)
    return family


def _rebuilds(projections: Sequence[ProjectionStatus]) -> Iterable[Metric]:
    at_work = {one.name: one.rebuild for one in projections if one.rebuild}
    yield _per_projection(
        "rebuild_events_done",
        "Events that the rebuild at work has applied.",
        {name: rebuild.events_done for name, rebuild in at_work.items()},
    )
    yield _per_projection(
        "rebuild_events_total",
        "Events that the rebuild at work must apply.",
        {name: rebuild.events_total for name, rebuild in at_work.items()},
    )
    yield _per_projection(
        "rebuild_events_per_second",
        "Events that the rebuild at work applies in a second.",
        {name: rebuild.events_per_second for name, rebuild in at_work.items()},
    )


def _per_projection(name: str, documentation: str, values: dict[str, float]) -> Metric:
    family = GaugeMetricFamily(f"orders_projection_{name}", documentation, labels=["projection"])
    for projection, value in values.items():
        family.add_metric([projection], value)
    return family


def _policies() -> Iterable[Metric]:
    status = policies.status()
    yield GaugeMetricFamily(
        "orders_policies_lag_events",
        "Committed events that the policies haven't looked at.",
        value=status.lag_events,
    )
    yield GaugeMetricFamily(
        "orders_policies_lag_seconds",
        "Age of the oldest committed event that the policies haven't looked at.",
        value=status.lag_seconds,
    )
    yield GaugeMetricFamily(
        "orders_policies_failed", "1 while they can't go on, else 0.", value=int(bool(status.error))
    )
    yield GaugeMetricFamily(
        "orders_policies_parked_streams",
        "Streams that wait for an event which a policy can't look at.",
        value=status.parked_streams,
    )
    timers = GaugeMetricFamily(
        "orders_policy_timers",
        "What the policies have yet to do: waiting for its time, due, failing, parked.",
        labels=["policy", "state"],
    )
    for one in status.policies:
        timers.add_metric([one.name, "waiting"], one.waiting)
        timers.add_metric([one.name, "due"], one.due)
        timers.add_metric([one.name, "failing"], one.failing)
        timers.add_metric([one.name, "parked"], one.parked)
    yield timers


def _commands() -> Metric:
    family = SummaryMetricFamily(
        "orders_command_seconds",
        "Commands by how they ended, and how long they took; reason is the error, if any.",
        labels=["type", "outcome", "reason"],
    )
    for row in CommandTally.objects.all():
        labels = [row.type, row.outcome, row.reason]
        family.add_metric(labels, count_value=row.count, sum_value=row.seconds)
    return family


def _queue() -> Iterable[Metric]:
    with connection.cursor() as cursor:
        cursor.execute(_QUEUE)
        waiting, seconds = cursor.fetchone()
    yield GaugeMetricFamily("orders_queue_tasks", "Tasks that wait for a worker.", value=waiting)
    yield GaugeMetricFamily(
        "orders_queue_oldest_seconds",
        "For how long the oldest of them has waited; 0 when there is none.",
        value=float(seconds),
    )
