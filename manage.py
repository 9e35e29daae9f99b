#!/usr/bin/env python3
"""The project's command line."""

import os
import sys

import django.db
from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line
from django.db.migrations.exceptions import InconsistentMigrationHistory

from config import environment, logs, processes
from config.fields.names import RegistrationError
from config.version import VERSION

# Programs, of which every line is a record of the log. The output of other commands is an answer.
_PROGRAMS = ("migrate", "run", "workers")


def main() -> None:
    """Run the command; a wrong setting or database is said in one sentence."""
    if sys.argv[1:] == ["version"]:
        # Django's own command says the version of Django. This one needs no settings.
        print(VERSION)
        return
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    if os.environ.get("LOG_FORMAT") == "json":
        logs.write_json(output=sys.argv[1:2] != [] and sys.argv[1] in _PROGRAMS)
    # Almost all objects that are made while code is loaded stay: collections would cost a tenth.
    processes.collect_less()
    # runserver serves requests, like gunicorn.
    environment.is_command = sys.argv[1:2] != ["runserver"]
    try:
        execute_from_command_line(sys.argv)
    except (ImproperlyConfigured, RegistrationError) as error:
        logs.end_with(f"{error}")
    except (django.db.Error, InconsistentMigrationHistory) as error:
        from config.databases import faults

        if not (sentence := faults.sentence(error)):
            raise
        logs.end_with(sentence)


if __name__ == "__main__":
    main()
