"""`manage.py attach`: brings events back from the archive into the database."""

from argparse import ArgumentParser
from typing import Any

from config.commands import positive
from ordering_write.archive import Storage, attach
from ordering_write.management.archive_command import ArchiveCommand


class Command(ArchiveCommand):
    help = """Insert the events that manage.py detach has let go into the write database again, file
    by file, the newest first. Each file proves itself before, and must have the events of this log.
    Commands may run meanwhile. A killed call loses nothing: the next one goes on."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--from",
            type=positive,
            default=1,
            dest="first",
            metavar="POSITION",
            help="Bring back the events from this position on, and the others of its file (1).",
        )

    def handle(self, *args: Any, first: int, **options: Any) -> None:
        files = 0
        with self.errors_as_sentences():
            for file in attach(Storage(), first=first):
                files += 1
                self.stdout.write(
                    f"{file}: positions {file.first:,} to {file.last:,} are in the database."
                )
        if not files:
            self.stdout.write("No event has left the database.")
