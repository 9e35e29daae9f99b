"""Reads the log for subscribers, and notices a log that was replaced."""

from uuid import UUID

from ordering_write import log
from ordering_write.log import PRIMARY, LogSource
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
    """Reads ``source``, each batch once for all subscribers at one position, of one slice."""

    def __init__(self, source: LogSource = PRIMARY) -> None:
        self.source = source
        # A position, the identity of the log and the id of the event there.
        self._fingerprint: tuple[int, UUID, UUID | None] | None = None
        self._range: tuple[int, int, log.Slice] | None = None
        self._batch: log.LogBatch | None = None
        # True if the next read sees all events that were committed before ``sequence``.
        self.is_complete = False

    def sequence(self) -> None:
        """Give positions to committed events; call it before the transaction of the batch.

        A batch that is rolled back must not take back positions that others have read, and the
        lock of the sequencer must not last as long as a batch.
        """
        self.is_complete = self.source.sequence()

    def fingerprint(self, position: int) -> tuple[UUID, UUID | None]:
        """Return ``log.fingerprint(position)``, from memory where possible."""
        if self._fingerprint is None or self._fingerprint[0] != position:
            self._fingerprint = position, *self.source.fingerprint(position)
        _position, identity, event_id = self._fingerprint
        return identity, event_id

    def read(self, after: int, limit: int, streams: log.Slice) -> log.LogBatch | None:
        """Return the batch of about ``limit`` events after a position, as ``log.read_batch``."""
        # That there was no event isn't remembered: there may be events by now.
        if self._range != (after, limit, streams) or self._batch is None:
            self._batch = self.source.read_batch(after, limit, streams)
            self._range = after, limit, streams
            if self._batch is not None and self._fingerprint is not None:
                # These events belong to the log whose fingerprint was taken before.
                _position, identity, _event_id = self._fingerprint
                self._fingerprint = self._batch.position, identity, self._batch.event_id
        return self._batch


def reads_this_log(checkpoint: Checkpoint, reader: LogReader | LogSource = PRIMARY) -> bool:
    """Return True if the log has the last applied event at the position of ``checkpoint``.

    ``reader`` reads the log.
    """
    if checkpoint.event_id is None:
        return True
    applied = (checkpoint.log_id, checkpoint.event_id)
    return applied == reader.fingerprint(checkpoint.position)
