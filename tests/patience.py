"""Time limits of tests. A busy machine is slow, which is no failure."""

import os

# For what happens at once on a quiet machine; a test waits for it and goes on.
PATIENCE_SECONDS = 120.0


def on_this_machine(seconds: float) -> float:
    """Return the time for what takes ``seconds`` on a quiet machine: more, when it is busy."""
    return seconds * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
