"""Shows the policies and what they have yet to do; retries and skips what is parked."""

from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser
from pydantic import TypeAdapter, ValidationError

from config import processes
from config.http.input.validation import errors_of
from ordering_write import policies
from ordering_write.domain.errors import DomainError
from ordering_write.policies import PoliciesStatus, PolicyStatus
from ordering_write.subscriptions.parking import Reason

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
        first = parser.add_mutually_exclusive_group()
        first.add_argument(
            "--retry", action="store_true", help="First let what is parked be tried again."
        )
        first.add_argument(
            "--skip",
            type=UUID,
            metavar="ID",
            help="First give up for good what is parked under this id, an event or a timer.",
        )
        parser.add_argument("--reason", default="", help="Why it is skipped; is kept.")

    def handle(
        self,
        *args: Any,
        fail_over: float | None,
        retry: bool,
        skip: UUID | None,
        reason: str,
        **options: Any,
    ) -> None:
        # What isn't a number is neither more nor less than anything.
        if fail_over is not None and not fail_over >= 0:
            raise CommandError("--fail-over must be 0 or more.")
        if retry:
            self.stdout.write(f"{policies.retry()} events and timers are tried again.")
        if skip:
            _skip(skip, reason)
            self.stdout.write(f"{skip} is skipped.")
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
        for timer in policies.parked_timers():
            self.stdout.write(f"parked: {timer}: {timer.error}")
        for skipped in policies.skipped():
            self.stdout.write(f"skipped: {skipped}, by {skipped.skipped_by}: {skipped.skip_reason}")
        if fail_over is not None and (fault := _fault(status, fail_over)):
            raise CommandError(f"The policies {fault}.")


def _skip(parked_id: UUID, reason: str) -> None:
    try:
        reason = TypeAdapter(Reason).validate_python(reason)
        policies.skip(parked_id, reason=reason, by=f"command line ({processes.login()})")
    except ValidationError as error:
        raise CommandError(f"--reason: {errors_of(error)[0]['detail']}.") from error
    except DomainError as error:
        raise CommandError(str(error)) from error


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
