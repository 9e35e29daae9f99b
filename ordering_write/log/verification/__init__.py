"""Verifies that no event was changed, removed or reordered, and that all rows follow from events.

The hash chain shows changes that were made behind the back of the trigger; dense versions and
positions show removals; folding each stream again gives the rows of its aggregate, and the amounts
of its events must add up. A log that was cut off together with its rows, such as an older backup,
looks sound here: see ``reading.fingerprint``.
"""

from collections.abc import Callable, Iterator

from config.processes import run_in_children
from ordering_write.domain.events import DomainEvent
from ordering_write.log import replay
from ordering_write.log.verification import positions, rows, streams
from ordering_write.log.verification.finding import Finding
from ordering_write.models import Order, OutboxEvent

__all__ = ["Finding", "NoSuchStreamError", "verify"]

# Several slices for each process: the streams of one may have longer histories.
_SLICES_OF_PROCESS = 8


class NoSuchStreamError(Exception):
    """The log has no stream of this name."""


def verify(
    *, stream: str | None = None, processes: int = 1, progress: Callable[[int], object]
) -> Iterator[Finding]:
    """Yield all faults of the log and of the rows of the write side, or those of one stream.

    ``progress`` is called with the number of events of each page; with several ``processes``, which
    check the streams, of each slice. Commands may run meanwhile: the rows of an aggregate are
    compared in the snapshot in which its last event was read. Don't call it in a transaction.
    Raises NoSuchStreamError and ChildLostError.
    """
    if stream is None:
        yield from positions.check()
        yield from rows.find_rows_without_events()
        yield from rows.compare_reservations()
    elif not OutboxEvent.objects.filter(stream=stream).exists():
        raise NoSuchStreamError(f"The log has no stream {stream}.")
    elif stream.startswith(f"{Order.stream_prefix}-"):
        yield from rows.compare_reservations(stream)
    if stream is not None or processes == 1:
        yield from streams.check(progress, only=stream)
        return
    for events, findings in run_in_children(_check_slice, _slices(processes), count=processes):
        progress(events)
        yield from findings


def _slices(processes: int) -> list[tuple[str, str | None]]:
    """Return the stream before each slice and its last stream; the last slice has no end."""
    *ends, _ = replay.slices([DomainEvent], of=processes * _SLICES_OF_PROCESS) or [""]
    return list(zip(["", *ends], [*ends, None], strict=True))


def _check_slice(bounds: tuple[str, str | None]) -> tuple[int, list[Finding]]:
    """Return the number of events between two streams, and their faults."""
    events = 0

    def progress(count: int) -> None:
        nonlocal events
        events += count

    findings = list(streams.check(progress, after=bounds[0], last=bounds[1]))
    return events, findings
