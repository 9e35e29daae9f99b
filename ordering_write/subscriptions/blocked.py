"""The streams of one batch that are blocked: by a parked event, or by an event that fails now."""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from django.db.models.functions import Now

from ordering_write.domain.events import DomainEvent
from ordering_write.subscriptions.checkpoint import ParkedEvent
from ordering_write.subscriptions.subscriber import Subscriber


class TooManyParkedError(Exception):
    """So many streams can't be applied that the code must be wrong, not the events."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An event that can't be applied, and the reason."""

    event: DomainEvent
    category: ParkedEvent.Category
    message: str
    traceback: str = ""

    def __str__(self) -> str:
        envelope = self.event.recorded
        return (
            f"{self.event.type} {envelope.event_id} ({envelope.stream}, version "
            f"{envelope.version}): {self.message}"
        )


class BlockedStreams:
    """Decides which events of a batch must not be applied now.

    ``streams`` are blocked by events that were parked before; ``capacity`` is the number of
    streams that may become blocked in addition.
    """

    def __init__(
        self, subscriber: Subscriber, streams: Collection[str] = (), *, capacity: int
    ) -> None:
        self._find_skip = subscriber.find_skip
        self._streams = streams
        self._capacity = capacity
        # Failures by the stream that they block.
        self.failures: dict[str, Failure] = {}
        # Failing events that were skipped before, with the row of the skip: they block no stream.
        self._skips: dict[UUID, tuple[Failure, ParkedEvent]] = {}

    def add(self, failure: Failure) -> None:
        """Block the stream of an event that fails, unless the event was skipped before.

        Raises TooManyParkedError.
        """
        skip = self._find_skip(failure.event)
        if skip is not None:
            self._skips[failure.event.recorded.event_id] = failure, skip
            return
        self.failures[failure.event.recorded.stream] = failure
        if len(self.failures) > self._capacity:
            raise TooManyParkedError(
                "More streams are blocked than may be parked, so that the code must be wrong "
                f"rather than the events; the last stream is blocked by {failure}. Correct the "
                "code and retry the parked events."
            )

    def blocks(self, event: DomainEvent) -> bool:
        """Return True if ``event`` fails, was skipped, or waits behind an event that fails."""
        if not (self._streams or self._skips or self.failures):
            return False
        envelope = event.recorded
        if envelope.stream in self._streams or envelope.event_id in self._skips:
            return True
        failure = self.failures.get(envelope.stream)
        return failure is not None and envelope.version >= failure.event.recorded.version

    def describe(self, row: ParkedEvent) -> bool:
        """Copy the failure or skip of an event to its ``row``; return False if there is neither."""
        failure = self.failures.get(row.stream)
        if row.event_id in self._skips:
            failure, skip = self._skips[row.event_id]
            row.skipped_at, row.skipped_by = skip.skipped_at, skip.skipped_by
            row.skip_reason = skip.skip_reason
        elif failure is None or failure.event.recorded.event_id != row.event_id:
            return False
        row.category, row.message = failure.category, failure.message
        row.traceback = failure.traceback
        row.tries, row.tried_at = row.tries + 1, Now()
        return True
