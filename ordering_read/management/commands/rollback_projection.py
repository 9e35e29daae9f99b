"""Rolls a projection back to the rows that it served before its last rebuild."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from config.commands import ServiceCommand
from ordering_read.engine import generations
from ordering_read.projector import UnknownProjectionError
from ordering_write import published


class Command(ServiceCommand):
    help = (
        "Serves the former generation of a projection again, which was kept up to date. The "
        "present generation is kept in its place."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="NAME", help="The projection.")

    def handle(self, *args: Any, name: str, **options: Any) -> None:
        try:
            generation = generations.roll_back(name)
        except (
            UnknownProjectionError,
            generations.GenerationError,
            published.LogUnavailableError,
        ) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{generation}, is served again.")
