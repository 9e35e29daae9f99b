"""The tables of the read side: the read models, and the checkpoints of their projections."""

from ordering_read.models.base import ReadModel, ReadModelWrittenError
from ordering_read.models.projection import Projection, Worker

__all__ = [
    "Projection",
    "ReadModel",
    "ReadModelWrittenError",
    "Worker",
]
