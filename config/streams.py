"""The stream that carries the log to other machines, as the settings describe it."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Stream:
    """The stream, the addresses of its servers, and the number of copies that NATS keeps.

    ``kafka_options`` are those of librdkafka.
    """

    name: str = "orders"
    nats_servers: tuple[str, ...] = ()
    replicas: int = 1
    kafka_servers: tuple[str, ...] = ()
    kafka_options: Mapping[str, str] = field(default_factory=dict)
