"""Proves that the read models are what the log says, and mends what isn't."""

import sys
from typing import Any

import tqdm
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import InterfaceError, OperationalError

from config import processes
from ordering_read.engine.generations import GenerationError
from ordering_read.engine.rows import Finding
from ordering_read.engine.verify import VerifiedTable, verify
from ordering_read.management.arguments import positive
from ordering_read.projector import UnknownProjectionError, projector, registered
from ordering_write import published


class Command(BaseCommand):
    help = (
        "Folds the log again and compares the result with the rows that readers are served, column "
        "by column. Workers and commands go on meanwhile. Each row that is missing, surplus or "
        "different is a line (stored → right); the exit code is 1 when there is any that isn't "
        "mended. Streams that are parked are told of, and behind."
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
            help="Where each row belongs to one stream, fold N streams, chosen by chance, and "
            "compare their rows, which is quick. Where rows mix streams, fold the whole log, and "
            "compare N rows of each table.",
        )
        parser.add_argument(
            "--repair",
            action="store_true",
            help="Mend the rows that are wrong, and only those; each is logged with your name.",
        )

    def handle(
        self, *args: Any, names: list[str], sample: int | None, repair: bool, **options: Any
    ) -> None:
        try:
            # All names are looked at before anything is done.
            chosen = [projector(name).name for name in names] or list(registered())
            wrong = sum(self._verify(name, sample, repair) for name in chosen)
        except (
            UnknownProjectionError,
            GenerationError,
            published.LogReplacedError,
            published.LogGapError,
            published.UndecodableEventError,
        ) as error:
            raise CommandError(str(error)) from error
        except (OperationalError, InterfaceError) as error:
            raise CommandError(
                f"A database was lost: {' '.join(str(error).split())}. What was mended stays: try "
                "again."
            ) from error
        if wrong and not repair:
            raise CommandError(
                "1 row isn't what the log says; --repair mends it."
                if wrong == 1
                else f"{wrong:,} rows aren't what the log says; --repair mends them."
            )

    def _verify(self, name: str, sample: int | None, repair: bool) -> int:
        """How many rows of a projection were wrong."""
        self.stdout.write(f"{name}:")
        with tqdm.tqdm(desc=name, unit=" events", disable=not sys.stderr.isatty()) as bar:

            def progress(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            def tell(finding: Finding) -> None:
                bar.clear()
                self.stdout.write(f"  {finding}")

            verified = verify(
                name,
                sample=sample,
                mended_by=processes.login() if repair else None,
                tell=tell,
                progress=progress,
            )
        for stream in verified.parked:
            self.stdout.write(f"  {stream}: parked, so that its rows are behind; see `parked`.")
        for table in verified.tables:
            self.stdout.write(f"  {table.table}: {_summary(table, repair)}")
        return sum(len(table.wrong) for table in verified.tables)


def _summary(table: VerifiedTable, repair: bool) -> str:
    rows = f"{table.rows:,} row{'' if table.rows == 1 else 's'}"
    if not table.wrong:
        return f"{rows}, all right."
    return f"{rows}, {len(table.wrong):,} wrong{', now mended' if repair else ''}."
