"""`manage.py prune_commands`: deletes records of old commands, refusals and webhook deliveries."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.db import connection

from config.commands import ServiceCommand
from ordering_write.webhooks import delivery_log

# A hundred years; PostgreSQL has no time before 4713 BC.
MOST_DAYS = 36_500
MOST_RECORDS = 1_000_000

# By the clock of the database, which wrote the rows. A locked row is left to the next run.
_DELETE = """
DELETE FROM {table} WHERE {key} IN (
    SELECT {key} FROM {table}
    WHERE recorded_at <= now() - make_interval(days => %s)
    ORDER BY recorded_at LIMIT %s FOR UPDATE SKIP LOCKED
)
"""


class Command(ServiceCommand):
    help = """Delete the records of old commands, with the responses that are stored for repeats,
    old refusals, and deliveries of webhooks that were done WEBHOOK_DAYS ago. Safe while commands
    run. A command without a record still can't take effect twice, because its events carry its
    id."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--older-than",
            type=int,
            default=settings.COMMAND_RECORD_DAYS,
            metavar="DAYS",
            help="Keep the records of so many days (%(default)s).",
        )
        parser.add_argument(
            "--refusals-older-than",
            type=int,
            default=settings.COMMAND_REFUSAL_DAYS,
            metavar="DAYS",
            help="Keep the refusals of so many days (%(default)s).",
        )
        parser.add_argument(
            "--batch", type=int, default=5_000, help="Records of one statement (%(default)s)."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        days, refusal_days = options["older_than"], options["refusals_older_than"]
        batch = options["batch"]
        if not all(0 <= number <= MOST_DAYS for number in (days, refusal_days)):
            raise CommandError(f"--older-than and --refusals-older-than are 0 to {MOST_DAYS}.")
        if not 1 <= batch <= MOST_RECORDS:
            raise CommandError(f"--batch is from 1 to {MOST_RECORDS}.")
        self.stdout.write(f"pruned {_prune('command_record', 'command_id', days, batch)}")
        refusals = _prune("command_refusal", "id", refusal_days, batch)
        self.stdout.write(f"refusals: {refusals}")
        self.stdout.write(f"webhook deliveries: {delivery_log.prune()}")


def _prune(table: str, key: str, days: int, batch: int) -> int:
    """Delete the rows that are older than ``days``, ``batch`` by ``batch``; return how many."""
    pruned, statement = 0, _DELETE.format(table=table, key=key)
    with connection.cursor() as cursor:
        while True:
            cursor.execute(statement, [days, batch])
            pruned += cursor.rowcount
            if cursor.rowcount < batch:
                return pruned
