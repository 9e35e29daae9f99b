"""Publishes events to a stream in the order of the log, each once."""

import time
from collections.abc import Iterator, Sequence

from ordering_write import log
from ordering_write.log import feed
from ordering_write.relay.errors import (
    OlderLogError,
    OtherLogError,
    StreamBehindError,
    StreamMovedError,
    StreamUnavailableError,
)
from ordering_write.relay.port import Message, StreamEnd, StreamPort, message_of

# The most messages that are appended at once. A NATS server takes 1,000 in a batch.
BATCH = 500
# Seconds for which servers may choose a new leader before the relay fails.
_PATIENCE_SECONDS = 5.0
_SECONDS_BETWEEN_TRIES = 0.1


def checked_end(port: StreamPort, name: str) -> StreamEnd:
    """Return the end of the stream ``name``.

    Raises OtherLogError and OlderLogError if the last message isn't that of this log.
    """
    end = port.end()
    if not end.position:
        return end
    log_id, event_id = log.fingerprint(end.position)
    if end.log_id and end.log_id != log_id:
        raise OtherLogError(name, end.log_id)
    if end.event_id != event_id:
        raise OlderLogError(name, end.position)
    return end


def publish(port: StreamPort, name: str, *, after: int, until: int) -> None:
    """Append the events after one position up to another, and the rest of the last one's commit.

    Events that the stream has already are left out. Raises errors of the stream.
    """
    messages = [message_of(event) for event in feed.read_commits(after=after, until=until)]
    ends_at = time.monotonic() + _PATIENCE_SECONDS
    while messages:
        try:
            for batch in _batches(messages):
                port.append(batch)
            return
        except (StreamMovedError, StreamUnavailableError):
            # The servers may have stored what they haven't confirmed.
            if time.monotonic() > ends_at:
                raise
        missing = _missing(messages, port, name)
        if len(missing) == len(messages):
            time.sleep(_SECONDS_BETWEEN_TRIES)
        messages = missing


def _missing(messages: Sequence[Message], port: StreamPort, name: str) -> list[Message]:
    """Return the ``messages`` that the stream doesn't have, all if it can't be reached."""
    try:
        end = checked_end(port, name)
    except StreamUnavailableError:
        return list(messages)
    if end.position < messages[0].position - 1:
        raise StreamBehindError(end.position)
    return [message for message in messages if message.position > end.position]


def _batches(messages: Sequence[Message]) -> Iterator[list[Message]]:
    """Yield ``messages`` in batches of whole commits, as far as a commit isn't larger than one."""
    batch: list[Message] = []
    for message in messages:
        commit_size = message.commit_end - message.position + 1
        is_new_commit = not batch or batch[-1].commit_end < message.position
        is_full = len(batch) == BATCH or (is_new_commit and len(batch) + commit_size > BATCH)
        if batch and is_full:
            yield batch
            batch = []
        batch.append(message)
    if batch:
        yield batch
