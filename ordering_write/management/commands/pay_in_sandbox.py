"""`manage.py pay_in_sandbox`: lets the customer of an order pay in the sandbox gateway."""

from argparse import ArgumentParser
from decimal import Decimal
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from uuid_utils.compat import uuid7

from ordering_write.domain.order_numbers import spelled_order_number
from ordering_write.domain.values import Money
from ordering_write.models import Order
from ordering_write.ports import payment_port
from ordering_write.ports.sandbox_payment import SandboxPayments


class Command(BaseCommand):
    help = """Let the customer of an order pay in the sandbox gateway, which reports the
    authorization to the running service by webhook."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("order", metavar="NUMBER", help="The number of the order.")
        parser.add_argument("--amount", type=Decimal, help="By default the balance of the order.")

    def handle(self, *args: Any, order: str, amount: Decimal | None, **options: Any) -> None:
        gateway = payment_port()
        if not isinstance(gateway, SandboxPayments):
            raise CommandError("PAYMENT_PORT isn't the sandbox gateway.")
        row = Order.objects.filter(order_number=spelled_order_number(order)).first()
        if row is None:
            raise CommandError(f"There is no order {order}.")
        money = Money.of(row.balance if amount is None else amount, row.currency)
        if money.amount <= 0:
            raise CommandError(f"Nothing is due for order {row.order_number}.")
        try:
            payment_id = gateway.authorize(key=uuid7(), order_id=row.pk, amount=money)
        except OSError as error:
            raise CommandError(f"The service doesn't take the webhook: {error}") from error
        self.stdout.write(f"{payment_id}: {money.amount} {money.currency}")
