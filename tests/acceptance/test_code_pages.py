"""The pages that change code, each carried out in a copy of the code: `make proof` does so.

tests/unit/test_pages.py checks in each run that the changes fit their files.
"""

import shutil
from pathlib import Path

import pytest

from tests.acceptance.copies import Copy, new_copy
from tests.acceptance.page_session import Session
from tests.pages import PAGES, PREREQUISITES, ROOT, Block, changes_code
from tests.proof import IS_PROOF

pytestmark = [
    pytest.mark.proof,
    pytest.mark.skipif(not IS_PROOF, reason="takes minutes: make proof carries these pages out"),
]

# The page whose service has the app that it makes.
APP_PAGE = ROOT / "docs/how-to/extend-from-your-own-app.md"
# After the last step of a page nothing may be left to correct.
GATES = "make check && .venv/bin/python manage.py makemigrations --check --dry-run"


CODE_PAGES = [page for page in PAGES if changes_code(page)]


@pytest.mark.parametrize("page", CODE_PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_that_changes_code_can_be_followed(page: Path) -> None:
    former = [page.with_name(f"{name}.md") for name in PREREQUISITES.get(page.stem, ())]
    with new_copy(with_code=True) as copy, Session(copy) as session:
        # As if the gates had run before: mypy reads only what the page changes.
        if (cache := ROOT / ".mypy_cache").exists():
            shutil.copytree(cache, copy.code / cache.name)
        if page == APP_PAGE:
            copy.environ["SHOP_APPS"] = "loyalty"
        complaints = [
            complaint
            for each in (*former, page)
            for complaint in session.carry_out(each, before=Serving(copy))
        ]
        gates = session.run(f"{GATES} && echo all gates passed")

    assert not complaints, "\n\n".join(complaints)
    assert "all gates passed" in gates, gates


class Serving:
    """Starts the service of a copy, with the changed code, before the first block that calls it."""

    def __init__(self, copy: Copy) -> None:
        self._copy = copy

    def __call__(self, block: Block) -> None:
        if "$API" in block.text:
            self._copy.running().wait_until_level()
