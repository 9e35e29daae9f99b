"""Deletes the former generation of a projection."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from config.commands import ServiceCommand
from ordering_read.engine import generations
from ordering_read.projector import UnknownProjectionError


class Command(ServiceCommand):
    help = (
        "Deletes the former generation of a projection, which is kept for a rollback. The rows "
        "that readers are served stay."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="NAME", help="The projection.")

    def handle(self, *args: Any, name: str, **options: Any) -> None:
        try:
            generation = generations.discard_former(name)
        except (UnknownProjectionError, generations.GenerationError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{generation}, was discarded.")
