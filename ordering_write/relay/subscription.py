"""The relay as a subscription: the events of the log are published to the stream."""

import contextlib
import logging
import math
from collections.abc import Sequence
from typing import cast

from django.conf import settings
from django.db import transaction

from ordering_write.domain.events import DomainEvent
from ordering_write.relay import publishing
from ordering_write.relay.errors import StreamError
from ordering_write.relay.models import RelayCheckpoint, RelayParkedEvent
from ordering_write.relay.port import StreamPort, relay_port
from ordering_write.subscriptions import Subscriber, Subscription

logger = logging.getLogger(__name__)


class RelaySubscription(Subscription):
    """One subscriber, which is named after the system that settings.RELAY chooses; none without."""

    name = "relay"
    noun = "relay"
    checkpoint_model = RelayCheckpoint
    parked_event_model = RelayParkedEvent
    metric_prefix = "orders_relay"
    metric_label = "relay"

    def __init__(self) -> None:
        # The connection whose end was found to be that of the log.
        self._aligned: StreamPort | None = None

    def names(self) -> Sequence[str]:
        return [settings.RELAY] if settings.RELAY else []

    def run(
        self,
        *names: str,
        slices: Sequence[int] = (),
        seconds: float = math.inf,
        idle_wait: float = 0.0,
    ) -> int:
        """Publish all events that the stream doesn't have; returns their number.

        The first run of a process moves the checkpoint to the end of the stream. A failure is
        recorded on the checkpoint.
        """
        if not names:
            # Without a relay there are no servers to ask.
            return 0
        # The same error comes when events are published, and is recorded then.
        with contextlib.suppress(StreamError):
            self._align()
        return super().run(*names, seconds=seconds, idle_wait=idle_wait)

    def subscriber(self, checkpoint: RelayCheckpoint) -> Subscriber:
        return Subscriber(
            wants=lambda _event: True,
            apply=self._publish,
            # A stream without a gap can't leave an event out.
            max_parked=None,
            find_skip=lambda _event: None,
        )

    def _align(self) -> None:
        """Move the checkpoint to the end of the stream, unless this process has done so."""
        port = relay_port()
        if port is self._aligned:
            return
        end = publishing.checked_end(port, settings.STREAM.name)
        with transaction.atomic():
            rows = self.checkpoints().select_for_update(skip_locked=True)
            for checkpoint in rows.exclude(position=end.position):
                checkpoint.position = end.position
                checkpoint.log_id, checkpoint.event_id = end.log_id, end.event_id
                checkpoint.save(update_fields=["position", "log_id", "event_id"])
                logger.warning(
                    "%s goes on from the end of the stream, %d", checkpoint, end.position
                )
        self._aligned = port

    def _publish(self, checkpoint: RelayCheckpoint, events: Sequence[DomainEvent]) -> None:
        # Events that were read from the log have a position.
        first, last = (cast(int, events[number].recorded.position) for number in (0, -1))
        try:
            port = relay_port()
            if port is not self._aligned:
                # Raises the error that has kept the relay from aligning.
                publishing.checked_end(port, settings.STREAM.name)
            publishing.publish(port, settings.STREAM.name, after=first - 1, until=last)
        except StreamError:
            self._aligned = None
            raise


SUBSCRIPTION = RelaySubscription()


def stream_end() -> int:
    """Return the position of the last message of the stream; 0 if it is empty.

    Raises StreamError, also if the stream doesn't belong to this log.
    """
    return publishing.checked_end(relay_port(), settings.STREAM.name).position
