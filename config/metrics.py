"""``/metrics``: figures for Prometheus, read from the databases at each request.

This process counts nothing itself: several processes answer, and each would know only its part.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from django.conf import settings
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
from config.money_metrics import money_metrics
from ordering_read import permissions
from ordering_read.engine.live import PROJECTIONS
from ordering_read.engine.status import ProjectionStatus, workers_seen
from ordering_write import archive, policies, subscriptions, webhooks
from ordering_write.models import CommandMetric
from ordering_write.subscriptions import SubscriberStatus, Subscription

# Compares with the clock of the database, which wrote these times.
_QUEUE = """
SELECT count(*), coalesce(extract(epoch FROM statement_timestamp() - min(lock)), 0)
FROM django_q_ormq WHERE lock <= statement_timestamp() AND key = %s
"""


class MetricsRenderer(BaseRenderer):
    """Declares the media type. The view writes the text."""

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
    """Reads all figures. The number of queries doesn't depend on the number of rows."""

    def collect(self) -> Iterable[Metric]:
        head = 0
        for subscription in subscriptions.registered():
            statuses = subscription.statuses()
            head = max([head, *(status.head for status in statuses)])
            yield from _subscribers(subscription, statuses)
            if subscription is PROJECTIONS:
                yield from _slices(statuses)
                yield _outdated(statuses)
                yield from _rebuilds(statuses)
        yield _appended(head)
        yield _timers()
        yield from _webhooks()
        if archived := archive.progress():
            yield _archived(archived)
            yield _detached(archived)
        yield _commands()
        yield from _queue()
        yield from money_metrics()
        yield GaugeMetricFamily(
            "orders_workers",
            "Clusters of workers with a recent heartbeat.",
            value=workers_seen(),
        )


def _appended(head: int) -> Metric:
    # Positions have no gaps, so the head is the number of events.
    return CounterMetricFamily("orders_events_appended", "Events in the log.", value=head)


def _archived(archived: archive.Progress) -> Metric:
    return GaugeMetricFamily(
        "orders_archived_position",
        "Position of the last event in the archive.",
        value=archived.position,
    )


def _detached(archived: archive.Progress) -> Metric:
    return GaugeMetricFamily(
        "orders_detached_position",
        "Position up to which events may have left the database for the archive.",
        value=archived.detached,
    )


def _subscribers(
    subscription: Subscription, statuses: Sequence[SubscriberStatus]
) -> Iterable[Metric]:
    figures: list[tuple[str, str, Callable[[SubscriberStatus], float]]] = [
        (
            "position",
            "Position of the last applied event; its rate is the number of events applied.",
            lambda status: status.position,
        ),
        ("head", "Position of the newest committed event.", lambda status: status.head),
        (
            "lag_events",
            "Committed events that aren't applied.",
            lambda status: status.lag_events,
        ),
        (
            "lag_seconds",
            "Age of the oldest committed event that isn't applied, or time since the failure.",
            lambda status: status.lag_seconds,
        ),
        ("failed", "1 while the subscriber can't continue, else 0.", lambda status: status.failed),
        (
            "parked_streams",
            "Streams that wait for an event which can't be applied.",
            lambda status: status.parked_streams,
        ),
        (
            "last_batch_seconds",
            "Duration of the last batch.",
            lambda status: status.last_batch_seconds,
        ),
    ]
    for name, documentation, figure in figures:
        values = {status.name: figure(status) for status in statuses}
        yield _gauge(subscription, name, documentation, values)
    labels = [subscription.metric_label] if subscription.metric_label else []
    batches = SummaryMetricFamily(
        f"{subscription.metric_prefix}_batch_seconds",
        "Durations of the applied batches.",
        labels=labels,
    )
    for status in statuses:
        batches.add_metric(
            [status.name] if labels else [],
            count_value=status.batches,
            sum_value=status.batch_seconds,
        )
    yield batches


def _slices(statuses: Sequence[SubscriberStatus]) -> Iterable[Metric]:
    """Return the progress of each slice of the projections that are cut."""
    labels = [PROJECTIONS.metric_label, "slice"]
    position = GaugeMetricFamily(
        "orders_projection_slice_position",
        "Position of the last event that the slice has passed.",
        labels=labels,
    )
    lag = GaugeMetricFamily(
        "orders_projection_slice_lag_seconds",
        "Age of the oldest event that the slice hasn't passed, or time since the failure.",
        labels=labels,
    )
    cut = [status for status in statuses if isinstance(status, ProjectionStatus)]
    for status in cut:
        for number, part in enumerate(status.slices):
            position.add_metric([status.name, str(number)], part.position)
            lag.add_metric([status.name, str(number)], part.lag_seconds)
    return position, lag


def _outdated(statuses: Sequence[SubscriberStatus]) -> Metric:
    return _gauge(
        PROJECTIONS,
        "outdated",
        "1 while other code has made the rows that are served, else 0.",
        {
            status.name: status.is_outdated
            for status in statuses
            if isinstance(status, ProjectionStatus)
        },
    )


def _rebuilds(statuses: Sequence[SubscriberStatus]) -> Iterable[Metric]:
    running = {
        status.name: status.rebuild
        for status in statuses
        if isinstance(status, ProjectionStatus) and status.rebuild
    }
    yield _gauge(
        PROJECTIONS,
        "rebuild_events_done",
        "Events that the running rebuild has applied.",
        {name: rebuild.events_done for name, rebuild in running.items()},
    )
    yield _gauge(
        PROJECTIONS,
        "rebuild_events_total",
        "Events that the running rebuild must apply.",
        {name: rebuild.events_total for name, rebuild in running.items()},
    )
    yield _gauge(
        PROJECTIONS,
        "rebuild_events_per_second",
        "Events that the running rebuild applies in a second.",
        {name: rebuild.events_per_second for name, rebuild in running.items()},
    )


def _gauge(
    subscription: Subscription, name: str, documentation: str, values: Mapping[str, float]
) -> Metric:
    labels = [subscription.metric_label] if subscription.metric_label else []
    family = GaugeMetricFamily(f"{subscription.metric_prefix}_{name}", documentation, labels=labels)
    for subscriber, value in values.items():
        family.add_metric([subscriber] if labels else [], value)
    return family


def _timers() -> Metric:
    timers = GaugeMetricFamily(
        "orders_policy_timers",
        "Timers of the policies: waiting for their time, due, failing, parked.",
        labels=["policy", "state"],
    )
    for status in policies.policy_statuses():
        timers.add_metric([status.name, "waiting"], status.waiting)
        timers.add_metric([status.name, "due"], status.due)
        timers.add_metric([status.name, "failing"], status.failing)
        timers.add_metric([status.name, "parked"], status.parked)
    return timers


def _webhooks() -> Iterable[Metric]:
    deliveries = GaugeMetricFamily(
        "orders_webhook_deliveries",
        "Deliveries to webhook endpoints: waiting for a try, parked.",
        labels=["endpoint", "state"],
    )
    failures = GaugeMetricFamily(
        "orders_webhook_failures",
        "Failed tries of an endpoint since its last success.",
        labels=["endpoint"],
    )
    disabled = GaugeMetricFamily(
        "orders_webhook_disabled",
        "1 while an endpoint is disabled, else 0.",
        labels=["endpoint"],
    )
    for endpoint in webhooks.endpoints.with_counts():
        deliveries.add_metric([endpoint.name, "waiting"], endpoint.waiting)
        deliveries.add_metric([endpoint.name, "parked"], endpoint.parked)
        failures.add_metric([endpoint.name], endpoint.failures)
        disabled.add_metric([endpoint.name], not endpoint.is_enabled)
    yield from (deliveries, failures, disabled)


def _commands() -> Metric:
    family = SummaryMetricFamily(
        "orders_command_seconds",
        "Durations of commands by outcome; reason is the error, if any.",
        labels=["type", "outcome", "reason"],
    )
    for row in CommandMetric.objects.all():
        labels = [row.type, row.outcome, row.reason]
        family.add_metric(labels, count_value=row.count, sum_value=row.seconds)
    return family


def _queue() -> Iterable[Metric]:
    with connection.cursor() as cursor:
        cursor.execute(_QUEUE, [settings.Q_CLUSTER["name"]])
        waiting, seconds = cursor.fetchone()
    yield GaugeMetricFamily("orders_queue_tasks", "Tasks that wait for a worker.", value=waiting)
    yield GaugeMetricFamily(
        "orders_queue_oldest_seconds",
        "For how long the oldest waiting task has waited; 0 if no task waits.",
        value=float(seconds),
    )
