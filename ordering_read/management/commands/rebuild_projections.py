"""Rebuilds the read models from the log."""

import sys
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from ordering_read.engine.base import UnknownProjectionError, projector, registered
from ordering_read.engine.rebuild import NotLevelError, RebuildRunningError, rebuild
from ordering_write import published


class Command(BaseCommand):
    help = (
        "Rebuilds read models from the log. The old rows are served until the new ones are "
        "complete; the workers go on meanwhile."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "names", nargs="*", metavar="NAME", help="The projections; all when none is named."
        )

    def handle(self, *args: Any, names: list[str], **options: Any) -> None:
        try:
            # All names are looked at before anything is rebuilt.
            for name in [projector(name).name for name in names] or registered():
                self._rebuild(name)
        except (UnknownProjectionError, RebuildRunningError, NotLevelError) as error:
            raise CommandError(str(error)) from error

    def _rebuild(self, name: str) -> None:
        began = time.monotonic()
        with tqdm(
            total=published.head(), desc=name, unit=" events", disable=not sys.stderr.isatty()
        ) as bar:
            done = 0

            def progress(count: int) -> None:
                nonlocal done
                done += count
                # The log goes on growing.
                bar.total = max(bar.total or 0, done)
                bar.update(count)

            rebuild(name, progress=progress)
        seconds = max(time.monotonic() - began, 0.001)
        self.stdout.write(
            f"{name}: {done:,} events in {seconds:.1f} s ({done / seconds:,.0f} a second)."
        )
