"""The base class of the commands of manage.py, and the types of numbers in their arguments."""

from argparse import ArgumentTypeError

from django.core.management.base import BaseCommand

# The tag of the system checks without which no command of ours may run.
CHECKS = "service"


class ServiceCommand(BaseCommand):
    """Runs the checks with the tag CHECKS only.

    All checks load every page of the service, for which the user of a command would wait a second.
    `manage.py check`, `migrate` and `runserver` run all of them.
    """

    requires_system_checks = (CHECKS,)


def positive(text: str) -> int:
    """Return a whole number of 1 or more. Raises ArgumentTypeError."""
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text} isn't a whole number of 1 or more")
    return int(text)


def seconds(text: str) -> float:
    """Return a number of seconds, 0 or more. Raises ArgumentTypeError."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    # ``not >=`` instead of ``<``, so that NaN is refused too.
    if not number >= 0:
        raise ArgumentTypeError(f"{text} isn't a number of 0 or more")
    return number
