"""`make run` on a fresh machine: the Makefile installs packages into .venv, or says what it needs.

The Pythons are shell scripts: they say a version, make an environment of such scripts, and install
nothing.
"""

import ast
import errno
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from config import install
from tests.acceptance.service import wait_until

ROOT = Path(install.ROOT)
# Runs config/install.py by this Python, as if its version were another one.
AS_VERSION = """
import runpy, sys
sys._base_executable = sys.executable = sys.argv[1]
sys.version_info = (3, int(sys.argv[2]), 2, "final", 0)
sys.argv = sys.argv[4:]
runpy.run_path("config/install.py", run_name="__main__")
"""
PYTHON = f"""#!/bin/sh
case "$*" in
"-m venv "*)
    mkdir -p "$3/bin" && cp "$(dirname "$0")/environment" "$3/bin/python"
    echo MINOR > "$3/minor"; echo "#!$3/bin/python" > "$3/bin/pip" ;;
*) exec {sys.executable} -I -c '{AS_VERSION}' "$0" MINOR "$@" ;;
esac
"""
ENVIRONMENT = """#!/bin/sh
folder=$(dirname "$(dirname "$0")")
case "$*" in
*"import sys, pip"*) echo "3.$(cat "$folder/minor") $folder" ;;
*" pip install "*) echo "$*" >> pip-runs; . ./pip-does ;;
esac
"""
NO_NETWORK = """
echo "WARNING: Retrying (Retry(total=4)) after connection broken by 'NewConnectionError(...)'"
echo "ERROR: Could not find a version that satisfies the requirement django (from versions: none)"
exit 1
"""


class FreshCopy:
    """A copy of what the Makefile needs, with a ``python3`` of version 3.12."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("Makefile", "config/install.py"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
        self.require("django==5.2")
        (folder / "requirements.txt").write_text("-r requirements-production.txt\npytest==9\n")
        (folder / "bin").mkdir()
        self._script("environment", ENVIRONMENT)
        self.python(12)
        self.pip_does("echo Collecting django==5.2")

    def require(self, text: str) -> None:
        (self.folder / "requirements-production.txt").write_text(f"{text}\n")

    def python(self, minor: int) -> None:
        """Let ``python3`` be of the version 3.``minor``."""
        self._script("python3", PYTHON.replace("MINOR", str(minor)))

    def _script(self, name: str, text: str) -> None:
        path = self.folder / "bin" / name
        path.write_text(text)
        path.chmod(0o755)

    def pip_does(self, script: str) -> None:
        (self.folder / "pip-does").write_text(script)

    @property
    def pip_runs(self) -> int:
        runs = self.folder / "pip-runs"
        return len(runs.read_text().splitlines()) if runs.exists() else 0

    def start(self, *command: str, **environ: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            command or ("python3", "-I", "config/install.py", "requirements.txt"),
            cwd=self.folder,
            env={"PATH": f"{self.folder}/bin:{os.defpath}", **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def installs(self, *command: str, **environ: str) -> str:
        """Run the installation, which must succeed; return what it prints."""
        process = self.start(*command, **environ)
        output, errors = process.communicate()
        assert (process.returncode, errors) == (0, "")
        return output

    def refuses(self, *command: str, **environ: str) -> str:
        """Run the installation, which must fail; return the one line that says why."""
        process = self.start(*command, **environ)
        _, errors = process.communicate()
        assert process.returncode != 0
        [line] = [line for line in errors.splitlines() if not line.startswith("make:")]
        return line


@pytest.fixture
def copy(tmp_path: Path) -> FreshCopy:
    return FreshCopy(tmp_path)


def test_packages_are_installed_once_and_again_when_the_list_changes(copy: FreshCopy) -> None:
    assert copy.installs("make", "tools").splitlines() == [
        "Making .venv, since it doesn't exist ...",
        "Installing the 2 packages of requirements.txt into .venv ...",
    ]
    # The tools include the packages that run.
    assert copy.installs("make", "packages") == copy.installs("make", "tools") == ""

    copy.require("django==5.3")

    assert "the 1 packages of requirements-production.txt" in copy.installs("make", "packages")
    assert "the 2 packages of requirements.txt" in copy.installs()
    assert copy.pip_runs == 3


def test_a_wrong_python_is_named_and_the_right_one_heals(copy: FreshCopy) -> None:
    copy.python(9)

    refusal = copy.refuses("make", "tools")

    assert refusal.startswith("Python 3.11 or newer is needed, and ")
    assert "bin/python3 is 3.9: " in refusal
    assert not (copy.folder / ".venv").exists()
    assert "there is no python4" in copy.refuses("make", "tools", PYTHON="python4")
    # An environment that the wrong one has made by hand.
    subprocess.run(["bin/python3", "-m", "venv", ".venv"], cwd=copy.folder, check=True)
    assert "Python 3.11 or newer" in copy.refuses()

    copy.python(11)

    assert "Making .venv, since its Python is 3.9" in copy.installs("make", "tools")
    # Later, the version of python3 doesn't matter.
    copy.python(9)
    assert copy.installs() == ""


def test_a_try_without_network_or_space_is_healed_by_the_next(
    copy: FreshCopy, subtests: pytest.Subtests
) -> None:
    for fault, sentence in {
        NO_NETWORK: "the package index doesn't answer",
        "echo 'OSError: [Errno 28] No space left on device'; exit 1": "The disk is full: ",
        "echo 'ERROR: odd'; exit 1": "pip failed: ERROR: odd",
    }.items():
        with subtests.test("a fault", sentence=sentence):
            copy.pip_does(fault)
            assert sentence in copy.refuses()
    copy.pip_does("")

    # Some packages may be incomplete.
    assert "Making .venv, since the last try wasn't finished" in copy.installs()
    assert copy.installs() == ""


def test_ctrl_c_is_healed_by_the_next_try(copy: FreshCopy) -> None:
    copy.pip_does("sleep 600")
    process = copy.start()
    wait_until(lambda: copy.pip_runs)

    os.killpg(process.pid, signal.SIGINT)

    _, errors = process.communicate()
    assert process.returncode == 130
    assert "Stopped" in errors
    assert "Traceback" not in errors
    copy.pip_does("")
    assert "the last try wasn't finished" in copy.installs()


def test_two_calls_at_once_install_one_after_the_other(copy: FreshCopy) -> None:
    copy.pip_does("until test -e go-on; do sleep 0.05; done")
    first = copy.start()
    wait_until(lambda: copy.pip_runs)
    second = copy.start()
    assert second.stdout
    assert "Waiting for another make" in second.stdout.readline()

    (copy.folder / "go-on").touch()

    for process in (first, second):
        assert process.communicate()[1] == ""
    assert copy.pip_runs == 1


def test_an_environment_that_was_moved_is_made_anew(copy: FreshCopy) -> None:
    copy.installs()
    copy.folder = copy.folder.rename(copy.folder.with_name("moved 'here', ñ"))

    assert "Making .venv, since its folder was moved" in copy.installs()

    (copy.folder / ".venv/bin/python").unlink()
    assert "Making .venv, since it doesn't work any more" in copy.installs()
    assert copy.installs() == ""


def test_a_linked_environment_is_never_removed(copy: FreshCopy) -> None:
    copy.installs()
    shared = copy.folder.with_name("shared")
    subprocess.run([copy.folder / "bin/python3", "-m", "venv", shared], check=True)
    shutil.rmtree(copy.folder / ".venv")
    (copy.folder / ".venv").symlink_to(shared)

    assert "Installing" in copy.installs()
    assert copy.installs() == ""
    os.utime(copy.folder / "requirements.txt")
    os.utime(shared / "installed", (0, 0))
    assert "Installing" in copy.installs()

    (shared / "minor").write_text("9")
    assert "remove the link" in copy.refuses()
    assert shared.exists()


def test_an_old_python_can_read_the_script_and_a_folder_that_refuses_is_named() -> None:
    ast.parse((ROOT / "config/install.py").read_text(), feature_version=(3, 6))
    denied = install._sentence(OSError(errno.EROFS, "", "/read/only/.venv"))
    assert re.fullmatch(r"This account can't write to /read/only/.venv \(.+\): copy .+", denied)
