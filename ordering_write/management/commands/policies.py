"""Shows the policies and what they have yet to do."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ordering_write import policies
from ordering_write.policies import PoliciesStatus, PolicyStatus

_LINE = "{:<20} {:>8} {:>6} {:>8} {:>7}  {:<20} {}"


class Command(BaseCommand):
    help = "Shows what each policy has yet to do, and how far they are behind the log."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--fail-over",
            type=float,
            metavar="SECONDS",
            help="Exit with 1 when they have failed, are further behind the log than this, or "
            "something is parked.",
        )
        parser.add_argument(
            "--retry", action="store_true", help="First let what is parked be tried again."
        )

    def handle(self, *args: Any, fail_over: float | None, retry: bool, **options: Any) -> None:
        if retry:
            self.stdout.write(f"{policies.retry()} events and timers are tried again.")
        status = policies.status()
        self.stdout.write(
            f"At position {status.position:,} of {status.head:,}, {status.lag_seconds:.1f} s "
            f"behind the log; {status.parked_streams:,} streams are parked.\n{status.error}"
        )
        self.stdout.write(
            _LINE.format("policy", "waiting", "due", "failing", "parked", "next", "error")
        )
        for one in status.policies:
            self.stdout.write(_line(one))
        for parked in policies.parked():
            self.stdout.write(f"parked: {parked}: {parked.message}")
        if fail_over is not None and (fault := _fault(status, fail_over)):
            raise CommandError(f"The policies {fault}.")


def _line(one: PolicyStatus) -> str:
    next_at = f"{one.next_at:%Y-%m-%d %H:%M:%SZ}" if one.next_at else ""
    counts = (one.waiting, one.due, one.failing, one.parked)
    return _LINE.format(one.name, *(f"{count:,}" for count in counts), next_at, one.error).rstrip()


def _fault(status: PoliciesStatus, seconds: float) -> str:
    if status.error:
        return "have failed"
    if status.lag_seconds > seconds:
        return f"are more than {seconds:g} s behind the log"
    if status.parked_streams or any(one.parked for one in status.policies):
        return "have something parked"
    return ""
