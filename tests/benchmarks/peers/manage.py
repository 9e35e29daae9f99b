"""Django's manage.py of the peer: ``python -m tests.benchmarks.peers.manage COMMAND``."""

import os
import sys

from django.core.management import execute_from_command_line

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.benchmarks.peers.settings")
execute_from_command_line(sys.argv)
