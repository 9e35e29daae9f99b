"""Makes the pictures of docs/screens: ``make screens`` runs this on a copy with demo data."""

from pathlib import Path
from typing import Any

import django

FOLDER = Path(__file__).parent.parent / "docs" / "screens"
PASSWORD = "demo-password"

# An order with parcels and units that are yet to be packed.
_ORDER = "/admin/ordering_read/ordersummary/?status=partially_shipped"
# Name of the picture, login of the demo, path.
PICTURES = (
    ("today", "admin", "/admin/"),
    ("orders", "clerk", "/admin/ordering_read/ordersummary/"),
    ("order", "clerk", _ORDER),
    ("new-order", "clerk", "/admin/orders/new/"),
    ("history", "auditor", _ORDER),
    ("packing", "warehouse", "/admin/packing/"),
    ("reports", "admin", "/admin/reports/"),
    ("system", "admin", "/admin/system/"),
    ("my-orders", "customer", "/my/orders/"),
)
# The links that lead from the list of orders to the page of a picture.
OF_AN_ORDER = {
    "order": ("#result_list tbody a",),
    "history": ("#result_list tbody a", 'a[href$="/history/"]'),
}
# Pictures that are taken on a phone too, and in the dark.
ON_A_PHONE = {"today", "order", "my-orders"}
IN_THE_DARK = {"order"}


def main() -> None:
    django.setup()
    from tests.acceptance.copies import new_copy
    from tests.browser import NARROW, Visitor, running_browser

    FOLDER.mkdir(exist_ok=True)
    with new_copy() as copy, running_browser() as browser:
        copy.run().ready()
        for name, login, path in PICTURES:
            for suffix, size, scheme in _takes(name):
                visitor = Visitor(browser, copy.url, color_scheme=scheme)
                start = "/my/login/" if login == "customer" else "/admin/login/"
                visitor.log_in(login, PASSWORD, path=start)
                visitor.page.set_viewport_size(size)
                visitor.page.goto(path)
                if name in OF_AN_ORDER:
                    _follow_first(visitor.page, OF_AN_ORDER[name])
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


def _follow_first(page: Any, selectors: tuple[str, ...]) -> None:
    """Follow the first link that each selector finds, one after the other."""
    for selector in selectors:
        with page.expect_navigation():
            page.locator(selector).first.click()


if __name__ == "__main__":
    main()
