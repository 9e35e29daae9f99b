"""The functions that the queue runs. A task is only a wake-up: the checkpoints hold the work."""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from io import StringIO
from uuid import UUID

from django.core.management import call_command

from config.workers import outdated
from ordering_read.engine import control, generations, status
from ordering_read.engine import rebuild as rebuilding
from ordering_read.engine import verify as verification
from ordering_read.exports import jobs
from ordering_read.my import mails
from ordering_write import bulk, subscriptions
from ordering_write.log import LogUnavailableError
from ordering_write.subscriptions import alarm, samples

logger = logging.getLogger(__name__)

# Seconds for which a task may keep a worker while other subscribers wait for their turn.
_TURN_SECONDS = 1.0


def run(subscription_name: str, *names: str, slices: Sequence[int] = ()) -> None:
    """Run the subscribers ``names`` of a subscription, which the broker has leased.

    Of those that are cut, the broker has leased the slices with the numbers ``slices``.
    """
    subscription = subscriptions.find(subscription_name)
    idle_wait = subscription.idle_wait
    subscription.run(*names, slices=slices, seconds=_TURN_SECONDS, idle_wait=idle_wait)


def project_all() -> None:
    """Run all subscribers that have work. Brokers that don't know subscriptions use this task."""
    status.heartbeat()
    for subscription in subscriptions.registered():
        while (leased := subscription.lease()).behind:
            subscription.run(*leased.behind, slices=leased.numbers, seconds=_TURN_SECONDS)
    statuses = subscriptions.all_statuses()
    alarm.look(statuses)
    samples.record(statuses)
    outdated.report()
    generations.discard_expired()


def rebuild(*names: str, promote: bool = True) -> None:
    """Rebuild projections one after the other, so that the rebuilds keep only one worker busy.

    Without ``promote``, the new rows wait until somebody lets them take over.
    """
    for name in names:
        with _refusals_logged():
            rebuilding.rebuild(name, promote=promote)


def take_over(name: str) -> None:
    """Let the complete rows of a rebuild take over. Does nothing if they have done so by now."""
    if name in control.rebuilding():
        rebuild(name)


def verify(*names: str) -> None:
    """Compare the rows of projections with the log; the result is stored with the projection."""
    for name in names:
        with _refusals_logged():
            verification.verify(name)


def cancel_rebuild(name: str) -> None:
    """Cancel a rebuild: delete its rows, unless a process that still rebuilds deletes them."""
    with _refusals_logged():
        control.cancel(name)


def discard_former(name: str) -> None:
    """Delete the former generation of a projection."""
    with _refusals_logged():
        generations.discard_former(name)


def mail_link(key: str) -> None:
    """Mail the link with this key to a customer."""
    mails.send(key)


@contextlib.contextmanager
def _refusals_logged() -> Iterator[None]:
    try:
        yield
    except (generations.GenerationError, LogUnavailableError) as error:
        logger.warning("%s", error)


def run_bulk_jobs() -> None:
    """Go on with the bulk jobs for a turn, and ask for another one if work is left."""
    if bulk.run_waiting(seconds=_TURN_SECONDS):
        bulk.enqueue()


def export(export_id: str) -> None:
    """Write the file of an export."""
    jobs.run(UUID(export_id))


def keep_exports() -> None:
    """Begin exports again whose worker was killed, and delete old files."""
    jobs.keep()


def prune_commands() -> None:
    """Delete old command records and bulk jobs."""
    output = StringIO()
    call_command("prune_commands", stdout=output)
    logger.info("Records of old commands: %s", output.getvalue().strip())
    logger.info("Old bulk jobs: pruned %d", bulk.prune())
