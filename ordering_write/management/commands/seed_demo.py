"""`manage.py seed_demo`: creates customers, products, orders and logins for a first look."""

import time
from argparse import ArgumentParser
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.auth.models import Group
from django.core.management.base import CommandError
from django.db import transaction

from config.accounts.models import User
from config.commands import ServiceCommand
from config.processes import collect_less
from ordering_write import log
from ordering_write.log import outbox
from ordering_write.management.demo import ADMIN, CUSTOMERS, LOGINS, PASSWORD, PRODUCTS
from ordering_write.management.demo_scenario import Scenario

ORDERS = 300
# Seconds between two lines about the progress.
LINE_SECONDS = 1.0


class Command(ServiceCommand):
    help = "Fill an empty log with demo orders and make the demo logins. Only where DEMO is on."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--orders", type=int, default=ORDERS, help=f"How many orders to make ({ORDERS})."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEMO:
            raise CommandError("This is no demo: set DEMO=1 to have demo data and demo logins.")
        if log.head():
            self.stdout.write("The log isn't empty; no demo data are needed.")
            return
        collect_less()
        orders = options["orders"]
        scenario = Scenario(_make_users(), orders=orders, now=datetime.now(UTC))
        with outbox.unit_of_work():
            scenario.play(self._progress(orders))
        self.stdout.write(
            f"Made {len(CUSTOMERS)} customers, {len(PRODUCTS)} products, {orders} orders and "
            f"{len(LOGINS)} logins for the demo."
        )

    def _progress(self, orders: int) -> Callable[[int], None]:
        """Return a function that says now and then how many orders are placed."""
        next_line = time.monotonic() + LINE_SECONDS

        def say(placed: int) -> None:
            nonlocal next_line
            if time.monotonic() >= next_line:
                self.stdout.write(f"{placed} of {orders} orders")
                self.stdout.flush()
                next_line = time.monotonic() + LINE_SECONDS

        return say


def _make_users() -> dict[str, User]:
    # Everybody knows the password, so that a slow hash would guard nothing. Django renews the hash
    # at the first login.
    hasher = PBKDF2PasswordHasher()
    password = hasher.encode(PASSWORD, hasher.salt(), iterations=1)
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
