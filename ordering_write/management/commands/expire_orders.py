"""`manage.py expire_orders`: expires at once the orders that weren't paid in time."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from django.core.management.base import CommandError, CommandParser

from config import processes
from config.commands import ServiceCommand
from ordering_write.bus import get_command_bus
from ordering_write.domain.commands import ExpireOrder
from ordering_write.domain.errors import DomainError, InvalidOperationError
from ordering_write.domain.events import OrderStatus
from ordering_write.domain.values import Actor
from ordering_write.models import Order


class Command(ServiceCommand):
    help = """Expires the orders that nobody has paid or confirmed in time, as the policy
    expire_unpaid does, but at once and also without workers. Lists each order. Paid orders are left
    alone. Can be run again, and beside the workers: an order expires once."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="List the orders, change none.")
        parser.add_argument("--json", action="store_true", help="Print one JSON document.")

    def handle(self, *args: Any, dry_run: bool, **options: Any) -> None:
        now = datetime.now(UTC)
        expired, refusals = [], []
        for order in _overdue(now):
            try:
                if dry_run or _expire(order, now):
                    expired.append(order)
            except DomainError as error:
                refusals.append(f"{order.order_number}: {error}")
        if options["json"]:
            self._write_json(expired, now, is_dry_run=dry_run)
        else:
            self._write_lines(expired, is_dry_run=dry_run)
        if refusals:
            raise CommandError("\n".join(refusals))

    def _write_json(self, orders: list[Order], now: datetime, *, is_dry_run: bool) -> None:
        document = {
            "at": now.isoformat(),
            "dry_run": is_dry_run,
            "expired": [
                {
                    "order_number": order.order_number,
                    "order_id": str(order.pk),
                    "expires_at": order.expires_at and order.expires_at.isoformat(),
                }
                for order in orders
            ],
        }
        self.stdout.write(json.dumps(document))

    def _write_lines(self, orders: list[Order], *, is_dry_run: bool) -> None:
        verb = "would expire" if is_dry_run else "expired"
        for order in orders:
            over_at = order.expires_at
            self.stdout.write(f"{order.order_number} {verb}: its time ended {over_at:%F %R} UTC.")
        count = len(orders)
        self.stdout.write(f"{count:,} order{'' if count == 1 else 's'} {verb}.")


def _overdue(now: datetime) -> Iterator[Order]:
    """Yield the orders that may expire ``now``, the longest overdue first."""
    pending = Order.objects.filter(status=OrderStatus.PENDING, expires_at__lte=now)
    # The keys first: each command is a transaction of its own.
    for key in list(pending.order_by("expires_at").values_list("pk", flat=True)):
        order = Order.objects.get(pk=key)
        try:
            order.may_expire(now=now)
        except InvalidOperationError:
            # The order was paid, or it has just moved on.
            continue
        yield order


def _expire(order: Order, now: datetime) -> bool:
    """Expire ``order``; return False if a worker or a payment came first."""
    login = processes.login()
    command = ExpireOrder(
        order_id=order.pk,
        timestamp=now,
        user_id=uuid5(NAMESPACE_OID, f"cli:{login}"),
        actor=Actor(type="cli", id=login),
        channel="cli",
    )
    try:
        get_command_bus().dispatch(command)
    except InvalidOperationError:
        return False
    return True
