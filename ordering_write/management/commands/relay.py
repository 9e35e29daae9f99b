"""`manage.py relay`: shows how far the stream has the log; publishes what it doesn't have."""

from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from config.commands import ServiceCommand
from ordering_write import relay
from ordering_write.relay import StreamError


class Command(ServiceCommand):
    help = """Show how far the relay and its stream are behind the log. The exit code is 1 if the
    stream is refused, or can't be reached; the message says what to do."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--once", action="store_true", help="First publish what the stream doesn't have."
        )

    def handle(self, *args: Any, once: bool, **options: Any) -> None:
        if not settings.RELAY:
            raise CommandError("No relay is chosen: set RELAY (docs/relay.md).")
        # A relay that was chosen after ``migrate`` has no checkpoint until the workers start.
        relay.SUBSCRIPTION.ensure_checkpoints()
        try:
            if once:
                published = relay.SUBSCRIPTION.run(settings.RELAY)
                self.stdout.write(f"{published:,} events were published.")
            end = relay.stream_end()
        except StreamError as error:
            raise CommandError(str(error)) from error
        [status] = relay.SUBSCRIPTION.statuses()
        self.stdout.write(
            f"The stream {settings.STREAM.name} on {status.name} ends at {end:,}; the log at "
            f"{status.head:,}. The relay is at {status.position:,}, {status.lag_seconds:.1f} s "
            "behind the log."
        )
        if status.failed:
            raise CommandError(f"The relay has failed: {status.last_error}")
