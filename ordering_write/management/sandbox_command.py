"""The base of the commands of `manage.py` that let the sandbox gateway report facts."""

from abc import abstractmethod
from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandError

from config.commands import ServiceCommand
from ordering_write.domain.order_numbers import spelled_order_number
from ordering_write.models import Order
from ordering_write.ports import payment_port
from ordering_write.ports.sandbox_payment import SandboxPayments


class SandboxCommand(ServiceCommand):
    """Finds the gateway and the order, and turns a refused webhook into a CommandError."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("order", metavar="NUMBER", help="The number of the order.")

    def handle(self, *args: Any, order: str, **options: Any) -> None:
        gateway = payment_port()
        if not isinstance(gateway, SandboxPayments):
            raise CommandError("PAYMENT_PORT isn't the sandbox gateway.")
        row = Order.objects.filter(order_number=spelled_order_number(order)).first()
        if row is None:
            raise CommandError(f"There is no order {order}.")
        try:
            self.report(gateway, row, options)
        except OSError as error:
            raise CommandError(f"The service doesn't take the webhook: {error}") from error

    @abstractmethod
    def report(self, gateway: SandboxPayments, order: Order, options: Mapping[str, Any]) -> None:
        """Let ``gateway`` report facts of ``order``. Raises CommandError if there are none."""
