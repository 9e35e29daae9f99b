"""The way to the first login of a service without demo data."""

import os
import shlex
import sys

from django.conf import settings

from config.accounts.models import User


def first_login_hint() -> str:
    """Return how to make the first login, for a terminal; empty if somebody can log in already.

    The command works in any folder. It repeats DATA_DIR, but no variable with a password in it.
    """
    if User.objects.filter(is_active=True, is_staff=True).exists():
        return ""
    environ = ""
    if settings.EMBEDDED and os.environ.get("DATA_DIR"):
        environ = f"DATA_DIR={shlex.quote(str(settings.DATA_DIR))} "
    where = "" if settings.EMBEDDED else ", with the environment of this one"
    return (
        f"No login yet. Make one in another terminal{where}:\n\n"
        f"cd {shlex.quote(str(settings.BASE_DIR))} && "
        f"{environ}{shlex.quote(sys.executable)} manage.py createsuperuser\n\n"
        "The first product, customer and order follow in the admin, or as in "
        "docs/how-to/open-a-shop.md.\n"
    )
