"""The code that follows the log from one checkpoint."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ordering_write.domain.events import DomainEvent
from ordering_write.log import PRIMARY, LogSource
from ordering_write.subscriptions.checkpoint import ParkedEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscriber:
    """The functions that a runner calls with the events of the log, for one checkpoint.

    * ``wants(event)`` returns True for the events to apply.
    * ``apply(checkpoint, events)`` applies wanted events, in the transaction that moves the
      checkpoint. Events of one stream come in order; a stream that was parked comes after later
      events of others.
    * ``max_parked`` is the number of streams that may be parked before the subscriber stops; None
      for a subscriber that gets each event as it is stored, can leave none out, and stops at once.
    * ``find_skip(event)`` returns the row by which an event that can't be applied was skipped
      before and still is, else None.
    * ``reapply(checkpoint, streams, read)`` replaces the effects of these streams by those of the
      events that ``read`` returns, whose personal fields were erased. None when no effect is
      personal.
    * ``source`` is the log that ``follow`` reads, and that is read again for all that and a retry.
    """

    wants: Callable[[DomainEvent], bool]
    apply: Callable[[Any, Sequence[DomainEvent]], None]
    max_parked: int | None
    find_skip: Callable[[DomainEvent], ParkedEvent | None]
    reapply: Callable[[Any, Sequence[str], Callable[[], Sequence[DomainEvent]]], None] | None = None
    source: LogSource = PRIMARY
