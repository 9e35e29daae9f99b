"""Makes the pictures of docs/screens: ``make screens`` runs this on a copy with demo data."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import django

FOLDER = Path(__file__).parent.parent / "docs" / "screens"
PASSWORD = "demo-password"

# Name of the picture, login of the demo, path; {order} is the id of an order with much to show.
PICTURES = (
    ("today", "admin", "/admin/"),
    ("orders", "clerk", "/admin/ordering_read/ordersummary/"),
    ("order", "clerk", "/admin/ordering_read/ordersummary/{order}/change/"),
    ("new-order", "clerk", "/admin/orders/new/"),
    ("history", "auditor", "/admin/orders/{order}/history/"),
    ("packing", "warehouse", "/admin/packing/"),
    ("reports", "admin", "/admin/reports/"),
    ("system", "admin", "/admin/system/"),
    ("my-orders", "customer", "/my/orders/"),
)
# Pictures that are taken on a phone too, and in the dark.
ON_A_PHONE = {"today", "order", "my-orders"}
IN_THE_DARK = {"order"}


@contextmanager
def demo_service() -> Iterator[Any]:
    """Yield a running copy of the service with the data of the demo."""
    from tests.acceptance.service import Service
    from tests.databases import MigratedDatabases

    migrated = MigratedDatabases(keep=True)
    try:
        with Service(Path(tempfile.mkdtemp()), like=migrated.names) as service:
            service.manage("seed_demo")
            service.settle()
            yield service
    finally:
        migrated.drop()


def main() -> None:
    django.setup()
    from tests.browser import NARROW, Visitor, running_browser

    FOLDER.mkdir(exist_ok=True)
    with demo_service() as service, running_browser() as browser:
        order = _order_with_much_to_show(service)
        for name, login, path in PICTURES:
            for suffix, size, scheme in _takes(name):
                visitor = Visitor(browser, service.url, color_scheme=scheme)
                start = "/my/login/" if login == "customer" else "/admin/login/"
                visitor.log_in(login, PASSWORD, path=start)
                visitor.page.set_viewport_size(size)
                visitor.page.goto(path.format(order=order))
                file = FOLDER / f"{name}{suffix}.png"
                visitor.page.screenshot(path=file, full_page=size == NARROW)
                visitor.close()
                print(file)


def _takes(name: str) -> list[tuple[str, Any, str]]:
    """Return the suffix, the size of the window and the colours of each take of a picture."""
    from tests.browser import NARROW, WIDE

    takes: list[tuple[str, Any, str]] = [("", WIDE, "light")]
    if name in ON_A_PHONE:
        takes.append(("-phone", NARROW, "light"))
    if name in IN_THE_DARK:
        takes.append(("-dark", WIDE, "dark"))
    return takes


def _order_with_much_to_show(service: Any) -> str:
    """Return the id of an order with a parcel and units that are yet to be packed."""
    found = service.client("admin").get("/orders", params={"status": "partially_shipped"}).json()
    return str(found["results"][0]["id"])


if __name__ == "__main__":
    main()
