"""Runs the proofs at full size, part by part: ``python -m tests.proof_run [PART]``.

A case that has passed on this commit isn't run again, so that a stopped run goes on after its last
case. pytest loads this module as a plugin, to leave such cases out and to note those that pass,
with their figures, in var/proof.json.
"""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
PROGRESS = ROOT / "var" / "proof.json"
_PLUGIN = "tests.proof_run"
_NOTHING_LEFT = pytest.ExitCode.NO_TESTS_COLLECTED

# The files of each part, the shortest part first; "others" has all further files.
PARTS: dict[str, tuple[str, ...]] = {
    "lifecycle": ("tests/unit/test_lifecycle.py",),
    "databases": ("tests/integration/test_sequencer.py", "tests/acceptance/test_one_database.py"),
    "interleavings": ("tests/integration/test_interleavings.py",),
    "chaos": ("tests/acceptance/test_chaos.py", "tests/acceptance/test_topology.py"),
    "plans": ("tests/integration/test_plans.py",),
    "contract": (
        "tests/integration/test_contract.py",
        "tests/integration/test_contract_examples.py",
        "tests/integration/test_extremes.py",
        "tests/acceptance/test_hostile.py",
    ),
    "clients": (
        "tests/acceptance/test_clients.py",
        "tests/acceptance/test_generated_client.py",
    ),
    "kills": (
        "tests/acceptance/test_nodes.py",
        "tests/acceptance/test_poison.py",
        "tests/acceptance/test_rebuild.py",
        "tests/acceptance/test_workers.py",
    ),
    "crash": ("tests/integration/test_crashes.py",),
    "machine": ("tests/integration/test_machine.py",),
    "others": (),
}
# Parts whose cases are many and measure no time: two processes share them.
_SHARED = ("interleavings", "crash", "machine")


# --- The program -------------------------------------------------------------------------------
def main(chosen: Sequence[str]) -> int:
    """Run the parts ``chosen``, all without any; return 0 if all their cases have passed."""
    if unknown := [part for part in chosen if part not in PARTS]:
        print(f"There is no part {unknown[0]}; there are: {', '.join(PARTS)}.")
        return 2
    if os.environ.get("AGAIN") or _progress()["commit"] != _commit():
        _store({"commit": _commit(), "passed": {}})
    failed = [part for part in chosen or PARTS if not _run(part)]
    if failed:
        print(f"Failed: {', '.join(failed)}. `make proof` goes on with the cases that are left.")
    return 1 if failed else 0


def _run(part: str) -> bool:
    began = time.monotonic()
    print(f"== {part}", flush=True)
    command = [sys.executable, "-m", "pytest", "-m", "proof", "-p", _PLUGIN, *_options(part)]
    status = subprocess.run(command, cwd=ROOT, env=os.environ | {"PROOF": "1"}).returncode
    has_passed = status in (pytest.ExitCode.OK, _NOTHING_LEFT)
    minutes = (time.monotonic() - began) / 60
    print(f"== {part}: {'passed' if has_passed else 'FAILED'}, {minutes:.1f} min", flush=True)
    return has_passed


def _options(part: str) -> list[str]:
    if not PARTS[part]:
        return [f"--ignore={file}" for files in PARTS.values() for file in files]
    shared = ["--numprocesses", "2", "--dist", "load"] if part in _SHARED else []
    return [*PARTS[part], *shared]


def _commit() -> str:
    """Return the commit, with a mark of the changes that aren't committed."""
    revision = _git("rev-parse", "HEAD").strip()
    changes = _git("diff", "HEAD")
    if not changes:
        return revision
    return f"{revision} {hashlib.sha256(changes.encode()).hexdigest()[:12]}"


def _git(*arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout


def _progress() -> dict[str, Any]:
    if not PROGRESS.exists():
        return {"commit": "", "passed": {}}
    progress: dict[str, Any] = json.loads(PROGRESS.read_text())
    return progress


def _store(progress: dict[str, Any]) -> None:
    PROGRESS.parent.mkdir(exist_ok=True)
    draft = PROGRESS.with_suffix(".new")
    draft.write_text(json.dumps(progress, indent=1))
    # Renamed when whole: a run may be killed at any moment.
    draft.replace(PROGRESS)


# --- The plugin --------------------------------------------------------------------------------
_failed: set[str] = set()
_seconds: dict[str, float] = {}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the cases that have passed."""
    passed = _progress()["passed"]
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid in passed])
    items[:] = [item for item in items if item.nodeid not in passed]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note a case that has passed, with the seconds that it took and the last line it printed."""
    if os.environ.get("PYTEST_XDIST_WORKER"):
        return
    _seconds[report.nodeid] = _seconds.get(report.nodeid, 0.0) + report.duration
    if report.failed:
        _failed.add(report.nodeid)
    if report.when == "teardown" and report.nodeid not in _failed:
        progress = _progress()
        progress["passed"][report.nodeid] = {
            "seconds": round(_seconds[report.nodeid], 1),
            "output": report.capstdout.strip().rpartition("\n")[2],
        }
        _store(progress)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
