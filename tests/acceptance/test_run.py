"""`manage.py run`, which `make run` calls: everything starts, works and stops.

One copy runs with demo data. Another runs without, and its first start is slow.
"""

import re
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

import psutil
import psycopg
import pytest

from config.databases.embedded import EmbeddedServer
from tests.acceptance.conftest import SMALL
from tests.acceptance.copies import HTML, Run, gone, log_in, logged_in, new_copy, submit
from tests.acceptance.page_session import Session
from tests.acceptance.service import ROOT, wait_until
from tests.patience import PATIENCE_SECONDS

EMPTY = {"DEMO": "0", **SMALL}
PASSWORD = "a-long-password"


@pytest.fixture(scope="module")
def slow() -> Iterator[Run]:
    """Run a copy without demo data, whose programs stand still for a while when they start."""
    with new_copy(with_code=True) as copy:
        run = copy.run(**EMPTY)
        programs = wait_until(lambda: programs_of(run))
        for program in programs:
            program.suspend()
        wait_until(partial(run.has_printed, "waiting for the web server"))
        assert not run.has_printed("Ready;")
        for program in programs:
            program.resume()
        wait_until(partial(run.has_printed, "open-a-shop.md"), seconds=5 * PATIENCE_SECONDS)
        yield run


@pytest.fixture
def empty(slow: Run) -> Run:
    """Return a run of the copy without demo data: of the test before, or a new one."""
    return slow.copy.running(**EMPTY)


def programs_of(run: Run) -> list[psutil.Process]:
    """Return the web server and the workers; nothing before both have started."""
    programs = []
    for process in psutil.Process(run.program.pid).children():
        with suppress(psutil.NoSuchProcess):
            if {"gunicorn", "workers"} & set(process.cmdline()):
                programs.append(process)
    return programs if len(programs) == 2 else []


def test_the_banner_names_addresses_that_work(demo: Run) -> None:
    output = demo.output
    with demo.copy.client(Authorization=f"Token {demo.token}") as client:
        for path in ("/", "/api/v1", "/api/docs", "/admin/"):
            assert f"{demo.copy.url}{path}\n" in output
            assert client.get(path).status_code == 200
        assert "admin" in output
        assert "Password" in output

        # The line works in a shell as it stands.
        [line] = re.findall(r"^curl .*$", output, re.MULTILINE)
        before = client.get("/api/v1/orders").json()["count"]
        placed = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
        assert '"order_number"' in placed.stdout, placed.stdout
        wait_until(lambda: client.get("/api/v1/orders").json()["count"] == before + 1)


def test_a_person_places_and_cancels_an_order_without_knowing_json(demo: Run) -> None:
    with logged_in(demo) as browser:
        page = browser.get("/api/v1/orders", headers=HTML)
        before = browser.get("/api/v1/orders").json()["count"]

        response = submit(browser, page, "/api/v1/orders")

        assert response.status_code == 201, response.text
        # The page waits until the read side shows the order.
        newest = browser.get("/api/v1/orders").json()
        assert newest["count"] == before + 1
        order = newest["results"][0]
        page = browser.get(order["links"]["self"], headers=HTML)
        response = submit(browser, page, f"/api/v1/orders/{order['id']}/cancel")
        assert response.status_code == 200, response.text
        assert browser.get(order["links"]["self"]).json()["status"] == "cancelled"


def test_the_admin_lists_the_log(demo: Run) -> None:
    with logged_in(demo) as browser:
        log = browser.get("/admin/ordering_write/outboxevent/")

        assert log.status_code == 200
        assert "OrderCreated" in log.text
        assert browser.get("/admin/ordering_write/outboxevent/add/").status_code in (403, 404)


def test_a_fault_of_ours_is_a_record_with_its_traceback(demo: Run) -> None:
    with (
        psycopg.connect(EmbeddedServer(demo.copy.folder).url("orders_read")) as read,
        demo.copy.client(Authorization=f"Token {demo.token}") as client,
    ):
        read.execute("ALTER TABLE customer_view RENAME TO hidden")
        read.commit()
        failed = client.get("/api/v1/customers")
        read.execute("ALTER TABLE hidden RENAME TO customer_view")

    assert failed.status_code == 500
    assert demo.has_printed("/api/v1/customers")


def test_a_second_copy_is_killed_run_again_and_stopped(demo: Run, empty: Run) -> None:
    copy = empty.copy
    # A program that is killed is started again.
    for process in psutil.Process(empty.program.pid).children():
        process.kill()
    for name in ("web server", "workers"):
        wait_until(partial(empty.has_printed, f"The {name} ended (SIGKILL)"))
    wait_until(lambda: len(psutil.Process(empty.program.pid).children()) == 2)
    wait_until(copy.answers)
    assert demo.copy.answers()
    wait_until(lambda: len(empty.processes()) > 8)
    processes = empty.processes()

    empty.program.kill()

    wait_until(lambda: gone(processes), missing="a process outlived the supervisor")
    empty.program.wait()
    again = copy.running(**EMPTY)
    assert copy.answers()
    processes = again.processes() + copy.postgres()

    assert again.stop() == 0

    assert gone(processes), again.output
    assert copy.postgres() == []
    assert "Traceback" not in again.output
    assert not copy.answers()
    assert demo.copy.answers()


def test_a_slow_start_is_waited_for_and_named(slow: Run) -> None:
    lines = slow.output.splitlines()

    steps = [line for line in lines if line.endswith(" ...")]
    assert steps == [
        "Starting PostgreSQL ...",
        "Preparing the databases ...",
        "Starting the web server and the workers ...",
    ]
    awaited = r"Starting the web server .*: waiting for the web server \(.*\) \(\d+ s\)"
    assert any(re.fullmatch(awaited, line) for line in lines)


def test_the_page_about_an_empty_shop_leads_to_the_first_order(slow: Run, empty: Run) -> None:
    """The commands of the page are carried out as they stand, at the address of this copy."""
    [command] = re.findall(r"^cd .* createsuperuser$", slow.output, re.MULTILINE)
    assert f"DATA_DIR={empty.copy.folder}" in command
    unattended = {"createsuperuser ": "createsuperuser --noinput "}
    password = {"DJANGO_SUPERUSER_PASSWORD": PASSWORD}

    with Session(empty.copy, unattended, **password) as session:
        complaints = session.carry_out(ROOT / "docs/how-to/open-a-shop.md")

    assert not complaints, "\n\n".join(complaints)
    with empty.copy.client() as browser:
        home = log_in(browser, "ada", PASSWORD, next="/admin/")
        assert "Log out" in home.text
