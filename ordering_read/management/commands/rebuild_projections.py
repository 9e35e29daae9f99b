"""Rebuilds the read models from the log."""

import os
import sys
import time
from typing import Any

import tqdm
from django.core.management.base import CommandError, CommandParser
from django.db import InterfaceError, OperationalError

from config.commands import ServiceCommand, positive
from ordering_read.engine import control, fill, generations, rebuild, status
from ordering_read.engine.generations import BusyError, GenerationError
from ordering_read.engine.table_diff import ComparedTable
from ordering_read.models import Projection
from ordering_read.projector import UnknownProjectionError, projector, registered
from ordering_write import published

# More processes read the log faster, but compete for the cores of the database.
_MAX_WORKERS = 4
# Exit code of --outdated if a projection can't be rebuilt before somebody corrects the cause.
REFUSED = 2


class Command(ServiceCommand):
    help = (
        "Rebuilds read models from the log. The old rows are served until the new rows are "
        "complete; the workers continue in the meantime. A killed rebuild resumes after its last "
        "batch."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "names", nargs="*", metavar="NAME", help="The projections; all when none is named."
        )
        parser.add_argument("--all", action="store_true", help="All projections.")
        parser.add_argument(
            "--outdated",
            action="store_true",
            help="The projections whose rows other code has made, after another process that does "
            "the same; exit code 2 if one can't be rebuilt.",
        )
        parser.add_argument(
            "--workers",
            type=positive,
            default=min(os.cpu_count() or 1, _MAX_WORKERS),
            help="Processes, where each row belongs to one stream (default: %(default)s).",
        )
        parser.add_argument(
            "--batch",
            type=positive,
            default=fill.BATCH,
            help="Events in one transaction (default: %(default)s).",
        )
        parser.add_argument(
            "--throttle",
            type=positive,
            metavar="EVENTS_PER_SECOND",
            help="The highest rate, to leave capacity of the databases to other programs.",
        )
        parser.add_argument(
            "--no-promote",
            action="store_true",
            help="Only fill and compare. The next rebuild without the option promotes the rows.",
        )
        parser.add_argument(
            "--from-archive",
            action="store_true",
            help="Read the events from the archive of the log as far as it reaches, which spares "
            "the write database.",
        )
        request = parser.add_mutually_exclusive_group()
        for name, text in {
            "pause": "Pause a rebuild that runs in another process.",
            "resume": "Resume a paused rebuild; resume a killed one in this process.",
            "cancel": "End a rebuild and delete its rows.",
        }.items():
            request.add_argument(f"--{name}", action="store_true", help=text)

    def handle(self, *args: Any, names: list[str], **options: Any) -> None:
        if bool(names) + options["all"] + options["outdated"] > 1:
            raise CommandError("Name projections, or give --all or --outdated.")
        if options["outdated"] and (options["pause"] or options["resume"] or options["cancel"]):
            raise CommandError("--outdated begins rebuilds; name those to pause, resume or cancel.")
        try:
            if options["outdated"]:
                self._rebuild_outdated(options)
                return
            # Look up all names first, so that an unknown one is refused before any rebuild.
            projections = [projector(name).name for name in names] or self._all(options)
            for name in projections:
                self._handle_projection(name, options)
        except (
            UnknownProjectionError,
            GenerationError,
            published.DetachedEventsError,
            published.archive.ArchiveError,
            published.LogUnavailableError,
        ) as error:
            raise CommandError(str(error)) from error
        except (OperationalError, InterfaceError) as error:
            reason = " ".join(str(error).split())
            raise CommandError(
                f"A database was lost: {reason}. Try again: written rows stay."
            ) from error

    def _rebuild_outdated(self, options: dict[str, Any]) -> None:
        refused = []
        with generations.outdated_lock():
            # Read after the wait: the process before has rebuilt some.
            for name in status.outdated():
                try:
                    self._rebuild(name, options)
                except GenerationError as error:
                    refused.append(name)
                    self.stderr.write(str(error))
        if refused:
            raise CommandError(f"Not rebuilt: {', '.join(refused)}.", returncode=REFUSED)

    def _all(self, options: dict[str, Any]) -> list[str]:
        if not (options["pause"] or options["resume"] or options["cancel"]):
            return list(registered())
        if not (rebuilding := control.rebuilding()):
            raise CommandError("Nothing is being rebuilt.")
        return rebuilding

    def _handle_projection(self, name: str, options: dict[str, Any]) -> None:
        if options["pause"]:
            control.pause(name)
            self.stdout.write(f"{name}: the rebuild pauses after its batch; --resume resumes it.")
        elif options["cancel"]:
            control.cancel(name)
            self.stdout.write(f"{name}: the rebuild ends after its batch; its rows are deleted.")
        elif options["resume"]:
            control.resume(name)
            try:
                self._rebuild(name, options)
            except BusyError:
                self.stdout.write(f"{name}: the rebuild resumes.")
        else:
            self._rebuild(name, options)

    def _rebuild(self, name: str, options: dict[str, Any]) -> None:
        began = time.monotonic()
        # The monitor of tqdm is a thread, and a process with threads mustn't be forked.
        tqdm.tqdm.monitor_interval = 0
        # Without smoothing, the bar shows the average rate, as the admin and the API do.
        with tqdm.tqdm(
            desc=name, unit=" events", smoothing=0, disable=not sys.stderr.isatty()
        ) as bar:

            def progress(done: int, total: int) -> None:
                if bar.total is None:
                    # Events of an earlier, interrupted run don't count for the rate.
                    bar.reset(total)
                    bar.initial = bar.n = done
                bar.total = total
                bar.update(done - bar.n)

            rebuilt = rebuild.rebuild(
                name,
                workers=options["workers"],
                batch=options["batch"],
                throttle=options["throttle"],
                promote=not options["no_promote"],
                from_archive=options["from_archive"],
                progress=progress,
            )
        seconds = max(time.monotonic() - began, 0.001)
        self.stdout.write(
            f"{name}: {rebuilt.events:,} events in {seconds:.1f} s "
            f"({rebuilt.events / seconds:,.0f} a second)."
        )
        for table in rebuilt.compared:
            self._show(table)
        if rebuilt.not_compared:
            self.stdout.write(f"  Not compared: {rebuilt.not_compared}.")
        if rebuilt.generation.status != Projection.Status.LIVE:
            self.stdout.write(f"{rebuilt.generation}, is ready; the next rebuild promotes it.")

    def _show(self, table: ComparedTable) -> None:
        if not table.differing:
            self.stdout.write(f"  {table.table}: {table.folded_rows:,} rows, the same as before.")
            return
        self.stdout.write(
            f"  {table.table}: {table.folded_rows:,} rows, {table.stored_rows:,} before, of which "
            f"{table.differing:,} differ; the new ones are what the log says."
        )
        for difference in table.differences:
            self.stdout.write(f"    {difference}")
        if table.differing > len(table.differences):
            self.stdout.write("    …")
