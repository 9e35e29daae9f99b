"""The base of the events by which metadata changes."""

from collections.abc import Mapping

from ordering_write.domain.events.base import DomainEvent


class MetadataEvent(DomainEvent, stored=False):
    """The base of events that set pairs of metadata, and remove the keys in ``removed``."""

    personal = frozenset({"values", "removed"})

    values: dict[str, str] = {}
    removed: list[str] = []

    def merged(self, metadata: Mapping[str, str]) -> dict[str, str]:
        """Return ``metadata`` after the event."""
        kept = {key: value for key, value in metadata.items() if key not in self.removed}
        return {**kept, **self.values}
