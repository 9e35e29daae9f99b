"""`manage.py parked`: lists the events that block streams."""

from typing import Any

from django.core.management.base import CommandParser

from config.commands import ServiceCommand
from ordering_read.management.subscriptions import (
    add_selection,
    blocking_events,
    other_parked_events,
)
from ordering_write.published import parked, subscriptions


class Command(ServiceCommand):
    help = (
        "Lists the events that projections can't apply, or policies with --subscription policies: "
        "each with its id, and how many later events of its stream wait behind it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        add_selection(parser)

    def handle(self, *args: Any, subscription: str, name: str, stream: str, **options: Any) -> None:
        source = subscriptions.find(subscription)
        rows = list(blocking_events(source, name=name, stream=stream))
        for row in rows:
            self.stdout.write(f"{row.checkpoint}: {row}")
            self.stdout.write(f"  {row.category}: {row.message}")
            self.stdout.write(f"  {_history(row)}")
        others = list(other_parked_events(source))
        if not rows:
            where = f" for the {source.name}" if others else ""
            self.stdout.write(f"Nothing is parked{where}.")
        for line in others:
            self.stdout.write(line)


def _history(row: Any) -> str:
    return (
        f"parked {row.parked_at:%Y-%m-%d %H:%M:%S %Z}; tried {_counted(row.tries, 'time')}; "
        f"{_counted(parked.count_waiting(row), 'event')} behind it"
    )


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
