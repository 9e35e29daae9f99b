"""Refusals: the commands that were refused are kept for auditors, in a table of their own.

A refusal costs its caller one INSERT after the rollback, and never fails because of it. Refusals of
policies aren't kept: a policy often finds that nothing is left to do. The command metrics count
every refusal, also beyond the limits of one user.
"""

import logging
from dataclasses import dataclass
from uuid import UUID

import django.db
from django.db import connection, transaction

from ordering_write.bus.preview import stream_of
from ordering_write.domain.commands import Command
from ordering_write.domain.errors import DomainError
from ordering_write.domain.values import Actor, Channel
from ordering_write.models import CommandRefusal

logger = logging.getLogger(__name__)

# The most refusals of one user that are kept, so that nobody can fill the table.
PER_MINUTE = 60
PER_DAY = 2_000

# Skips the INSERT if the user's oldest refusal of a full limit is still within its period.
_INSERT = """
INSERT INTO command_refusal
    (type, reason, message, stream, user_id, actor, channel, command_id, correlation_id,
     recorded_at)
SELECT %s, %s, %s, %s, given.user_id, %s, %s, %s, %s, statement_timestamp()
FROM (SELECT %s::uuid) AS given (user_id)
WHERE NOT EXISTS (
    SELECT FROM (VALUES ('1 minute'::interval, %s), ('1 day', %s)) AS bound (period, most),
    LATERAL (
        SELECT FROM command_refusal former
        WHERE former.user_id = given.user_id
          AND former.recorded_at > statement_timestamp() - bound.period
        ORDER BY former.recorded_at OFFSET bound.most - 1 LIMIT 1
    ) full_bound
)
"""


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """A command that somebody tried to give; ``stream`` is "" for something new."""

    type: type[Command]
    user_id: UUID
    actor: Actor
    channel: Channel
    stream: str
    command_id: UUID | None = None
    correlation_id: UUID | None = None

    @classmethod
    def of(cls, command: Command) -> "Attempt":
        return cls(
            type=type(command),
            user_id=command.user_id,
            actor=command.by,
            channel=command.channel,
            stream=stream_of(command),
            command_id=command.command_id,
            correlation_id=command.correlation_id or command.command_id,
        )


def keep(attempt: Attempt, error: Exception) -> None:
    """Insert the refusal of ``attempt`` by ``error``, unless its user has reached a limit.

    Logs a warning if the database can't take the row. Within a transaction of the caller, the row
    is committed with it.
    """
    if attempt.actor.type == "policy":
        return
    parameters = [
        attempt.type.__name__,
        type(error).__name__,
        _impersonal(error),
        attempt.stream,
        attempt.actor.model_dump_json(exclude_none=True),
        attempt.channel,
        attempt.command_id,
        attempt.correlation_id,
        attempt.user_id,
        PER_MINUTE,
        PER_DAY,
    ]
    try:
        # A savepoint within a transaction of the caller, who goes on if the INSERT fails.
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_INSERT, parameters)
    except django.db.Error as database_error:
        logger.warning("A refusal isn't kept: %s", database_error)


def count(stream: str, *, most: int) -> int:
    """Return the number of kept refusals about ``stream``; counts no more than ``most``."""
    return CommandRefusal.objects.filter(stream=stream)[:most].count()


def _impersonal(error: Exception) -> str:
    """Return the message of ``error``, without the text of a person that it may quote."""
    if isinstance(error, DomainError) and error.quotes_person:
        return (type(error).__doc__ or "").strip()
    return str(error)
