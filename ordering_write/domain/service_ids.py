"""Ids of the commands that the service gives by itself, which no client can take.

They are UUIDs of version 8, and derive from an event and a policy. The command bus refuses such an
id from anybody but a policy, so that nobody can keep a policy from acting by using its id first.
"""

from hashlib import sha256
from uuid import UUID

_VERSION = 8


def service_id(namespace: UUID, name: str) -> UUID:
    """Return the id that derives from ``namespace`` and ``name``, always the same."""
    digest = sha256(namespace.bytes + name.encode()).digest()
    number = int.from_bytes(digest[:16])
    # The bits of version and variant, as RFC 9562 places them.
    number = number & ~(0xF << 76) | _VERSION << 76
    number = number & ~(0b11 << 62) | 0b10 << 62
    return UUID(int=number)


def is_service_id(command_id: UUID) -> bool:
    """Return True if only the service gives commands with this id."""
    return command_id.version == _VERSION
