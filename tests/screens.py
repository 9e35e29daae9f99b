"""Makes the pictures of docs/screens: ``make screens`` runs this on copies with demo data."""

import base64
import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import django

FOLDER = Path(__file__).parent.parent / "docs" / "screens"
PASSWORD = "demo-password"
# The quality of WebP from 0 to 100, and the height in pixels below which a page is cut off.
_QUALITY, _HEIGHT = 62, 1_500

_ORDERS = "/admin/ordering_read/ordersummary/"
# An order with parcels and units that are yet to be packed.
_ORDER = f"{_ORDERS}?status=partially_shipped"
_FIRST_ORDER = ("#result_list tbody a",)


class Picture(NamedTuple):
    """A picture ``name`` of the page ``path`` for ``login``, after clicks on ``selectors``.

    In the path, ``{name}`` is the page of a state that ``tests/screen_states.py`` makes.
    """

    name: str
    login: str
    path: str
    selectors: tuple[str, ...] = ()
    width: Literal[1300, 390] = 1300
    scheme: Literal["light", "dark"] = "light"
    is_printed: bool = False
    is_whole: bool = False


PICTURES = (
    Picture("today", "admin", "/admin/"),
    Picture("today-phone", "admin", "/admin/", width=390, is_whole=True),
    Picture("orders", "clerk", _ORDERS),
    Picture("orders-phone", "clerk", _ORDERS, width=390, is_whole=True),
    Picture("order", "clerk", _ORDER, _FIRST_ORDER),
    Picture("order-phone", "clerk", _ORDER, _FIRST_ORDER, width=390, is_whole=True),
    Picture("order-dark", "clerk", _ORDER, _FIRST_ORDER, scheme="dark"),
    Picture("order-printed", "clerk", _ORDER, _FIRST_ORDER, is_printed=True, is_whole=True),
    Picture("new-order", "clerk", "/admin/orders/new/"),
    Picture("new-order-phone", "clerk", "/admin/orders/new/", width=390, is_whole=True),
    Picture("history", "auditor", _ORDER, (*_FIRST_ORDER, 'a[href$="/history/"]')),
    Picture("packing", "warehouse", "/admin/packing/"),
    Picture("packing-phone", "warehouse", "/admin/packing/", width=390, is_whole=True),
    Picture("reports", "admin", "/admin/reports/"),
    Picture("system", "admin", "/admin/system/"),
    Picture("my-orders", "customer", "/my/orders/"),
    Picture("my-orders-phone", "customer", "/my/orders/", width=390, is_whole=True),
)
# The states that are seldom seen.
STATES = (
    Picture("state-long-names", "clerk", "{long-names}", is_whole=True),
    Picture("state-long-names-phone", "clerk", "{long-names}", width=390),
    Picture("state-names-in-lists", "clerk", _ORDERS, is_whole=True),
    Picture("state-many-lines", "clerk", "{many-lines}", is_whole=True),
    Picture("state-many-events", "auditor", "{many-events}"),
    Picture("state-right-to-left", "clerk", "{right-to-left}"),
    Picture("state-markup", "clerk", "{markup}"),
    Picture("state-yen", "clerk", "{yen}", is_whole=True),
    Picture("state-dinar", "clerk", "{dinar}", is_whole=True),
    Picture("state-no-rights", "guest", "/admin/"),
    Picture("state-refused-page", "clerk", "/admin/packing/"),
    Picture("state-parked-order", "admin", "{parked}"),
    Picture("state-parked-events", "admin", "/admin/ordering_read/parkedevent/"),
    Picture("state-slips", "warehouse", "{slips}", is_printed=True),
    Picture("state-system-dark", "admin", "/admin/system/", scheme="dark"),
)
LATE = (
    Picture("state-late-today", "clerk", "/admin/"),
    Picture("state-dead-workers", "admin", "/admin/system/"),
)
EMPTY = (
    Picture("state-empty-shop", "admin", "/admin/"),
    Picture("state-empty-orders", "admin", _ORDERS),
)


class Photographer:
    """Takes pictures of a copy of the service; ``pages`` are the paths of states, by name."""

    def __init__(self, browser: Any, url: str, pages: Mapping[str, str] | None = None) -> None:
        self._browser, self._url, self._pages = browser, url, pages or {}

    @contextmanager
    def page(self, login: str, *, width: int = 1300, scheme: str = "light") -> Iterator[Any]:
        """Yield a page of a person who has logged in."""
        from tests.browser import NARROW, WIDE, Visitor

        visitor = Visitor(self._browser, self._url, color_scheme=scheme)
        start = "/my/login/" if login == "customer" else "/admin/login/"
        visitor.log_in(login, PASSWORD, path=start)
        visitor.page.set_viewport_size(NARROW if width == NARROW["width"] else WIDE)
        yield visitor.page
        visitor.close()

    def take(self, *pictures: Picture) -> None:
        """Take the pictures, and write their files."""
        for picture in pictures:
            with self.page(picture.login, width=picture.width, scheme=picture.scheme) as page:
                page.goto(picture.path.format_map(self._pages))
                for selector in picture.selectors:
                    with page.expect_navigation():
                        page.locator(selector).first.click()
                if picture.is_printed:
                    page.emulate_media(media="print")
                print(_write(page, picture))


def _write(page: Any, picture: Picture) -> Path:
    """Write the picture as WebP, which Playwright itself doesn't offer."""
    size = page.viewport_size
    height = size["height"]
    if picture.is_whole:
        height = page.evaluate(f"Math.min(document.documentElement.scrollHeight, {_HEIGHT})")
    options = {
        "format": "webp",
        "quality": _QUALITY,
        "captureBeyondViewport": picture.is_whole,
        "clip": {"x": 0, "y": 0, "width": size["width"], "height": height, "scale": 1},
    }
    shot = page.context.new_cdp_session(page).send("Page.captureScreenshot", options)
    file = FOLDER / f"{picture.name}.webp"
    file.write_bytes(base64.b64decode(shot["data"]))
    return file


def main() -> None:
    django.setup()
    from tests.acceptance.copies import new_copy
    from tests.browser import running_browser

    FOLDER.mkdir(exist_ok=True)
    with running_browser() as browser:
        with new_copy() as copy:
            running = copy.run(DJANGO_SETTINGS_MODULE="tests.acceptance.poisoned").ready()
            running.wait_until_level()
            Photographer(browser, copy.url).take(*PICTURES)
            _take_states(browser, copy, running)
        with new_copy() as copy:
            copy.run(DEMO="0").ready()
            login = {"DJANGO_SUPERUSER_PASSWORD": PASSWORD}
            named = ("--username=admin", "--email=admin@example.com")
            copy.manage("createsuperuser", "--noinput", *named, **login).check_returncode()
            Photographer(browser, copy.url).take(*EMPTY)


def _take_states(browser: Any, copy: Any, running: Any) -> None:
    """Take the pictures of the states, the last of them while the workers are stopped."""
    from tests.acceptance.service import ROOT, wait_until

    made = subprocess.run(
        [sys.executable, "-m", "tests.screen_states"],
        env=copy.environ | {"DJANGO_SETTINGS_MODULE": "config.settings"},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    pages = json.loads(made.stdout)
    photographer = Photographer(browser, copy.url, pages)
    with photographer.page("admin") as page:
        for name, path in pages.items():
            wait_until(partial(_is_there, page, path), seconds=300, missing=name)
    pages["slips"] = f"/admin/packing/slips/?orders={_first_queued(photographer)}"
    photographer.take(*STATES)
    workers = [p for p in running.processes() if "workers" in p.cmdline()]
    for process in workers:
        process.send_signal(signal.SIGSTOP)
    try:
        with photographer.page("clerk") as page:
            page.goto(pages["yen"])
            page.get_by_role("link", name="Confirm order").first.click()
            page.get_by_role("button", name="Confirm order").click()
            page.wait_for_selector(".messagelist")
            print(_write(page, Picture("state-late-order", "clerk", "")))
        with photographer.page("admin") as page:
            wait_until(lambda: "No worker is running" in page.goto("/admin/system/").text())
        photographer.take(*LATE)
    finally:
        for process in workers:
            process.send_signal(signal.SIGCONT)


def _is_there(page: Any, path: str) -> bool:
    """Return True if a page is there: others lead to another address."""
    return str(page.goto(path).url).endswith(path)


def _first_queued(photographer: Photographer) -> str:
    """Return the number of an order that can be packed."""
    with photographer.page("warehouse") as page:
        page.goto("/admin/packing/")
        return str(page.locator("#content tbody th a").first.inner_text())


if __name__ == "__main__":
    main()
