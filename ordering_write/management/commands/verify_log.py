"""`manage.py verify_log`: proves that the log is whole and that all rows follow from it."""

import sys
import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from tqdm import tqdm

from config.commands import ServiceCommand, positive
from config.processes import ChildLostError
from ordering_write import log
from ordering_write.log import DetachedEventsError
from ordering_write.log.verification import NoSuchStreamError, verify


class Command(ServiceCommand):
    help = """Check that no event of the log was changed, removed or reordered, that every event can
    be read, that the amounts of every order add up, and that every row of the write side is what
    its events make. Each finding is a line;
    the exit code is 1 if there is one. Commands may run meanwhile."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--stream", metavar="NAME", help="Check only this stream.")
        parser.add_argument(
            "--processes", type=positive, default=1, help="Check streams in so many processes."
        )

    def handle(self, *args: Any, stream: str | None, processes: int, **options: Any) -> None:
        began = time.monotonic()
        # The monitor of tqdm is a thread, and a process with threads mustn't be forked.
        tqdm.monitor_interval = 0
        findings = 0
        with tqdm(
            total=None if stream else log.head(),
            unit=" events",
            disable=not sys.stderr.isatty(),
        ) as bar:
            checked = 0

            def progress(count: int) -> None:
                nonlocal checked
                checked += count
                # The log may grow meanwhile.
                bar.total = bar.total and max(bar.total, checked)
                bar.update(count)

            try:
                for finding in verify(stream=stream, processes=processes, progress=progress):
                    findings += 1
                    bar.clear()
                    self.stdout.write(str(finding))
            except (NoSuchStreamError, ChildLostError, DetachedEventsError) as error:
                raise CommandError(str(error)) from error
        seconds = max(time.monotonic() - began, 0.001)
        self.stdout.write(
            f"{checked:,} events in {seconds:.1f} s ({checked / seconds:,.0f} a second)."
        )
        if findings:
            raise CommandError(f"{findings:,} finding{'s' if findings > 1 else ''}.")
