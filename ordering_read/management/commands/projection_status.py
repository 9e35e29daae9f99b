"""Shows how far the projections have come."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ordering_read.engine.status import ProjectionStatus, statuses
from ordering_read.management.arguments import seconds

_LINE = "{:<20} {:<9} {:>12} {:>12} {:>10} {:>9} {:>7}  {}"


class Command(BaseCommand):
    help = "Shows how far each projection has come, and how far it is behind the log."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--fail-over",
            type=seconds,
            metavar="SECONDS",
            help="Exit with 1 when a projection has failed or is further behind the log than this.",
        )

    def handle(self, *args: Any, fail_over: float | None, **options: Any) -> None:
        found = statuses()
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
        for one in found:
            self.stdout.write(_line(one))
        if fail_over is not None:
            bad = [one.name for one in found if one.failed or one.lag_seconds > fail_over]
            if bad:
                raise CommandError(
                    f"Failed, or more than {fail_over:g} s behind the log: {', '.join(bad)}."
                )


def _line(one: ProjectionStatus) -> str:
    error = one.last_error.partition("\n")[0]
    return _LINE.format(
        one.name,
        one.status,
        f"{one.position:,}",
        f"{one.head:,}",
        f"{one.lag_events:,}",
        f"{one.lag_seconds:.1f}",
        f"{one.parked_streams:,}",
        error,
    ).rstrip()
