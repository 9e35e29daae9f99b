"""The task of django-q2 that projects one event."""

from uuid import UUID

from tests.benchmarks.peers.shop.models import Projected


def project(order_id: UUID, number: int) -> None:
    """Write the row of one event."""
    Projected.objects.create(order_id=order_id, number=number)
