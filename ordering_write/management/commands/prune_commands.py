"""`manage.py prune_commands`: forgets the answers to commands that nobody will send again."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection

# By the database's clock, which wrote the rows; what somebody is reading is left for the next run.
_DELETE = """
DELETE FROM command_record WHERE command_id IN (
    SELECT command_id FROM command_record
    WHERE recorded_at <= now() - make_interval(days => %s)
    ORDER BY recorded_at LIMIT %s FOR UPDATE SKIP LOCKED
)
"""


class Command(BaseCommand):
    help = """Delete the records of old commands, with the answers that are kept for repeats. Safe
    while commands run. A command whose record is gone still can't happen twice: its events name
    it."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--older-than",
            type=int,
            default=settings.COMMAND_RECORD_DAYS,
            metavar="DAYS",
            help="Keep those of so many days (%(default)s).",
        )
        parser.add_argument(
            "--batch", type=int, default=5_000, help="How many at a time (%(default)s)."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        days, batch = options["older_than"], options["batch"]
        if days < 0 or batch < 1:
            raise CommandError("--older-than is 0 or more, --batch 1 or more.")
        pruned = 0
        with connection.cursor() as cursor:
            while True:
                cursor.execute(_DELETE, [days, batch])
                pruned += cursor.rowcount
                if cursor.rowcount < batch:
                    break
        self.stdout.write(f"pruned {pruned}")
