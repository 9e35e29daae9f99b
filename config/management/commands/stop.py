"""`manage.py stop`: stops the embedded PostgreSQL that other commands have started."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from config.databases.embedded import EmbeddedServer


class Command(BaseCommand):
    help = "Stops the embedded PostgreSQL; the data stay."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        if EmbeddedServer(settings.DATA_DIR).stop():
            self.stdout.write("The embedded PostgreSQL has stopped; its data stay.")
        else:
            self.stdout.write("The embedded PostgreSQL wasn't running.")
