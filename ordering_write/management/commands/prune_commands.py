"""`manage.py prune_commands`: deletes the records of old commands."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection

# A hundred years; PostgreSQL has no time before 4713 BC.
MOST_DAYS = 36_500
MOST_RECORDS = 1_000_000

# By the clock of the database, which wrote the rows. A locked row is left to the next run.
_DELETE = """
DELETE FROM command_record WHERE command_id IN (
    SELECT command_id FROM command_record
    WHERE recorded_at <= now() - make_interval(days => %s)
    ORDER BY recorded_at LIMIT %s FOR UPDATE SKIP LOCKED
)
"""


class Command(BaseCommand):
    help = """Delete the records of old commands, with the responses that are stored for repeats.
    Safe while commands run. A command without a record still can't take effect twice, because its
    events carry its id."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--older-than",
            type=int,
            default=settings.COMMAND_RECORD_DAYS,
            metavar="DAYS",
            help="Keep the records of so many days (%(default)s).",
        )
        parser.add_argument(
            "--batch", type=int, default=5_000, help="Records of one statement (%(default)s)."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        days, batch = options["older_than"], options["batch"]
        if not 0 <= days <= MOST_DAYS or not 1 <= batch <= MOST_RECORDS:
            raise CommandError(
                f"--older-than is from 0 to {MOST_DAYS}, --batch from 1 to {MOST_RECORDS}."
            )
        pruned = 0
        with connection.cursor() as cursor:
            while True:
                cursor.execute(_DELETE, [days, batch])
                pruned += cursor.rowcount
                if cursor.rowcount < batch:
                    break
        self.stdout.write(f"pruned {pruned}")
