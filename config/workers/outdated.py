"""Reports outdated projections, whose rows other code has made, and keeps their rebuild running."""

import logging
import sys

from django.conf import settings

from config.processes import Program
from ordering_read.engine import status
from ordering_read.management.commands import rebuild_projections
from ordering_write.subscriptions import alarm

# Exit codes of the program after which it isn't started again: done, or refused with a reason.
_FINISHED = (0, rebuild_projections.REFUSED)


class OutdatedProjections:
    """Watches over outdated projections from the start of the workers on.

    Only the first look finds them. While releases change, other nodes run newer code, and rows that
    the newer code has made look outdated to these workers: they must not make old rows of them.
    """

    def __init__(self) -> None:
        self._has_looked = False
        self._rebuild: Program | None = None

    def look(self) -> None:
        """Report outdated projections at the first call, and keep their rebuild running.

        The rebuild is a process that ends with this one: it neither occupies a worker nor outlives
        the workers, and resumes when they start again.
        """
        if not self._has_looked:
            if report() and settings.AUTO_REBUILD_OUTDATED:
                self._rebuild = Program(
                    "The rebuild of outdated projections",
                    [sys.executable, "manage.py", "rebuild_projections", "--outdated"],
                    cwd=settings.BASE_DIR,
                )
            self._has_looked = True
        if self._rebuild is None:
            return
        if self._rebuild.exit_code in _FINISHED:
            self._rebuild = None
        elif message := self._rebuild.keep_running():
            logging.getLogger(__name__).warning("%s", message)


def report() -> list[str]:
    """Return the names of the outdated projections, and report those that nobody has reported.

    All of them are one line in the log and one mail to ADMINS.
    """
    if not (names := status.outdated()):
        return []
    if new := status.mark_outdated(names):
        step = (
            "The workers rebuild them, one after the other."
            if settings.AUTO_REBUILD_OUTDATED
            else "When all processes run this release: manage.py rebuild_projections --outdated"
        )
        line = f"Projections are outdated, since other code has made their rows: {', '.join(new)}."
        alarm.report("Projections are outdated", [f"{line} {step}"], logging.WARNING)
    return names
