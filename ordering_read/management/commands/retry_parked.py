"""Tries parked events again."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ordering_read.engine import parking
from ordering_read.projector import UnknownProjectionError


class Command(BaseCommand):
    help = (
        "Applies what is parked, stream by stream and in order, for when the cause is mended. "
        "What still can't be applied stays parked, and the exit code is 1. The workers may run."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--projection", default="", metavar="NAME", help="Only of this one.")
        parser.add_argument("--stream", default="", metavar="NAME", help="Only of this one.")

    def handle(self, *args: Any, projection: str, stream: str, **options: Any) -> None:
        try:
            tried = parking.retry(parking.held_up(projection=projection, stream=stream))
        except UnknownProjectionError as error:
            raise CommandError(str(error)) from error
        left = 0
        for one in tried:
            self.stdout.write(str(one))
            left += one.held_by is not None
        if not tried:
            self.stdout.write("Nothing is parked.")
        if left:
            raise CommandError(f"{left:,} stream{'s are' if left > 1 else ' is'} still parked.")
