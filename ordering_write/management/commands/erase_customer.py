"""`manage.py erase_customer`: erases a customer's personal data, and counts the erased items."""

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError
from pydantic import ValidationError

from config.accounts.models import User
from config.commands import ServiceCommand
from ordering_write.bus import get_command_bus
from ordering_write.bus.permissions import authorize, envelope
from ordering_write.domain.commands import EraseCustomer
from ordering_write.domain.errors import DomainError
from ordering_write.domain.events import CustomerErased


class Command(ServiceCommand):
    help = """Erase a customer for good: names, addresses, notes and their user account. Orders and
    amounts stay. Lists how much was erased, by kind. Copies outside of the service stay: exports,
    mails, logs, backups."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("customer", type=UUID, metavar="ID")
        parser.add_argument("--user", required=True, help="The name of the user who erases.")
        parser.add_argument("--reason", required=True)
        parser.add_argument("--dry-run", action="store_true", help="Only count, erase nothing.")

    def handle(
        self, *args: Any, customer: UUID, user: str, reason: str, dry_run: bool, **options: Any
    ) -> None:
        eraser = User.objects.filter(username=user, is_active=True).first()
        if eraser is None:
            raise CommandError(f"There is no active user {user}.")
        try:
            command = EraseCustomer(
                customer_id=customer, reason=reason, **envelope(eraser, channel="cli")
            )
            authorize(eraser, command)
            counts = _preview(command) if dry_run else _erase(command)
        except (DomainError, ValidationError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write("Would be erased:" if dry_run else "Erased:")
        for name, number in counts.items():
            self.stdout.write(f"{number:>9,} {name.replace('_', ' ')}")


def _erase(command: EraseCustomer) -> Mapping[str, int]:
    events = get_command_bus().dispatch(command)
    return next(event.erased for event in events if isinstance(event, CustomerErased))


def _preview(command: EraseCustomer) -> Mapping[str, int]:
    events = get_command_bus().preview(command).would_emit
    return next(event.fields["erased"] for event in events if event.type == "CustomerErased")
