"""Lists the events that hold up streams."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ordering_read.engine import parking
from ordering_read.models import ParkedEvent
from ordering_read.projector import UnknownProjectionError


class Command(BaseCommand):
    help = (
        "Lists the events that can't be applied, each with its id, and how many later events of "
        "its stream wait behind it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--projection", default="", metavar="NAME", help="Only of this one.")
        parser.add_argument("--stream", default="", metavar="NAME", help="Only of this one.")

    def handle(self, *args: Any, projection: str, stream: str, **options: Any) -> None:
        try:
            rows = list(parking.held_up(projection=projection, stream=stream))
        except UnknownProjectionError as error:
            raise CommandError(str(error)) from error
        for row in rows:
            self.stdout.write(f"{row.checkpoint}: {row}")
            self.stdout.write(f"  {row.category}: {row.message}")
            self.stdout.write(f"  {_history(row)}")
        if not rows:
            self.stdout.write("Nothing is parked.")


def _history(row: ParkedEvent) -> str:
    waiting = parking.waiting_behind(row)
    return (
        f"parked {row.parked_at:%Y-%m-%d %H:%M:%S %Z}; tried {_counted(row.tries, 'time')}; "
        f"{_counted(waiting, 'event')} behind it"
    )


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
