"""The pages of the documents: their blocks, and the files that these change.

A block is carried out if it is in ``sh``, and the block without a language that follows it is its
output. A paragraph above a block that ends like one of these says that the block is a part of a
file; ``TEXT`` is what exactly one line of the file contains, and the whole statement that begins
with this line counts::

    `ordering_write/ports/mail.py`, a new file:
    `config/urls.py`, at the top:
    `config/urls.py`, at the end:
    `config/urls.py`, above `TEXT`:
    `config/urls.py`, below `TEXT`:
    `config/urls.py`, first in `TEXT`:
    `config/urls.py`, in place of `TEXT`:
    `config/urls.py`, below `TEXT` of `class NAME`:

The comment ``<!-- not carried out: reason -->`` above a block leaves it to the reader.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from django.conf import settings

ROOT: Path = settings.BASE_DIR
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

# The page that a page goes on from.
PREREQUISITES = {"add-a-command": ("add-an-event",)}

_FENCE = re.compile(r"^( *)```(\w*)$")
_MARK = re.compile(r"^ *<!-- not carried out: (.+) -->$")
_CAPTION = re.compile(
    r"`([\w./-]+)`, (a new file|at the top|at the end|"
    r"(above|below|first in|in place of) `([^`]+)`(?: of `([^`]+)`)?):$"
)


class PageError(AssertionError):
    """A page that can't be followed: the message names page and line."""


@dataclass(frozen=True)
class Edit:
    """A part of a file: the path of the file, and the place of the part in it."""

    path: str
    place: str
    anchor: str
    scope: str
    text: str

    def apply(self, content: str | None) -> str:
        """Return the file after the edit; ``content`` is None if there was no such file."""
        if self.place == "a new file":
            assert content is None, f"{self.path} exists already"
            return self.text
        assert content is not None, f"{self.path} doesn't exist"
        lines = content.splitlines(keepends=True)
        start, end = self._range(lines)
        return "".join([*lines[:start], self.text, *lines[end:]])

    def _range(self, lines: list[str]) -> tuple[int, int]:
        """Return the numbers of the lines that the text replaces."""
        if self.place == "at the end":
            return len(lines), len(lines)
        if self.place == "at the top":
            imports = (n for n, line in enumerate(lines) if re.match(r"(import|from) ", line))
            return (first := next(imports, 0)), first
        first, last = self._statement(lines, self.scope) if self.scope else (0, len(lines))
        start, end = self._statement(lines[:last], self.anchor, first)
        places = {"above": start, "first in": start + 1, "below": end}
        return (places[self.place],) * 2 if self.place in places else (start, end)

    def _statement(self, lines: list[str], text: str, first: int = 0) -> tuple[int, int]:
        """Return the lines of the only statement, from line ``first`` on, that begins with a line
        that contains ``text``."""
        # No part of a longer name, such as ``class Order`` in ``class OrderLine``.
        end = r"(?!\w)" if text[-1].isalnum() else ""
        pattern = re.compile(rf"(?<!\w){re.escape(text)}{end}")
        found = [number for number in range(first, len(lines)) if pattern.search(lines[number])]
        assert len(found) == 1, f"{self.path} has {len(found)} lines with {text!r}"
        return found[0], _end_of_statement(lines, found[0])


def _end_of_statement(lines: list[str], start: int) -> int:
    """Return the number of the line after the statement that begins at ``start``."""
    indent = _indent(lines[start])
    end = start + 1
    for number in range(start + 1, len(lines)):
        line = lines[number]
        if not line.strip():
            continue
        is_closing = _indent(line) == indent and line.strip()[0] in ")]}"
        if _indent(line) <= indent and not is_closing:
            break
        end = number + 1
    return end


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


@dataclass(frozen=True)
class Block:
    """A block of a page: the number of its first line, its language, and the text above it."""

    page: Path
    line: int
    language: str
    text: str
    paragraph: str = ""
    reason: str = ""
    output: str | None = None

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @cached_property
    def edit(self) -> Edit | None:
        """The part of a file that the block is, or None."""
        if not (caption := _CAPTION.search(self.paragraph)):
            return None
        path, place, beside, anchor, scope = caption.groups("")
        return Edit(path, beside or place, anchor, scope, self.text)

    @property
    def is_carried_out(self) -> bool:
        return not self.reason and (self.language == "sh" or self.edit is not None)


def blocks_of(page: Path) -> list[Block]:
    """Return the blocks of a page in its order; an output is a part of its block."""
    blocks: list[Block] = []
    end_of_last = -1
    lines = page.read_text().splitlines()
    number = 0
    while number < len(lines):
        if not (fence := _FENCE.match(lines[number])):
            number += 1
            continue
        start, indent = number, fence[1]
        number += 1
        text = []
        while lines[number].strip() != "```":
            text.append(lines[number].removeprefix(indent) + "\n")
            number += 1
        above = _lines_above(lines, start)
        is_output = not fence[2] and blocks and not "".join(lines[end_of_last + 1 : start]).strip()
        if is_output and blocks[-1].language == "sh":
            blocks[-1] = _with_output(blocks[-1], "".join(text))
        else:
            mark = _MARK.match(above[-1]) if above else None
            paragraph = " ".join(line.strip() for line in above)
            reason = mark[1] if mark else ""
            blocks.append(Block(page, start + 1, fence[2], "".join(text), paragraph, reason))
        end_of_last = number
        number += 1
    return blocks


def _with_output(block: Block, output: str) -> Block:
    parts = (block.page, block.line, block.language, block.text, block.paragraph, block.reason)
    return Block(*parts, output)


def _lines_above(lines: list[str], start: int) -> list[str]:
    """Return the lines of the paragraph above line ``start``."""
    end = start
    while end and not lines[end - 1].strip():
        end -= 1
    first = end
    while first and lines[first - 1].strip() and lines[first - 1].strip() != "```":
        first -= 1
    return lines[first:end]


def edits_of(page: Path) -> list[tuple[Block, Edit]]:
    """Return the blocks of a page that are parts of files."""
    return [(block, block.edit) for block in blocks_of(page) if block.edit and not block.reason]


def changes_code(page: Path) -> bool:
    """Return True if the page tells its reader to change files of the project."""
    return any(
        not block.edit.path.startswith("var/") if block.edit else block.language == "python"
        for block in blocks_of(page)
    )


def edited(page: Path) -> dict[str, str]:
    """Return the files that a page changes, by their paths, as they are in the end.

    None if the page was followed already. Raises PageError if a block doesn't fit its file.
    """
    files: dict[str, str] = {}
    if any(
        edit.place == "a new file" and (ROOT / edit.path).exists() for _, edit in edits_of(page)
    ):
        # The page was followed in this copy, whose tests run afterwards.
        return files
    for former in PREREQUISITES.get(page.stem, ()):
        files |= edited(page.with_name(f"{former}.md"))
    for block, edit in edits_of(page):
        path = ROOT / edit.path
        content = files.get(edit.path) or (path.read_text() if path.exists() else None)
        try:
            files[edit.path] = edit.apply(content)
        except AssertionError as error:
            raise PageError(f"{block}: {error}") from None
    return files


# --- Output ------------------------------------------------------------------------------------

# Texts that differ from run to run, and their patterns: the first alternative that fits counts.
_VOLATILE = (
    (r"\b[0-9a-f]{4,8}(?:-[0-9a-f]{4}){0,3}-?…", r"[0-9a-f-]+"),
    (r"…", r".*"),
    (r"127\.0\.0\.1:\d+", None),
    (r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", r"[0-9a-f-]{36}"),
    (r"\b[0-9a-f]{64}\b", r"[0-9a-f]{64}"),
    (
        r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?",
        r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?",
    ),
    (r"\b\d{4}-\d{6}\b", r"\d{4}-\d{6}"),
    (r"\b\d{4}-\d\d-\d\d\b", r"\d{4}-\d\d-\d\d"),
    (r"\b\d+\.\d s\b", r"\d+\.\d s"),
    (r"(?<=status\": )\d{3}\b|^\d{3}$", None),
    (r"\b\d+\.\d\d\b", None),
    (r"\b\d+\.\d\b", r"\d+\.\d"),
    (r"\b\d{1,3}(?:,\d{3})+\b|\b\d{3,}\b", r"\d[\d,]*"),
)
_TOKEN = re.compile("|".join(f"(?P<t{n}>{pattern})" for n, (pattern, _) in enumerate(_VOLATILE)))


def difference(expected: str, actual: str) -> str:
    """Return in which line ``actual`` differs from the output that a page shows; empty if none.

    Ids, times and large numbers may differ; ``…`` stands for any text, alone on a line for any
    number of lines.
    """
    # A terminal shows what follows the last carriage return.
    shown = [line.rstrip("\r").rpartition("\r")[2] for line in actual.split("\n")]
    lines = _stripped(shown)
    patterns = [_pattern(line) for line in _stripped(expected.split("\n"))]
    position, may_skip = 0, False
    for pattern in patterns:
        if pattern == ".*":
            may_skip = True
            continue
        rest = range(position, len(lines) if may_skip else min(position + 1, len(lines)))
        found = next((n for n in rest if re.fullmatch(pattern, lines[n])), None)
        if found is None:
            nearest = lines[position] if position < len(lines) else "the end"
            return f"no line fits {pattern}\n{nearest}"
        position, may_skip = found + 1, False
    if position < len(lines) and not may_skip:
        return f"the page doesn't show {lines[position]!r}"
    return ""


def _stripped(lines: list[str]) -> list[str]:
    """Return the lines that aren't empty, with single spaces between their words."""
    return [" ".join(line.split()) for line in lines if line.strip()]


def _pattern(line: str) -> str:
    return "".join(_parts(line))


def _parts(line: str) -> Iterator[str]:
    end = 0
    for token in _TOKEN.finditer(line):
        yield re.escape(line[end : token.start()])
        number = int(str(token.lastgroup)[1:])
        yield _VOLATILE[number][1] or re.escape(token[0])
        end = token.end()
    yield re.escape(line[end:])
