"""`manage.py pay_in_sandbox`: lets the customer of an order pay in the sandbox gateway."""

from argparse import ArgumentParser
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django.core.management.base import CommandError
from uuid_utils.compat import uuid7

from ordering_write.domain.values import Money
from ordering_write.management.sandbox_command import SandboxCommand
from ordering_write.models import Order
from ordering_write.ports.sandbox_payment import SandboxPayments


class Command(SandboxCommand):
    help = """Let the customer of an order pay in the sandbox gateway, which reports the
    authorization to the running service by webhook."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--amount", type=Decimal, help="By default the balance of the order.")

    def report(self, gateway: SandboxPayments, order: Order, options: Mapping[str, Any]) -> None:
        amount = options["amount"]
        money = Money.of(order.balance if amount is None else amount, order.currency)
        if money.amount <= 0:
            raise CommandError(f"Nothing is due for order {order.order_number}.")
        payment_id = gateway.authorize(key=uuid7(), order_id=order.pk, amount=money)
        self.stdout.write(f"{payment_id}: {money.amount} {money.currency}")
