"""`make run` without demo data, on a slow machine: from the start to the first order."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

import httpx
import psutil
import pytest

from tests.acceptance.service import ROOT, wait_until
from tests.acceptance.test_run import Run, log_in, new_copy
from tests.patience import PATIENCE_SECONDS


@pytest.fixture(scope="module")
def empty() -> Iterator[Run]:
    """Run a copy without demo data, whose programs stand still for a while when they start."""
    with new_copy() as copy:
        run = copy.run(DEMO="0")
        programs = wait_until(lambda: programs_of(run))
        for program in programs:
            program.suspend()
        wait_until(partial(run.has_printed, "waiting for the web server"))
        assert not run.has_printed("Ready;")
        for program in programs:
            program.resume()
        wait_until(partial(run.has_printed, "open-a-shop.md"), seconds=5 * PATIENCE_SECONDS)
        yield run
        assert run.stop() == 0


def programs_of(run: Run) -> list[psutil.Process]:
    """Return the web server and the workers; nothing before both have started."""
    programs = []
    for process in psutil.Process(run.program.pid).children():
        with suppress(psutil.NoSuchProcess):
            if {"gunicorn", "workers"} & set(process.cmdline()):
                programs.append(process)
    return programs if len(programs) == 2 else []


def test_a_slow_start_is_waited_for_and_named(empty: Run) -> None:
    lines = empty.output.splitlines()

    steps = [line for line in lines if line.endswith(" ...")]
    assert steps == [
        "Starting PostgreSQL ...",
        "Preparing the databases ...",
        "Starting the web server and the workers ...",
    ]
    awaited = r"Starting the web server .*: waiting for the web server \(.*\) \(\d+ s\)"
    assert any(re.fullmatch(awaited, line) for line in lines)
    assert empty.copy.answers()


def test_the_page_about_an_empty_shop_leads_to_the_first_order(empty: Run) -> None:
    """The commands of the page are carried out as they stand, at the address of this copy."""
    [command] = re.findall(r"^cd .* createsuperuser$", empty.output, re.MULTILINE)
    assert f"DATA_DIR={empty.copy.folder}" in command
    page = (ROOT / "docs/how-to/open-a-shop.md").read_text()
    start_command, login, *steps = re.findall(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert start_command == "DEMO=0 make run\n"
    script = "\n".join(["set -eu", login.strip() + " --noinput", *steps])
    script = script.replace(".venv/bin/python", sys.executable)
    script = script.replace("http://127.0.0.1:8000", empty.copy.url)

    first = subprocess.run(
        ["bash", "-c", script],
        env=empty.copy.environ | {"DJANGO_SUPERUSER_PASSWORD": PASSWORD},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )

    assert re.search(r'"order_number":"\d{4}-000001"', first.stdout), first.stdout + first.stderr
    with httpx.Client(
        base_url=empty.copy.url, follow_redirects=True, timeout=PATIENCE_SECONDS
    ) as browser:
        home = log_in(browser, "ada", PASSWORD, next="/admin/")
        assert "Log out" in home.text
    again = empty.copy.manage(
        "shell",
        "-v0",
        "-c",
        "from config.management import first_login as f; print(repr(f.first_login_hint()))",
    )
    assert again.stdout == "''\n"


PASSWORD = "a-long-password"
