"""The relay: publishes the log to a stream, which other machines read.

Position N of the log is message N of the stream. Whole commits are published in one transaction of
the stream, if its servers have transactions.
"""

from ordering_write.relay.errors import StreamError
from ordering_write.relay.models import RelayCheckpoint
from ordering_write.relay.subscription import SUBSCRIPTION, stream_end

__all__ = ["SUBSCRIPTION", "RelayCheckpoint", "StreamError", "stream_end"]
