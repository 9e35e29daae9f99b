"""Reads the log for subscribers, and notices a log that was replaced."""

from typing import cast
from uuid import UUID

from ordering_write import log
from ordering_write.domain.events import DomainEvent
from ordering_write.subscriptions.checkpoint import Checkpoint


class LogReplacedError(Exception):
    """The log isn't the one that a subscriber has read."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__(
            f"{checkpoint}: the log isn't the one that was read before, because the event "
            f"{checkpoint.event_id} isn't at position {checkpoint.position}. The log was restored "
            "from a backup or replaced, so that the effects of its events may be wrong: rebuild."
        )


class LogReader:
    """Reads and decodes each batch once for all subscribers at one position."""

    def __init__(self) -> None:
        # By position, the identity of the log and the id of the event there; one entry at most.
        self._fingerprints: dict[int, tuple[UUID, UUID | None]] = {}
        self._range: tuple[int, int] | None = None
        self._events: list[DomainEvent] = []
        # True if the next read sees all events that were committed before ``sequence``.
        self.is_complete = False

    def sequence(self) -> None:
        """Give positions to committed events; call it before the transaction of the batch.

        A batch that is rolled back must not take back positions that others have read, and the
        lock of the sequencer must not last as long as a batch.
        """
        self.is_complete = log.sequence()

    def fingerprint(self, position: int) -> tuple[UUID, UUID | None]:
        """Return ``log.fingerprint(position)``, from memory where possible."""
        if position not in self._fingerprints:
            self._fingerprints = {position: log.fingerprint(position)}
        return self._fingerprints[position]

    def read(self, after: int, limit: int) -> list[DomainEvent]:
        """Return about ``limit`` events after a position, as ``log.read_log`` does."""
        # An empty batch isn't reused: there may be events by now.
        if self._range != (after, limit) or not self._events:
            self._events = log.read_log(after, limit)
            self._range = after, limit
            if self._events:
                # These events belong to the log whose fingerprint was taken before.
                last = self._events[-1].recorded
                self._fingerprints = {
                    cast(int, last.position): (identity, last.event_id)
                    for identity, _event_id in self._fingerprints.values()
                }
        return self._events


def reads_this_log(checkpoint: Checkpoint, reader: LogReader | None = None) -> bool:
    """Return True if the log has the last applied event at the position of ``checkpoint``."""
    if checkpoint.event_id is None:
        return True
    applied = (checkpoint.log_id, checkpoint.event_id)
    return applied == (reader or log).fingerprint(checkpoint.position)
