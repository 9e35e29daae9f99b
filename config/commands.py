"""The base class of the commands of manage.py."""

from django.core.management.base import BaseCommand

# The tag of the system checks without which no command of ours may run.
CHECKS = "service"


class ServiceCommand(BaseCommand):
    """Runs the checks with the tag CHECKS only.

    All checks load every page of the service, for which the user of a command would wait a second.
    `manage.py check`, `migrate` and `runserver` run all of them.
    """

    requires_system_checks = (CHECKS,)
