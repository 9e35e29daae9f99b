"""`manage.py projection_status`: shows the progress of the projections."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import django.db
from django.core.management.base import CommandError, CommandParser
from django.db import connections

from config.commands import ServiceCommand, seconds
from ordering_read.engine.status import ProjectionStatus, statuses
from ordering_read.queries.projections import ProjectionView

_LINE = "{:<20} {:<9} {:>12} {:>12} {:>10} {:>9} {:>7}  {}"
_HEADINGS = (
    "projection",
    "status",
    "position",
    "head",
    "lag",
    "seconds",
    "parked",
    "error, rebuild",
)
_SECONDS_BETWEEN_LOOKS = 1.0
# Moves a terminal's cursor to its first line, and clears all from there.
_REDRAW = "\x1b[H\x1b[J"


class Command(ServiceCommand):
    help = "Shows the position of each projection, and how far it is behind the log."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="Print one JSON document.")
        repeated = parser.add_mutually_exclusive_group()
        repeated.add_argument(
            "--watch",
            action="store_true",
            help="Show the table anew every second, until Ctrl-C; with --json one line each.",
        )
        repeated.add_argument(
            "--fail-over",
            type=seconds,
            metavar="SECONDS",
            help="Exit with 1 when a projection has failed or is further behind the log than this.",
        )

    def handle(self, *args: Any, watch: bool, fail_over: float | None, **options: Any) -> None:
        show = self._show_json if options["json"] else self._show_table
        if watch:
            self._watch(show, redraws=not options["json"] and self.stdout.isatty())
            return
        projections = statuses()
        show(projections)
        if fail_over is not None:
            late_names = [
                status.name
                for status in projections
                if status.failed or status.lag_seconds > fail_over
            ]
            if late_names:
                raise CommandError(
                    f"Failed, or more than {fail_over:g} s behind the log: {', '.join(late_names)}."
                )

    def _watch(self, show: Callable[[list[ProjectionStatus]], None], *, redraws: bool) -> None:
        """Show the statuses every second until Ctrl-C, also while a database is away."""
        try:
            while True:
                try:
                    projections = statuses()
                except django.db.Error as error:
                    connections.close_all()
                    self.stderr.write(
                        f"A database can't be reached: {' '.join(str(error).split())}"
                    )
                else:
                    if redraws:
                        self.stdout.write(_REDRAW, ending="")
                    show(projections)
                    self.stdout.flush()
                time.sleep(_SECONDS_BETWEEN_LOOKS)
        except KeyboardInterrupt:
            return

    def _show_json(self, projections: list[ProjectionStatus]) -> None:
        views = [ProjectionView.of_row(status).model_dump(mode="json") for status in projections]
        self.stdout.write(json.dumps({"at": datetime.now(UTC).isoformat(), "projections": views}))

    def _show_table(self, projections: list[ProjectionStatus]) -> None:
        self.stdout.write(_LINE.format(*_HEADINGS).rstrip())
        for status in projections:
            self.stdout.write(_line(status))


def _line(status: ProjectionStatus) -> str:
    return _LINE.format(
        status.name,
        status.status,
        f"{status.position:,}",
        f"{status.head:,}",
        f"{status.lag_events:,}",
        f"{status.lag_seconds:.1f}",
        f"{status.parked_streams:,}",
        _note(status),
    ).rstrip()


def _note(status: ProjectionStatus) -> str:
    """Return the error of a projection, or else the progress of its rebuild."""
    if status.last_error or not (rebuild := status.rebuild):
        return status.last_error.partition("\n")[0]
    progress = f"rebuild: {rebuild.events_done:,} of {rebuild.events_total:,} events"
    if rebuild.seconds_left is None:
        return progress
    return f"{progress}, {rebuild.seconds_left:,.0f} s left"
