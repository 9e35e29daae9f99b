"""`manage.py policies`: shows the timers of each policy; retries and skips parked ones."""

from typing import Any
from uuid import UUID

from django.core.management.base import CommandError, CommandParser
from pydantic import TypeAdapter, ValidationError

from config import processes
from config.commands import ServiceCommand
from config.http.input.validation import errors_of
from ordering_write import policies
from ordering_write.domain.errors import DomainError
from ordering_write.policies import PolicyStatus
from ordering_write.subscriptions.parked import Reason

_LINE = "{:<20} {:>8} {:>6} {:>8} {:>7}  {:<20} {}"


class Command(ServiceCommand):
    help = "Show the timers of each policy, and how far the policies are behind the log."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--fail-over",
            type=float,
            metavar="SECONDS",
            help="Exit with 1 when the policies have failed, are further behind the log than this, "
            "or have parked something.",
        )
        action = parser.add_mutually_exclusive_group()
        action.add_argument(
            "--retry", action="store_true", help="First retry all parked events and timers."
        )
        action.add_argument(
            "--skip",
            type=UUID,
            metavar="ID",
            help="First skip the parked event or timer with this id, for good.",
        )
        parser.add_argument(
            "--reason", default="", help="The reason for the skip, which is stored."
        )

    def handle(
        self,
        *args: Any,
        fail_over: float | None,
        retry: bool,
        skip: UUID | None,
        reason: str,
        **options: Any,
    ) -> None:
        # The comparison is written this way round to refuse NaN too.
        if fail_over is not None and not fail_over >= 0:
            raise CommandError("--fail-over must be 0 or more.")
        if retry:
            self.stdout.write(f"{policies.retry()} events and timers are tried again.")
        if skip:
            _skip(skip, reason)
            self.stdout.write(f"{skip} is skipped.")
        self._show()
        if fail_over is not None and (fault := _fault(fail_over)):
            raise CommandError(f"The policies {fault}.")

    def _show(self) -> None:
        status = policies.status()
        self.stdout.write(
            f"At position {status.position:,} of {status.head:,}, {status.lag_seconds:.1f} s "
            f"behind the log; {status.parked_streams:,} streams are parked.\n{status.last_error}"
        )
        self.stdout.write(
            _LINE.format("policy", "waiting", "due", "failing", "parked", "next", "error")
        )
        for policy in policies.policy_statuses():
            self.stdout.write(_line(policy))
        for event in policies.parked_events():
            self.stdout.write(f"parked: {event}: {event.message}")
        for timer in policies.parked_timers():
            self.stdout.write(f"parked: {timer}: {timer.error}")
        for skipped in policies.skipped():
            self.stdout.write(f"skipped: {skipped}, by {skipped.skipped_by}: {skipped.skip_reason}")


def _skip(parked_id: UUID, reason: str) -> None:
    try:
        reason = TypeAdapter(Reason).validate_python(reason)
        policies.skip(parked_id, reason=reason, by=f"command line ({processes.login()})")
    except ValidationError as error:
        raise CommandError(f"--reason: {errors_of(error)[0]['detail']}.") from error
    except DomainError as error:
        raise CommandError(str(error)) from error


def _line(policy: PolicyStatus) -> str:
    next_at = f"{policy.next_at:%Y-%m-%d %H:%M:%SZ}" if policy.next_at else ""
    counts = (policy.waiting, policy.due, policy.failing, policy.parked)
    cells = [policy.name, *(f"{count:,}" for count in counts), next_at, policy.error]
    return _LINE.format(*cells).rstrip()


def _fault(seconds: float) -> str:
    """Return what is wrong with the policies, or an empty string."""
    status = policies.status()
    if status.failed:
        return "have failed"
    if status.lag_seconds > seconds:
        return f"are more than {seconds:g} s behind the log"
    if status.parked_streams or any(policy.parked for policy in policies.policy_statuses()):
        return "have something parked"
    return ""
