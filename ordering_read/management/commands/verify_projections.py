"""Compares the read models with the log, and repairs the rows that differ."""

import sys
from typing import Any

import tqdm
from django.core.management.base import CommandError, CommandParser
from django.db import InterfaceError, OperationalError

from config import processes
from config.commands import ServiceCommand, positive
from ordering_read.engine.generations import GenerationError
from ordering_read.engine.table_diff import ComparedTable, RowDifference
from ordering_read.engine.verify import verify
from ordering_read.projector import UnknownProjectionError, projector, registered
from ordering_write import published


class Command(ServiceCommand):
    help = (
        "Folds the log again and compares the result with the rows that readers are served, column "
        "by column, while workers and commands go on. Prints a line for each row that is missing, "
        "surplus or different (stored → expected). The exit code is 1 when there is a difference "
        "that isn't repaired. Parked streams are listed; the missing effects of parked events are "
        "no difference."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "names", nargs="*", metavar="NAME", help="The projections; all when none is named."
        )
        rows = parser.add_mutually_exclusive_group()
        rows.add_argument("--all", action="store_true", help="Compare all rows; the default.")
        rows.add_argument(
            "--sample",
            type=positive,
            metavar="N",
            help="Where each row belongs to one stream, fold N streams, chosen at random, and "
            "compare their rows, which is quick. Where rows mix streams, fold the whole log, and "
            "compare N rows of each table.",
        )
        parser.add_argument(
            "--repair",
            action="store_true",
            help="Replace the rows that differ, and log each with your name.",
        )

    def handle(
        self, *args: Any, names: list[str], sample: int | None, repair: bool, **options: Any
    ) -> None:
        try:
            # Look up all names first, so that an unknown one is refused before any work.
            projections = [projector(name).name for name in names] or list(registered())
            wrong_rows = sum(self._verify(name, sample, repair) for name in projections)
        except (
            UnknownProjectionError,
            GenerationError,
            published.LogReplacedError,
            published.LogGapError,
            published.LogUnavailableError,
            published.UndecodableEventError,
            published.DetachedEventsError,
            published.archive.ArchiveError,
        ) as error:
            raise CommandError(str(error)) from error
        except (OperationalError, InterfaceError) as error:
            raise CommandError(
                f"A database was lost: {' '.join(str(error).split())}. What was repaired stays: "
                "try again."
            ) from error
        if wrong_rows and not repair:
            raise CommandError(
                "1 row isn't what the log says; --repair corrects it."
                if wrong_rows == 1
                else f"{wrong_rows:,} rows aren't what the log says; --repair corrects them."
            )

    def _verify(self, name: str, sample: int | None, repair: bool) -> int:
        """Verify a projection; returns the number of rows that were wrong."""
        self.stdout.write(f"{name}:")
        with tqdm.tqdm(desc=name, unit=" events", disable=not sys.stderr.isatty()) as bar:

            def progress(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            def show(difference: RowDifference) -> None:
                bar.clear()
                self.stdout.write(f"  {difference}")

            verified = verify(
                name,
                sample=sample,
                repaired_by=processes.login() if repair else None,
                on_difference=show,
                progress=progress,
            )
        for stream in verified.parked_streams:
            self.stdout.write(f"  {stream}: parked, so that its rows are behind; see `parked`.")
        for table in verified.tables:
            self.stdout.write(f"  {table.table}: {_summary(table, repair)}")
        return sum(table.differing for table in verified.tables)


def _summary(table: ComparedTable, repair: bool) -> str:
    rows = f"{table.folded_rows:,} row{'' if table.folded_rows == 1 else 's'}"
    if not table.differing:
        return f"{rows}, all right."
    return f"{rows}, {table.differing:,} wrong{', now repaired' if repair else ''}."
