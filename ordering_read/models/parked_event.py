"""The events that projections couldn't apply."""

from django.db import models
from django.db.models import Q

from ordering_read.models.projection import Projection
from ordering_write import published


class ParkedEvent(published.ParkedEvent):
    """An event that one generation of a projection lacks; deleted with that generation."""

    checkpoint = models.ForeignKey(
        Projection,
        on_delete=models.CASCADE,
        related_name="parked_events",
        verbose_name="projection",
    )

    class Meta:
        db_table = "parked_event"
        default_permissions = ()
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["checkpoint", "event_id"], name="parked_event_once_for_each_projection"
            )
        ]
        indexes = [
            models.Index(
                fields=["checkpoint", "stream", "version"],
                condition=Q(skipped_at=None),
                name="parked_event_waiting",
            )
        ]


def parked_by(generation: Projection) -> "models.QuerySet[ParkedEvent]":
    """Return the events that ``generation`` has parked or skipped, in all its slices."""
    pk = generation.owner_pk
    return ParkedEvent.objects.filter(Q(checkpoint=pk) | Q(checkpoint__owner=pk))
