"""Verifies that no event was changed, removed or reordered, and that all rows follow from events.

The hash chain shows changes that were made behind the back of the trigger; dense versions and
positions show removals; folding each stream again gives the rows of its aggregate, and the amounts
of its events must add up. A log that was cut off together with its rows, such as an older backup,
looks sound here: see ``reading.fingerprint``.
"""

from collections.abc import Callable, Iterator

from ordering_write.log.verification import positions, rows, streams
from ordering_write.log.verification.finding import Finding
from ordering_write.models import Order, OutboxEvent

__all__ = ["Finding", "NoSuchStreamError", "verify"]


class NoSuchStreamError(Exception):
    """The log has no stream of this name."""


def verify(*, stream: str | None = None, progress: Callable[[int], object]) -> Iterator[Finding]:
    """Yield all faults of the log and of the rows of the write side, or those of one stream.

    ``progress`` is called with the number of events of each page. Commands may run meanwhile: the
    rows of an aggregate are compared in the snapshot in which its last event was read. Don't call
    it in a transaction. Raises NoSuchStreamError.
    """
    if stream is None:
        yield from positions.check()
        yield from rows.find_rows_without_events()
        yield from rows.compare_reservations()
    elif not OutboxEvent.objects.filter(stream=stream).exists():
        raise NoSuchStreamError(f"The log has no stream {stream}.")
    elif stream.startswith(f"{Order.stream_prefix}-"):
        yield from rows.compare_reservations(stream)
    yield from streams.check(stream, progress)
