"""`manage.py dumpdata`: Django's command, which leaves errors of databases to manage.py."""

from typing import Any

import django.db
from django.core.management.base import CommandError
from django.core.management.commands import dumpdata


class Command(dumpdata.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        try:
            super().handle(*args, **options)
        except CommandError as error:
            if isinstance(error.__context__, django.db.Error):
                raise error.__context__ from error.__context__.__cause__
            raise
