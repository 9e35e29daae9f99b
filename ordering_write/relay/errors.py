"""Errors of a stream; the messages say what a person can do."""

from uuid import UUID

from ordering_write.log import LogUnavailableError


class StreamError(LogUnavailableError):
    """The relay can't publish, or nobody can read the stream."""


class StreamUnavailableError(StreamError):
    """The servers of the stream don't answer, or can't do what they are asked for now."""

    def __init__(self, reason: object) -> None:
        super().__init__(f"The stream can't be reached now: {reason}. It is tried again.")


class StreamMovedError(StreamError):
    """Another relay has published, so that the servers refuse the messages."""


class StreamBehindError(StreamError):
    """The stream has lost its last messages."""

    def __init__(self, position: int) -> None:
        super().__init__(
            f"The stream ends at {position}, before the position of the relay: the servers have "
            "lost messages, or the stream was made anew. The relay goes on from there."
        )


class RefusedStreamError(StreamError):
    """The stream doesn't belong to this log: nothing is published until somebody decides."""


class OtherLogError(RefusedStreamError):
    """The stream carries another log."""

    def __init__(self, name: str, log_id: UUID) -> None:
        super().__init__(
            f"The stream {name} carries another log, {log_id}: correct the addresses of the "
            "database and of the stream, or set RELAY_STREAM to the name of a new stream."
        )


class OlderLogError(RefusedStreamError):
    """The log was restored from a backup that is older than the stream."""

    def __init__(self, name: str, position: int) -> None:
        super().__init__(
            f"The event at position {position} of the stream {name} isn't in the log, which was "
            "restored from an older backup: restore a newer one, or set RELAY_STREAM to the name "
            "of a new stream and rebuild what was made of the old one."
        )


class IncompleteStreamError(RefusedStreamError):
    """Messages were removed from the stream."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"Messages were removed from the stream {name}: let it keep all messages for ever, and "
            "set RELAY_STREAM to the name of a new stream."
        )


class MessageTooLargeError(StreamError):
    """The servers of the stream take no message of this size."""

    def __init__(self, position: int, size: int, most: int) -> None:
        super().__init__(
            f"The message about the event at position {position} has {size:,} bytes, and the "
            f"servers take {most:,}: raise their limit (max_payload of NATS, message.max.bytes of "
            "Kafka)."
        )


class NoStreamError(StreamError):
    """The stream doesn't exist yet, or its servers are older than NATS 2.11."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"There is no stream {name} to read: start a relay, which makes it, on servers of "
            "NATS 2.11 or newer."
        )


class NoTopicError(StreamError):
    """The topic of the relay doesn't exist on the Kafka brokers."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"There is no topic {name}: create it with one partition, retention.ms=-1 and "
            "retention.bytes=-1, so that it keeps all messages for ever."
        )


class StreamTooShortError(StreamError):
    """The stream ends before the position of a subscriber."""

    def __init__(self, name: str, position: int) -> None:
        super().__init__(
            f"The stream {name} ends before position {position}: the relay is late, or the stream "
            "was made anew. It is tried again."
        )


class PersonalDataBehindError(StreamError):
    """The copy of the personal fields in the read database is behind the stream: look at its
    subscription (pg_stat_subscription). It is tried again."""

    def __init__(self) -> None:
        super().__init__(" ".join((self.__doc__ or "").split()))


class PersonalDataUnavailableError(StreamError):
    """The write database, which has the personal fields, can't be reached: start it, or give the
    read database a copy of them (PERSONAL_DATA=site). It is tried again."""

    def __init__(self) -> None:
        super().__init__(" ".join((self.__doc__ or "").split()))


class DamagedStreamError(StreamError):
    """A message isn't the event that was stored."""

    def __init__(self, name: str, position: int) -> None:
        super().__init__(
            f"The message at position {position} of the stream {name} isn't the event that was "
            "stored: its hash is wrong. Set RELAY_STREAM to the name of a new stream."
        )


class MissingPackageError(StreamError):
    """The packages of the relay are missing."""

    def __init__(self, module: object) -> None:
        super().__init__(f"The module {module} is missing: pip install -r requirements-relay.txt.")
