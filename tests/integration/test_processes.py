"""Programs that are kept running, and that end with their parent process."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from config import processes
from config.processes import Program
from tests.patience import PATIENCE_SECONDS

HERE = Path(__file__).parent
SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
# Starts a program, prints its pid, and waits.
PARENT = """
import pathlib, time
from config.processes import Program
program = Program("child", ["sleep", "60"], cwd=pathlib.Path("/"))
program.start()
print(program._process.pid, flush=True)
time.sleep(60)
"""
# Ignores SIGTERM, and writes to a pipe once it does.
DEAF = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.write(int(sys.argv[1]), b"1")
time.sleep(60)
"""


def wait_for(condition, *, seconds=PATIENCE_SECONDS):
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, "it didn't happen in time"
        time.sleep(0.01)
    return result


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False


def test_a_program_dies_with_a_killed_parent():
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        child = int(parent.stdout.readline())
        assert alive(child)

        parent.kill()

        wait_for(lambda: not alive(child))


def test_a_program_dies_at_once_when_its_parent_is_already_dead():
    script = "import signal; from config.processes import die_with_parent; die_with_parent(1)"

    finished = subprocess.run([sys.executable, "-c", script], check=False)

    assert finished.returncode == -signal.SIGKILL


def test_a_program_that_ended_is_restarted_after_longer_and_longer_pauses(monkeypatch):
    monkeypatch.setattr(processes, "FIRST_PAUSE", 0.01)
    program = Program("Something", [sys.executable, "-c", "raise SystemExit(3)"], cwd=HERE)
    program.start()

    messages = [wait_for(program.keep_running) for _ in range(2)]

    assert messages[0].startswith("Something ended (exit code 3); starting it again in ")
    assert messages[0] < messages[1]


def test_programs_are_stopped_by_sigterm_and_finally_by_sigkill():
    read, write = os.pipe()
    deaf = [sys.executable, "-c", DEAF, str(write)]
    polite = Program("polite", SLEEP, cwd=HERE)
    stubborn = Program("stubborn", deaf, cwd=HERE, pass_fds=[write])
    polite.start()
    stubborn.start()
    os.close(write)
    assert os.read(read, 1) == b"1"
    os.close(read)

    processes.stop([polite, stubborn], seconds=0.5)

    assert (polite.ending(), stubborn.ending()) == ("SIGTERM", "SIGKILL")


@pytest.mark.parametrize("fault", [KeyError("no entry"), OSError("no login")])
def test_the_login_of_a_user_without_a_name_is_the_user_id(
    monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    def fail() -> str:
        raise fault

    monkeypatch.setattr(processes.getpass, "getuser", fail)

    assert processes.login() == str(os.getuid())
