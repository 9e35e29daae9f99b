"""The base of the commands that read or write the archive."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management.base import CommandError

from config.commands import ServiceCommand
from config.processes import ChildLostError
from ordering_write.archive import ArchiveError
from ordering_write.log import LogGapError


class ArchiveCommand(ServiceCommand):
    """Ends with one sentence for each error of the archive."""

    @contextmanager
    def errors_as_sentences(self) -> Iterator[None]:
        try:
            yield
        except (ArchiveError, ChildLostError, LogGapError) as error:
            raise CommandError(str(error)) from error
