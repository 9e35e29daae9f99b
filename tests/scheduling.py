"""The distribution of the test files among the processes of pytest-xdist."""

from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

# Acceptance tests that don't use the fixture `service` of their folder, and the walks in a browser,
# which take so long that a process with all the others would end last.
_APART = {
    "test_nodes.py",
    "test_one_database.py",
    "test_poison.py",
    "test_pooler.py",
    "test_rebuild.py",
    "test_refused_runs.py",
    "test_shop_apps.py",
    "test_walks.py",
    "test_workers.py",
}
# Files that share the service with demo data.
_DEMO = {"test_pages.py", "test_run.py"}


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
