"""`manage.py create_token`: prints a new token for a user or a program."""

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import Group
from django.core.management.base import BaseCommand
from django.db import transaction
from knox.models import AuthToken

from config.accounts.models import User
from config.accounts.roles import Role


class Command(BaseCommand):
    help = "Print a new API token for USERNAME. Creates a missing user, with the rights of --role."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")
        parser.add_argument(
            "--role", choices=[role.lower() for role in Role], help="Add the user to this role."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        with transaction.atomic():
            user, created = User.objects.get_or_create(username=options["username"])
            if created:
                user.set_unusable_password()
                user.save(update_fields=["password"])
            if options["role"]:
                user.groups.add(Group.objects.get(name=Role(options["role"].capitalize())))
            _, token = AuthToken.objects.create(user=user)
        if created:
            self.stderr.write(f"Made user {user.username}.")
        self.stdout.write(token)
