"""`manage.py verify_archive`: proves that the files of the archive hold the events of the log."""

import sys
import time
from argparse import ArgumentParser
from typing import Any

import tqdm
from django.core.management.base import CommandError
from django.db.models import Sum

from config.commands import positive
from ordering_write.archive import Storage, check
from ordering_write.management.archive_command import ArchiveCommand
from ordering_write.models import ArchivedFile


class Command(ArchiveCommand):
    help = """Check that no file of the archive is missing or was changed, and that each of its rows
    is the event of the log, by its hash. Each fault is a line with the file and the row; the exit
    code is 1 if there is one."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--processes", type=positive, default=1, help="Check files in so many processes."
        )
        parser.add_argument(
            "--digests-only",
            action="store_true",
            help="Compare the files with their digests, and read no row of a file that fits.",
        )

    def handle(self, *args: Any, processes: int, digests_only: bool, **options: Any) -> None:
        began = time.monotonic()
        events = faults = 0
        # The monitor of tqdm is a thread, and a process with threads mustn't be forked.
        tqdm.tqdm.monitor_interval = 0
        with self.errors_as_sentences():
            storage = Storage()
        total = ArchivedFile.objects.aggregate(bytes=Sum("bytes"))["bytes"]
        with (
            self.errors_as_sentences(),
            tqdm.tqdm(
                total=total, unit="B", unit_scale=True, disable=not sys.stderr.isatty()
            ) as bar,
        ):
            for file in check(storage, processes=processes, digests_only=digests_only):
                events += file.archived.events
                bar.update(file.archived.bytes)
                for fault in file.faults:
                    faults += 1
                    bar.clear()
                    self.stdout.write(f"{file.archived}: {fault}")
        seconds = max(time.monotonic() - began, 0.001)
        self.stdout.write(
            f"{events:,} events in {seconds:.1f} s ({events / seconds:,.0f} a second)."
        )
        if faults:
            raise CommandError(f"{faults:,} fault{'s' if faults > 1 else ''}.")
