"""The distribution of the test files among the processes of pytest-xdist."""

from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

# Acceptance tests that don't use the fixture `service` of their folder.
_WITH_OWN_SERVICE = {
    "test_nodes.py",
    "test_one_database.py",
    "test_poison.py",
    "test_pooler.py",
    "test_rebuild.py",
    "test_refused_runs.py",
    "test_run.py",
    "test_workers.py",
}


class SharedServiceScheduling(LoadFileScheduling):
    """Gives each file to one process, and all files that share a service to the same process.

    The service takes as long to start as many of its tests take.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        folder, _, name = file.rpartition("/")
        is_shared = folder.endswith("acceptance") and name not in _WITH_OWN_SERVICE
        return folder if is_shared else file
