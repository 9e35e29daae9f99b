"""The pages in docs name files, functions and rooms that exist."""

import importlib
import re
import tomllib
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path
from typing import Any

from tests.pages import PAGES, ROOT, edits_of

DOCS = ROOT / "docs"

# A path of ours in backticks or in a picture; braces stand for several paths.
PATH = re.compile(r"(?<![\w/.])((?:config|ordering_write|ordering_read|tests|docs)/[\w./{},-]*)")
LINK = re.compile(r"\]\(([^)#\s]*)(#[^)\s]*)?\)")
MODULE_AND_NAMES = re.compile(r"\| `([\w/]+\.py)` \| (`.+`) \|$", re.MULTILINE)
TERM = re.compile(r"^\| \*\*(.+)\*\* \| (.+) \| `(.+)` \|$", re.MULTILINE)

# Files that the reader of a page makes: those of its blocks, and those that its commands write.
MADE_BY_READERS = {
    *(edit.path for page in PAGES for _, edit in edits_of(page) if edit.place == "a new file"),
    "tests/golden/CallbackRequested.1.json",
    "tests/golden/GiftWrapChosen.1.json",
    "tests/golden/OrderTagged.2.json",
}


def test_links_between_pages_lead_to_a_heading() -> None:
    broken = [
        f"{page.relative_to(ROOT)}: {target}{anchor}"
        for page in PAGES
        for target, anchor in LINK.findall(page.read_text())
        if not re.match(r"\w+:", target) and not target_exists(page, target, anchor)
    ]
    assert broken == []


def test_paths_in_pages_exist() -> None:
    missing = {
        f"{page.relative_to(ROOT)}: {path}"
        for page in PAGES
        for path in _paths(page.read_text())
        if path not in MADE_BY_READERS and not (ROOT / path).exists()
    }
    assert missing == set()


def test_architecture_names_functions_that_exist() -> None:
    rows = MODULE_AND_NAMES.findall((DOCS / "architecture.md").read_text())
    missing = [
        f"{path}: {name}"
        for path, names in rows
        for name in re.findall(r"`([\w.]+)`", names)
        if not _has(path, name)
    ]
    assert rows
    assert missing == []


def test_architecture_lists_the_rooms_of_the_import_contracts() -> None:
    page = (DOCS / "architecture.md").read_text()
    for package, layers in _layers().items():
        table = page.partition(f"### `{package}/`")[2].partition("\n#")[0]
        rooms = re.findall(r"^\| (\d+) \| `(\w+)` \|", table, re.MULTILINE)
        assert sorted(rooms) == sorted(layers), package


def test_architecture_lists_the_rooms_on_disk() -> None:
    for package, layers in _layers().items():
        rooms = {
            path.stem
            for path in (ROOT / package).iterdir()
            if (path / "__init__.py").exists() or path.suffix == ".py"
        }
        assert {room for _, room in layers} == rooms - {"__init__"}, package


def test_architecture_lists_every_import_contract() -> None:
    page = (DOCS / "architecture.md").read_text()
    listed = re.findall(r"^\* (.+)\.$", page.partition("## Import contracts")[2], re.MULTILINE)
    assert sorted(listed) == sorted(contract["name"] for contract in _contracts())


def test_glossary_is_sorted_and_names_modules_that_exist() -> None:
    page = (DOCS / "glossary.md").read_text()
    rows = TERM.findall(page)
    terms = [term for term, _, _ in rows]

    assert len(rows) == page.count("\n| **"), "each line is | **term** | sentence | `module` |"
    assert terms == sorted(set(terms), key=str.lower)
    assert [term for term, sentence, _ in rows if not sentence.endswith(".")] == []
    assert [path for _, _, path in rows if not (ROOT / path).is_file()] == []


def target_exists(page: Path, target: str, anchor: str) -> bool:
    path = (page.parent / target).resolve() if target else page
    if not path.exists():
        return False
    return not anchor or anchor[1:] in {_slug(heading) for heading in _headings(path)}


def _headings(page: Path) -> list[str]:
    without_code = re.sub(r"^ *```.*?^ *```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"^#+ (.+)$", without_code, re.MULTILINE)


def _slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _paths(text: str) -> Iterator[str]:
    for path in PATH.findall(text):
        before, _, braces = path.rstrip(".,/").partition("{")
        inside, _, after = braces.partition("}")
        yield from (f"{before}{part}{after}".rstrip("/") for part in inside.split(","))


def _has(path: str, name: str) -> bool:
    module = importlib.import_module(path.removesuffix(".py").replace("/", "."))
    try:
        attrgetter(name)(module)
    except AttributeError:
        return False
    return True


def _contracts() -> list[dict[str, Any]]:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts: list[dict[str, Any]] = pyproject["tool"]["importlinter"]["contracts"]
    return contracts


def _layers() -> dict[str, list[tuple[str, str]]]:
    """Return for each package its rooms with the number of their layer, 1 at the top."""
    return {
        package: [
            (str(number), room)
            for number, layer in enumerate(contract["layers"], start=1)
            for room in re.findall(r"\w+", layer)
            if f"({room})" not in layer or _exists(package, room)
        ]
        for contract in _contracts()
        for container in contract.get("containers", ())
        for package in [container.replace(".", "/")]
    }


def _exists(package: str, room: str) -> bool:
    path = ROOT / package / room
    return path.is_dir() or path.with_suffix(".py").exists()
