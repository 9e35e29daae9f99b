"""The blocks of the documents: each is carried out, or says why not."""

import ast

from tests.pages import PAGES, blocks_of, difference, edited

MOST_MARKS = 19
# Blocks that show something, and aren't carried out.
SHOWN = {"csv", "html", "ini", "json", "jsonl", "mermaid", "sql", "text", "ts", "yaml"}

BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def test_each_block_is_carried_out_or_says_why_not():
    unclear = [
        str(block)
        for block in BLOCKS
        if not block.is_carried_out and not block.reason and block.language not in SHOWN
    ]
    assert unclear == [], "a block needs a language, a place in a file, or a mark: tests/pages.py"


def test_marks_have_a_reason_and_are_few():
    marked = [block for block in BLOCKS if block.reason]
    assert [str(block) for block in marked if len(block.reason.split()) < 4] == []
    assert len(marked) <= MOST_MARKS


def test_changes_of_the_code_fit_the_files_that_they_name():
    for page in PAGES:
        for path, content in edited(page).items():
            if path.endswith(".py"):
                ast.parse(content, filename=f"{path} after {page}")


def test_an_output_may_differ_in_what_differs_from_run_to_run():
    shown = 'at 2026-11-30 13:40:19 in 0.1 s: 2 of 3,480 events\n…\n01a2-…: 9.90, "status": 409'
    printed = 'at 2027-01-02 01:02:03 in 7.5 s: 2 of 12 events\n\nx\n0123-77: 9.90, "status": 409'

    assert difference(shown, printed) == ""
    for wrong in (("2 of", "3 of"), ("9.90", "9.80"), ("409", "412"), ("events", "orders")):
        assert difference(shown, printed.replace(*wrong)) != ""
    assert difference(shown, printed + "\nCommandError: no") != ""
    assert difference("…", printed) == ""
