"""`manage.py projection_status`: shows the progress of the projections."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ordering_read.engine.status import ProjectionStatus, statuses
from ordering_read.management.arguments import seconds

_LINE = "{:<20} {:<9} {:>12} {:>12} {:>10} {:>9} {:>7}  {}"


class Command(BaseCommand):
    help = "Shows the position of each projection, and how far it is behind the log."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--fail-over",
            type=seconds,
            metavar="SECONDS",
            help="Exit with 1 when a projection has failed or is further behind the log than this.",
        )

    def handle(self, *args: Any, fail_over: float | None, **options: Any) -> None:
        projections = statuses()
        self.stdout.write(
            _LINE.format(
                "projection",
                "status",
                "position",
                "head",
                "lag",
                "seconds",
                "parked",
                "last error",
            ).rstrip()
        )
        for status in projections:
            self.stdout.write(_line(status))
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


def _line(status: ProjectionStatus) -> str:
    error = status.last_error.partition("\n")[0]
    return _LINE.format(
        status.name,
        status.status,
        f"{status.position:,}",
        f"{status.head:,}",
        f"{status.lag_events:,}",
        f"{status.lag_seconds:.1f}",
        f"{status.parked_streams:,}",
        error,
    ).rstrip()
