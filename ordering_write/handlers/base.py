"""The base of the command handlers."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Generic, TypeVar

from django.db import IntegrityError
from psycopg.errors import UniqueViolation

from ordering_write.domain.commands import Command
from ordering_write.domain.errors import DomainError
from ordering_write.domain.events import DomainEvent

C = TypeVar("C", bound=Command)


class CommandHandler(ABC, Generic[C]):
    """Turns one kind of command into events."""

    @abstractmethod
    def handle(self, command: C) -> list[DomainEvent]:
        """Carry ``command`` out inside the transaction that the bus has opened.

        Returns the events in the order in which they happened. Raises a DomainError to refuse.
        """


@contextmanager
def unique(refusals: Mapping[str, DomainError]) -> Iterator[None]:
    """Raise ``refusals[constraint]`` when that unique constraint says no.

    Only the database can tell: a look beforehand would miss a parallel command.
    """
    try:
        yield
    except IntegrityError as error:
        cause = error.__cause__
        name = cause.diag.constraint_name if isinstance(cause, UniqueViolation) else None
        if name is not None and name in refusals:
            raise refusals[name] from error
        raise
