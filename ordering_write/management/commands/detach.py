"""`manage.py detach`: lets archived events leave the database."""

import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.db import connection

from ordering_write import subscriptions
from ordering_write.archive import Storage, detach, detachable
from ordering_write.management.archive_command import ArchiveCommand
from ordering_write.management.commands.prune_commands import MOST_DAYS


class Command(ArchiveCommand):
    help = """Let events leave the write database that the archive has: events of orders at rest and
    of stock, older than DAYS, without a record of their commands, which every subscriber has
    applied. The files prove themselves before. Readers of the log read the events from the files
    from then on. The newest event of each stream stays. Commands may run meanwhile. A killed call
    loses nothing: the next one goes on. manage.py attach brings the events back."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--days",
            type=int,
            default=90,
            help="Keep events that were recorded in the last so many days (%(default)s).",
        )

    def handle(self, *args: Any, days: int, **options: Any) -> None:
        if not 0 <= days <= MOST_DAYS:
            raise CommandError(f"--days is from 0 to {MOST_DAYS}.")
        began, events = time.monotonic(), 0
        with self.errors_as_sentences():
            storage = Storage()
            # Counted before the files are chosen: subscribers only go on.
            found = detachable(passed=subscriptions.passed(), days=days)
            for part in detach(storage, found.files):
                events += part.events
        end = found.files[-1].last if found.files else 0
        seconds = max(time.monotonic() - began, 0.001)
        self.stdout.write(
            f"{events:,} events have left the database in {seconds:.1f} s; "
            f"they are in the archive up to position {end:,}.\nNo more now: {found.reason}."
        )
        if events and not connection.in_atomic_block:
            with connection.cursor() as cursor:
                # The space is used again at once, and the planner knows the size.
                cursor.execute("SET statement_timeout = 0")
                cursor.execute("VACUUM (ANALYZE) event, event_position, detached_span")
                cursor.execute("RESET statement_timeout")
