"""Fills a copy with the states that are seldom seen, and prints the paths of their pages as JSON.

``tests/screens.py`` runs this with the environment of the copy.
"""

import json
from datetime import UTC, datetime
from uuid import UUID

import django

LONG = ("A name that goes on and on, as those of companies and museums do, " * 4)[:200]
MARKUP = '<b>Robin</b> <script>alert("Sample")</script> & Sons'
RIGHT_TO_LEFT = "محل العينات للمصابيح والسجاد"
# Units of an order whose projection fails under the settings tests.acceptance.poisoned.
FAILING_UNITS = 667
_EVENTS = 2_000


def main() -> None:
    django.setup()
    from config.accounts.models import User
    from ordering_write.domain import commands as c
    from ordering_write.domain.values import Actor
    from tests import kit

    User.objects.create_user("guest", password="demo-password", is_staff=True)
    clerk = User.objects.get(username="clerk")
    by = {"user_id": clerk.pk, "actor": Actor.user(clerk.pk, "clerk")}
    lamp = kit.registered_product(5_000, sku="LAMP-LONG", name=LONG)

    def order(
        name: str, price: str = "19.90", lines: int = 2, units: int = 1, **fields: object
    ) -> UUID:
        customer = kit.registered_customer(name)
        item = {"product_id": lamp.pk, "quantity": units, "unit_price": price}
        at = {"timestamp": datetime.now(UTC)}
        return kit.placed_order(customer, items=[item] * lines, **by, **at, **fields).pk

    orders = {
        "long-names": order(LONG),
        "many-lines": order("Robin Sample", lines=200),
        "right-to-left": order(RIGHT_TO_LEFT),
        "markup": order(MARKUP),
        "yen": order("Robin Sample", "1200", currency="JPY"),
        "dinar": order("Robin Sample", "1.255", currency="KWD"),
        "many-events": order("Robin Sample"),
        "parked": order("Robin Sample", lines=1, units=FAILING_UNITS),
    }
    for number in range(_EVENTS - 3):
        fields = {"order_id": orders["many-events"], "po_number": f"PO-{number}"}
        kit.dispatch(c.SetPoNumber.model_validate({**by, **fields}))
    pages = {
        name: f"/admin/ordering_read/ordersummary/{key}/change/" for name, key in orders.items()
    }
    pages["many-events"] = f"/admin/orders/{orders['many-events']}/history/"
    print(json.dumps(pages))


if __name__ == "__main__":
    main()
