"""The command bus and what stands around it: permission, preview, allowed actions, metrics."""

from ordering_write.bus.bus import (
    Answering,
    CommandBus,
    NotYetVisibleError,
    Outcome,
    fingerprint,
    get_command_bus,
)

__all__ = [
    "Answering",
    "CommandBus",
    "NotYetVisibleError",
    "Outcome",
    "fingerprint",
    "get_command_bus",
]
