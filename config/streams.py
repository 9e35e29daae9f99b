"""The stream that carries the log to other machines, as the settings describe it."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Stream:
    """The stream, the URLs of its servers, and the number of copies that they keep."""

    name: str = "orders"
    nats_servers: tuple[str, ...] = ()
    replicas: int = 1
