"""`manage.py retry_parked`: applies parked streams again."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from config.commands import ServiceCommand
from ordering_read.management.subscriptions import (
    add_selection,
    blocking_events,
    other_parked_events,
)
from ordering_write.published import parked, subscriptions


class Command(ServiceCommand):
    help = (
        "Applies the parked events of projections, or of policies with --subscription policies, "
        "stream by stream and in order, after their cause was corrected. Events that still can't "
        "be applied stay parked, and the exit code is 1. The workers may run."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        add_selection(parser)

    def handle(self, *args: Any, subscription: str, name: str, stream: str, **options: Any) -> None:
        source = subscriptions.find(subscription)
        results = parked.retry(source, blocking_events(source, name=name, stream=stream))
        for result in results:
            self.stdout.write(str(result))
        others = list(other_parked_events(source))
        if not results:
            where = f" for the {source.name}" if others else ""
            self.stdout.write(f"Nothing is parked{where}.")
        for line in others:
            self.stdout.write(line)
        if blocked := sum(result.blocked_by is not None for result in results):
            raise CommandError(
                f"{blocked:,} stream{'s are' if blocked > 1 else ' is'} still parked."
            )
