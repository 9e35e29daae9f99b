"""`manage.py create_token`: prints a new token for a user or a program."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group
from django.core.management.base import CommandError
from django.db import transaction
from django.utils import timezone
from knox.models import AuthToken

from config.accounts.models import User
from config.accounts.roles import Role
from config.commands import ServiceCommand

# A longer life is one without an end.
_MAX_DAYS = 3650


class Command(ServiceCommand):
    help = "Print a new API token for USERNAME. Creates a missing user, with the rights of --role."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")
        parser.add_argument(
            "--role", choices=[role.lower() for role in Role], help="Add the user to this role."
        )

        parser.add_argument(
            "--days",
            type=int,
            default=settings.TOKEN_DAYS,
            help="Days until the token expires; 0: never. Default: TOKEN_DAYS, %(default)s.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        days: int = options["days"]
        if not 0 <= days <= _MAX_DAYS:
            raise CommandError(f"--days must be from 0 to {_MAX_DAYS}.")
        with transaction.atomic():
            AuthToken.objects.filter(expiry__lt=timezone.now()).delete()
            user, created = User.objects.get_or_create(username=options["username"])
            if created:
                user.set_unusable_password()
                user.save(update_fields=["password"])
            if options["role"]:
                user.groups.add(Group.objects.get(name=Role(options["role"].capitalize())))
            expiry = timedelta(days=days) if days else None
            row, token = AuthToken.objects.create(user=user, expiry=expiry)
        if created:
            self.stderr.write(f"Made user {user.username}.")
        end = f"expires on {row.expiry:%Y-%m-%d}" if row.expiry else "never expires"
        self.stderr.write(f"The token {end}.")
        self.stdout.write(token)
