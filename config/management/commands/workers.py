"""`manage.py workers`: runs the workers that keep the read models up to date."""

import logging
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.version import VERSION
from config.workers import cluster

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Runs the workers that keep the read models up to date, until Ctrl-C or SIGTERM."
    # The workers start even while the databases are down.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--workers",
            type=int,
            default=settings.Q_CLUSTER["workers"],
            help="Number of worker processes (default: %(default)s, from WORKERS).",
        )

    def handle(self, *args: Any, workers: int, **options: Any) -> None:
        if workers < 1:
            raise CommandError("--workers must be at least 1.")
        self._say(f"{workers} workers keep the read models up to date. Ctrl-C stops them.")
        logger.info("The workers of version %s have started.", VERSION)
        cluster.run(workers=workers)
        self._say("The workers have stopped.")

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()
