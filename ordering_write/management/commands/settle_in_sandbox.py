"""`manage.py settle_in_sandbox`: ends the pending captures and refunds of an order."""

from argparse import ArgumentParser
from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError

from ordering_write.management.sandbox_command import SandboxCommand
from ordering_write.models import Order
from ordering_write.ports.sandbox_payment import SandboxPayments, is_pending


class Command(SandboxCommand):
    help = """Let the sandbox gateway end the captures and refunds of an order that it answered with
    "pending", and report them to the running service by webhook."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--fail", action="store_true", help="Refuse them; by default settle.")

    def report(self, gateway: SandboxPayments, order: Order, options: Mapping[str, Any]) -> None:
        is_done = not options["fail"]
        reports = 0
        requests = (*order.captures.items(), *order.refunds.items())
        for request_id, request in requests:
            amount = order.money(Decimal(request["amount"]))
            if request["status"] != "requested" or not is_pending(amount):
                continue
            fact: dict[str, Any] = {"key": UUID(request_id), "order_id": order.pk, "amount": amount}
            if request_id in order.captures:
                payment_id = request["payment_id"]
                gateway.end_capture(**fact, payment_id=payment_id, is_done=is_done)
            else:
                gateway.end_refund(**fact, is_done=is_done)
            self.stdout.write(f"{request_id}: {amount.amount} {amount.currency}")
            reports += 1
        if not reports:
            raise CommandError(f"Nothing is pending for order {order.order_number}.")
