"""Slices: shares of the streams, by a hash of their names, that readers of the log share out."""

import hashlib
from typing import NamedTuple

# The numbers of slices into which the streams can be cut: each slice is as large as the others.
COUNTS = (1, 2, 4, 8, 16)

# The condition that a row of ``event`` is in a slice; its parameters are ``of`` and ``number``.
IS_IN_SLICE = "get_byte(sha256(convert_to(event.stream, 'UTF8')), 0) %% %s = %s"


class Slice(NamedTuple):
    """The streams whose hash leaves the remainder ``number`` when it is divided by ``of``.

    ``of`` is one of COUNTS. The hash is the same on all machines and in all releases.
    """

    number: int
    of: int

    def has(self, stream: str) -> bool:
        """Return True if ``stream`` is in the slice."""
        return hashlib.sha256(stream.encode()).digest()[0] % self.of == self.number


ALL_STREAMS = Slice(0, 1)
