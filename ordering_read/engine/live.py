"""The projections as a subscription: the generations that runners keep up to date."""

from collections.abc import Callable, Sequence

from django.conf import settings
from django.db.models import F, Min, Q, QuerySet

from ordering_read.engine import status
from ordering_read.engine.fingerprint import code_fingerprint
from ordering_read.engine.table_diff import natural_key
from ordering_read.models import ParkedEvent, Projection, StoredResponse
from ordering_read.projector import Projector, projector, registered, writing
from ordering_write import published
from ordering_write.published import DomainEvent, subscriptions

_Status = Projection.Status
_Source = Projection.FillSource


class ProjectionSubscription(subscriptions.Subscription):
    """All projections; runners move their live generations and the retired ones that are kept."""

    name = "projections"
    noun = "projection"
    checkpoint_model = Projection
    parked_event_model = ParkedEvent
    metric_prefix = "orders_projection"
    metric_label = "projection"
    serves_requests = True
    idle_wait = 0.2
    is_of_site = True
    slice_number = F("slice_number")
    slice_count = F("slice_count")

    def names(self) -> Sequence[str]:
        return list(registered())

    def checkpoints(self) -> "QuerySet[Projection]":
        # Only its rebuild moves a building generation, and each rebuild tries parked events again.
        # Only live and retired generations have further slices.
        followed = [_Status.LIVE, _Status.RETIRED, _Status.SLICE]
        return super().checkpoints().filter(status__in=followed)

    def served(self) -> "QuerySet[Projection]":
        return self.checkpoints().filter(status=_Status.LIVE)

    def passed(self) -> int | None:
        # A rebuild or a verification that reads the log can't go on in the archive.
        reading = [_Status.BUILDING, _Status.SHADOW]
        readers = Projection.objects.filter(status__in=reading, fill_source=_Source.LOG)
        lowest = readers.aggregate(position=Min("position"))["position"]
        passed = super().passed()
        return passed if lowest is None or passed is None else min(passed, lowest)

    def in_slices(self, numbers: Sequence[int]) -> Q:
        return Q(slice_count=1) | Q(slice_number__in=numbers)

    @property
    def source(self) -> published.LogSource:
        return published.site_source()

    def subscriber(self, checkpoint: Projection) -> published.Subscriber:
        return subscriber(projector(checkpoint.name))

    def statuses(self) -> Sequence[status.ProjectionStatus]:
        return status.statuses()

    def require(self, *names: str) -> None:
        """Raise UnknownProjectionError if a projection doesn't exist."""
        for name in names:
            projector(name)

    def new_checkpoint(self, name: str) -> Projection:
        return Projection(
            name=name,
            version=projector(name).version,
            code_fingerprint=code_fingerprint(name),
            status=_Status.LIVE,
        )


PROJECTIONS = ProjectionSubscription()
run = PROJECTIONS.run


def reads_this_log(generation: Projection) -> bool:
    """Return True if the log of this site has the last applied event of ``generation``."""
    return published.reads_this_log(generation, published.site_source())


def subscriber(projector: Projector, *, filling: bool = False) -> published.Subscriber:
    """Return the subscriber of one generation of ``projector``; ``filling`` as in ``writing``."""

    def wants(event: DomainEvent) -> bool:
        if isinstance(event, published.UndecodableEvent):
            event_type = DomainEvent.types.get(event.type)
            return event_type is None or issubclass(event_type, projector.events)
        return isinstance(event, projector.events)

    def apply(generation: Projection, events: Sequence[DomainEvent]) -> None:
        # The checkpoint moves in the transaction of the rows.
        with writing(once=True, filling=filling):
            projector.apply(events, generation.owner_pk)

    def reapply(
        generation: Projection, streams: Sequence[str], read: Callable[[], Sequence[DomainEvent]]
    ) -> None:
        # The response to a retry may quote the error of an event, and the error a personal text.
        StoredResponse.objects.filter(response__stream__in=streams).delete()
        aggregate_ids = [stream.partition("-")[2] for stream in streams]
        has_rows = False
        with writing():
            for model in projector.models:
                # The first column of the key is the same in all rows of a stream.
                column = natural_key(model)[0]
                name = next(f.name for f in model._meta.concrete_fields if f.column == column)
                condition = {"projection_id": generation.owner_pk, f"{name}__in": aggregate_ids}
                deleted, _ = model._default_manager.filter(**condition).delete()
                has_rows = has_rows or deleted > 0
            # Streams without rows were never applied, or belong to other projections.
            if has_rows:
                projector.apply(read(), generation.owner_pk)

    def find_skip(event: DomainEvent) -> ParkedEvent | None:
        # The skip may belong to another generation, whose rows lack the event too.
        rows = ParkedEvent.objects.filter(checkpoint__name=projector.name, skipped_at__isnull=False)
        return rows.filter(event_id=event.recorded.event_id).first()

    return published.Subscriber(
        wants=wants,
        apply=apply,
        max_parked=settings.PROJECTION_MAX_PARKED_STREAMS,
        find_skip=find_skip,
        # Rows that mix streams hold no personal data, so erasures don't concern them.
        reapply=reapply if projector.sliced_by == "stream" else None,
        source=published.site_source(),
    )
