"""`manage.py seed_demo`: customers, products, orders and logins to look at on the first day."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from config.accounts.models import User
from ordering_write import client, log
from ordering_write.domain.events import OrderStatus
from ordering_write.management.demo import (
    ADMIN,
    CLERK,
    CUSTOMER,
    CUSTOMERS,
    LOGINS,
    PASSWORD,
    WAREHOUSE,
    demo_id,
)

CURRENCY = "EUR"
# SKU, name, list price, units in stock.
PRODUCTS = (
    ("LAMP-1", "Desk lamp", "39.90", 120),
    ("LAMP-2", "Floor lamp", "89.00", 60),
    ("CHAIR-1", "Folding chair", "49.50", 80),
    ("DESK-1", "Standing desk", "399.00", 30),
    ("SHELF-1", "Wall shelf", "24.90", 150),
    ("RUG-1", "Woollen rug", "129.00", 30),
    ("MUG-1", "Stoneware mug", "9.90", 500),
    ("CLOCK-1", "Wall clock", "34.00", 25),
)
ORDERS = 36
SPAN = timedelta(days=6)
# Still pending.
YOUNGEST = timedelta(minutes=30)
# How long after its placing an order takes each step, and who takes it.
STEPS = (
    (OrderStatus.CONFIRMED, timedelta(hours=2), CLERK),
    (OrderStatus.PROCESSING, timedelta(hours=14), WAREHOUSE),
    (OrderStatus.SHIPPED, timedelta(hours=30), WAREHOUSE),
    (OrderStatus.DELIVERED, timedelta(hours=72), WAREHOUSE),
    (OrderStatus.COMPLETED, timedelta(hours=110), CLERK),
)
# Of each nine orders, which one is cancelled.
CANCELLED_EVERY, CANCELLED = 9, 4
CANCELLED_AFTER = timedelta(hours=1)


class Command(BaseCommand):
    help = "Fill an empty log with demo orders and make the demo logins. Only where DEMO is on."

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEMO:
            raise CommandError("This is no demo: set DEMO=1 to have demo data and demo logins.")
        if log.head():
            self.stdout.write("The log isn't empty; no demo data are needed.")
            return
        _Demo(_make_users(), now=datetime.now(UTC)).fill()
        self.stdout.write(
            f"Made {len(CUSTOMERS)} customers, {len(PRODUCTS)} products, {ORDERS} orders and "
            f"{len(LOGINS)} logins for the demo."
        )


def _make_users() -> dict[str, User]:
    # Hashed once: it takes half a second.
    password = make_password(PASSWORD)
    users = {}
    with transaction.atomic():
        for login in LOGINS:
            user, _ = User.objects.update_or_create(
                username=login.username,
                defaults={
                    "password": password,
                    "is_staff": login.is_staff,
                    "is_superuser": login is ADMIN,
                    "customer_id": login.customer_id,
                },
            )
            user.groups.set([Group.objects.get(name=login.role)])
            users[login.username] = user
    return users


class _Demo:
    """The story that the demo tells, ending ``now``; every line of it is a command."""

    def __init__(self, users: dict[str, User], *, now: datetime) -> None:
        self.now = now
        self.users = users
        self.envelopes = {
            name: client.envelope(user, channel="cli") for name, user in users.items()
        }

    def fill(self) -> None:
        opening = self.now - SPAN - timedelta(hours=1)
        for name in CUSTOMERS:
            email = f"{name.replace(' ', '.').lower()}@example.com"
            self._give(
                CLERK.username,
                client.RegisterCustomer,
                opening,
                customer_id=demo_id(name),
                name=name,
                email=email,
            )
        for sku, name, price, on_hand in PRODUCTS:
            self._give(
                WAREHOUSE.username,
                client.RegisterStockItem,
                opening,
                product_id=demo_id(sku),
                sku=sku,
                name=name,
                on_hand=on_hand,
                list_price=Decimal(price),
                currency=CURRENCY,
                reorder_point=10,
            )
        for number in range(ORDERS):
            age = SPAN * (ORDERS - 1 - number) / ORDERS + YOUNGEST
            self._live_through(number, self.now - age)

    def _live_through(self, number: int, placed_at: datetime) -> None:
        """Place the order and let happen to it what happens until now."""
        customer = CUSTOMERS[number % len(CUSTOMERS)]
        asker = CUSTOMER if demo_id(customer) == CUSTOMER.customer_id else CLERK
        order_id = self._place(number, customer, asker.username, placed_at)
        if number % CANCELLED_EVERY == CANCELLED:
            self._give(
                asker.username,
                client.CancelOrder,
                placed_at + CANCELLED_AFTER,
                order_id=order_id,
                reason="Ordered by mistake",
                reason_code="customer",
            )
            return
        for status, after, mover in STEPS:
            if placed_at + after > self.now:
                return
            self._give(
                mover.username,
                client.UpdateOrderStatus,
                placed_at + after,
                order_id=order_id,
                status=status,
            )

    def _place(self, number: int, customer: str, username: str, placed_at: datetime) -> UUID:
        lines = 1 + number % 3
        picked = [PRODUCTS[(number * 3 + line) % len(PRODUCTS)] for line in range(lines)]
        return self._give(
            username,
            client.CreateOrder,
            placed_at,
            customer_id=demo_id(customer),
            currency=CURRENCY,
            items=[
                {
                    "product_id": demo_id(sku),
                    "quantity": 1 + (number + line) % 2,
                    "unit_price": Decimal(price),
                }
                for line, (sku, _name, price, _on_hand) in enumerate(picked)
            ],
            shipping_address={
                "name": customer,
                "line1": f"{number + 1} Example Street",
                "city": "Sampleton",
                "postal_code": "12345",
                "country": "ES",
            },
        )

    def _give(
        self,
        username: str,
        command_type: type[client.Command],
        timestamp: datetime,
        **payload: Any,
    ) -> Any:
        """Dispatch the command; the id of what its first event is about."""
        command = command_type(timestamp=timestamp, **self.envelopes[username], **payload)
        first = client.dispatch(command, user=self.users[username])[0]
        return getattr(first, "order_id", None)
