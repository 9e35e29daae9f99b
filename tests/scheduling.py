"""The distribution of the test files among the processes of pytest-xdist."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import pytest
from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

# Acceptance tests that don't use the fixture `service` of their folder, and the walks in a browser,
# which take so long that a process with all the others would end last.
_APART = {
    "test_chaos.py",
    "test_code_pages.py",
    "test_nodes.py",
    "test_one_database.py",
    "test_personal_copy.py",
    "test_poison.py",
    "test_pooler.py",
    "test_rebuild.py",
    "test_refused_runs.py",
    "test_relay_cluster.py",
    "test_rolling.py",
    "test_shop_apps.py",
    "test_slice_nodes.py",
    "test_topology.py",
    "test_traces.py",
    "test_walks.py",
    "test_workers.py",
}
# Files that share the service with demo data.
_DEMO = {"test_pages.py", "test_run.py"}
# Tests of the first folder wait for services; those of the others keep a processor busy.
_FOLDERS = ("acceptance", "integration", "unit")


def in_order(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Return the tests in the order in which processes take them.

    The files of the shared services come first, as they take longest. The other acceptance tests
    are spread among those that compute, so that processes seldom wait at the same time.
    """
    by_folder = sorted(items, key=lambda item: _FOLDERS.index(_folder(item.path)))
    files = [list(tests) for _, tests in groupby(by_folder, key=lambda item: item.path)]
    shared = [file for file in files if _is_acceptance(file) and file[0].path.name not in _APART]
    waiting = [file for file in files if _is_acceptance(file) and file not in shared]
    computing = [file for file in files if not _is_acceptance(file)]
    interval = max(1, len(computing) // (len(waiting) + 1))
    for number, file in enumerate(waiting):
        computing.insert(number * (interval + 1), file)
    return [item for file in (*shared, *computing) for item in file]


def _is_acceptance(tests: Sequence[pytest.Item]) -> bool:
    return _folder(tests[0].path) == _FOLDERS[0]


def _folder(path: Path) -> str:
    # The tests of a shop's app are in a folder of their own.
    name = path.parent.name
    return name if name in _FOLDERS else _FOLDERS[-1]


class SharedServiceScheduling(LoadFileScheduling):
    """Gives each file to one process, and all files that share a service to the same process.

    The service takes as long to start as many of its tests take.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        folder, _, name = file.rpartition("/")
        if name in _DEMO:
            return f"{folder}/demo"
        is_shared = folder.endswith("acceptance") and name not in _APART
        return folder if is_shared else file
