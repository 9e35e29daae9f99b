"""A real browser for tests: it checks each page that a person comes to.

Needs Debian's Chromium; ``missing_browser`` says so in a sentence where it isn't installed.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from tests.patience import PATIENCE_SECONDS
from tests.proof import IS_PROOF

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WIDE, NARROW = ViewportSize(width=1300, height=900), ViewportSize(width=390, height=844)
# axe's names for the rules of WCAG 2.2, levels A and AA.
WCAG = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa")
# No rule asks for style sheets, which axe would load and parse once more.
_OPTIONS = {"resultTypes": ["violations"], "preload": {"assets": ["media"]}}

# Colours change gradually, and axe measures them as they are.
_SETTLE = "Promise.allSettled(document.getAnimations().map((each) => each.finished))"


def missing_browser() -> str:
    """Return why there is no browser, or "" if there is one.

    Raises RuntimeError where REQUIRE_CHROMIUM is set, as it is for continuous integration.
    """
    if CHROMIUM:
        return ""
    text = "Chromium is missing, so no browser walks through the pages: apt install chromium"
    if os.environ.get("REQUIRE_CHROMIUM"):
        raise RuntimeError(text)
    return text


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Yield a browser without a window."""
    with sync_playwright() as playwright:
        # Chromium's sandbox refuses to run as root, as which containers run tests.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Visitor:
    """A person at the browser, on the site at ``url``; ``check`` looks at the page as it is.

    Requests to other hosts are faults, and so are messages on the browser's console.
    """

    def __init__(self, browser: Browser, url: str, **options: Any) -> None:
        self._url = url
        self._context = browser.new_context(viewport=WIDE, base_url=url, **options)
        self._context.set_default_timeout(1000 * PATIENCE_SECONDS)
        self.page: Page = self._context.new_page()
        self.faults: list[str] = []
        self.page.on("console", lambda message: self.faults.append(message.text))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("request", lambda request: self._note_host(request.url, url))

    def _note_host(self, requested: str, url: str) -> None:
        if not requested.startswith((url, "data:", "blob:")):
            self.faults.append(f"a request to {requested}")

    def open_session(self, name: str, key: str) -> None:
        """Log in by the cookie ``name`` of a session that somebody else has opened."""
        self._context.add_cookies([{"name": name, "value": key, "url": self._url}])

    def log_in(self, name: str, password: str, *, path: str = "/admin/login/") -> None:
        self.page.goto(path)
        self.page.locator("[name=username]").fill(name)
        self.page.locator("[name=password]").fill(password)
        with self.page.expect_navigation():
            self.page.keyboard.press("Enter")

    def visit(self, path: str, *, again: bool = False) -> Page:
        """Open a page, and check it."""
        response = self.page.goto(path)
        assert response is not None
        assert response.status == 200, f"{path}: {response.status}"
        self.check(again=again)
        return self.page

    def check(
        self, rules: Sequence[str] = (*WCAG, "best-practice"), *, again: bool = False
    ) -> None:
        """Check the page for everybody who may come to it, wide and on a phone.

        ``rules`` are the tags of axe's rules: WCAG, and axe's own good practice. ``again`` is for a
        page of a kind that another visit checks: axe, which takes a second, looks at it in
        `make proof` only. There it looks at the page on a phone in dark colours too.
        """
        path = self.page.url
        # Wide in the end, as it was in the beginning.
        for size in (NARROW, WIDE):
            self.page.set_viewport_size(size)
            excess = self.page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert excess <= 0, f"{path} is {excess} pixels too wide for {size['width']}"
            if IS_PROOF:
                self.page.emulate_media(color_scheme="dark" if size is NARROW else "light")
                self.page.evaluate(_SETTLE)
                assert self._violations(rules) == [], f"{path} at {size['width']}"
        if not (IS_PROOF or again):
            assert self._violations(rules) == [], path
        assert self.faults == [], f"{path}: {self.faults}"

    def _violations(self, rules: Sequence[str]) -> list[str]:
        """Return what axe finds on the page."""
        options = {"runOnly": list(rules), **_OPTIONS}
        violations = Axe().run(self.page, options=options).response["violations"]
        return [
            f"{violation['id']}: {violation['help']}: {node['html'][:200]}"
            for violation in violations
            for node in violation["nodes"][:3]
        ]

    def close(self) -> None:
        self._context.close()
