"""`manage.py archive`: writes the events of the log to files."""

import time
from argparse import ArgumentParser
from typing import Any

from config.commands import positive
from ordering_write.archive import Storage, archive, begin_anew
from ordering_write.archive.writing import EVENTS_OF_FILE
from ordering_write.management.archive_command import ArchiveCommand


class Command(ArchiveCommand):
    help = """Write the events that aren't archived to Parquet files at ARCHIVE_URL, without their
    personal fields, and print each file. Commands may run meanwhile. A killed call loses nothing:
    the next one continues."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--events-per-file",
            type=positive,
            default=EVENTS_OF_FILE,
            metavar="N",
            help="Write so many events to a file (%(default)s); fewer wait for the next call.",
        )
        parser.add_argument(
            "--rest", action="store_true", help="Write the newest events too, to a shorter file."
        )
        parser.add_argument(
            "--anew",
            action="store_true",
            help="Forget all files, and write all events again, to an empty ARCHIVE_URL.",
        )

    def handle(
        self, *args: Any, events_per_file: int, rest: bool, anew: bool, **options: Any
    ) -> None:
        began = time.monotonic()
        events = size = 0
        with self.errors_as_sentences():
            storage = Storage()
            if anew:
                begin_anew(storage)
            for file in archive(storage, events_of_file=events_per_file, rest=rest):
                events += file.events
                size += file.bytes
                self.stdout.write(
                    f"{storage.address(file.name)}: positions {file.first:,} to {file.last:,}, "
                    f"{file.bytes:,} bytes"
                )
        if not events:
            self.stdout.write("There are no events to archive.")
            return
        seconds = max(time.monotonic() - began, 0.001)
        self.stdout.write(
            f"{events:,} events in {seconds:.1f} s ({events / seconds:,.0f} a second), "
            f"{size / events:.0f} bytes each."
        )
