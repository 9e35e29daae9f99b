"""`manage.py demo_welcome`: prints the demo logins, and a line that places an order."""

import json
import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.db.models import F, Q
from django.utils import timezone
from knox.crypto import hash_token
from knox.models import AuthToken

from config.accounts.models import User
from config.commands import ServiceCommand
from ordering_write.management.demo import ADMIN, CUSTOMERS, LOGINS, PASSWORD, demo_id
from ordering_write.models import Customer, StockItem


class Command(ServiceCommand):
    help = "Print the demo logins, an API token and a curl line that places an order."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--url", default="http://localhost:8000", help="The URL of the service."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEMO:
            raise CommandError("This is no demo: set DEMO=1 to have demo data and demo logins.")
        admin = User.objects.filter(username=ADMIN.username, is_active=True).first()
        if admin is None:
            self.stdout.write("There are no demo logins here: the log was not empty at first.")
            return
        token = _token(admin, settings.DATA_DIR / "demo_token")
        logins = ", ".join(f"{login.username} ({login.role})" for login in LOGINS)
        self.stdout.write(
            f"  Logins      {logins}\n  Password    {PASSWORD}\n  Token       {token}"
        )
        body = _order_body()
        if body is not None:
            self.stdout.write(
                "\nPlace an order:\n\n"
                f"curl -sS '{options['url']}/api/v1/orders' -H 'Authorization: Token {token}'"
                f" -H 'Content-Type: application/json' -d '{json.dumps(body)}'"
            )


def _token(user: User, file: Path) -> str:
    """Return the token in ``file``, or a new one if that is no valid token of ``user``."""
    token = file.read_text() if file.exists() else ""
    tokens = AuthToken.objects.filter(user=user, digest=hash_token(token))
    if tokens.filter(Q(expiry=None) | Q(expiry__gt=timezone.now())).exists():
        return token
    _, token = AuthToken.objects.create(user=user)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(token)
    return token


def _order_body() -> dict[str, Any] | None:
    """Return the body of an order that can be placed now; None if no product is available."""
    customer = Customer.objects.filter(pk=demo_id(CUSTOMERS[0])).first()
    product = (
        StockItem.objects.filter(on_hand__gt=F("reserved"), list_price__isnull=False)
        .order_by(F("reserved") - F("on_hand"))
        .first()
    )
    if customer is None or product is None or product.price is None:
        return None
    return {
        "customer_id": str(customer.pk),
        "currency": product.price.currency,
        "items": [
            {
                "product_id": str(product.pk),
                "quantity": 1,
                "unit_price": str(product.price.amount),
            }
        ],
        "shipping_address": {
            "name": customer.name,
            "line1": "1 Example Street",
            "city": "Sampleton",
            "postal_code": "12345",
            "country": "ES",
        },
    }
