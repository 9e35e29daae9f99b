"""The command bus and its neighbours: permissions, preview, allowed actions, metrics."""

from ordering_write.bus.bus import (
    CommandBus,
    CommandResult,
    NotYetVisibleError,
    ResponseRecorder,
    fingerprint,
    get_command_bus,
    has_taken_effect,
)

__all__ = [
    "CommandBus",
    "CommandResult",
    "NotYetVisibleError",
    "ResponseRecorder",
    "fingerprint",
    "get_command_bus",
    "has_taken_effect",
]
