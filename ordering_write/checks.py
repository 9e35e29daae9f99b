"""System checks of the write side."""

from typing import Any

from django.core.checks import CheckMessage, Error

from ordering_write import outbox
from ordering_write.signals import domain_events


def check_outbox_connected(**_kwargs: Any) -> list[CheckMessage]:
    """Without the outbox receiver, events would be emitted and lost."""
    receivers, _async_receivers = domain_events._live_receivers(sender=None)
    if outbox.append in receivers:
        return []
    return [
        Error(
            "The outbox is not connected to the signal domain_events.",
            hint="ordering_write.apps connects it; is ordering_write in INSTALLED_APPS?",
            id="ordering_write.E001",
        )
    ]
