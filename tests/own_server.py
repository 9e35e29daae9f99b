"""A folder for a test that wants embedded PostgreSQL servers of its own."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from config.databases.embedded import EmbeddedServer


@contextmanager
def new_data_dir() -> Iterator[Path]:
    """Yield an empty DATA_DIR; at the end, stop its server and remove both.

    Servers of folders in it are stopped too.
    """
    # Not pytest's tmp_path: root's server runs under an account that can't enter it.
    folder = Path(tempfile.mkdtemp(prefix="orders-test-"))
    folder.chmod(0o755)
    # A process of its own removes it, also when this one is killed.
    with subprocess.Popen(
        [sys.executable, "-m", "tests.own_server", folder],
        cwd=Path(__file__).parent.parent,
        stdin=subprocess.PIPE,
        start_new_session=True,
    ) as remover:
        yield folder
    assert remover.returncode == 0


def _remove_at_the_end_of_input(folder: Path) -> None:
    sys.stdin.read()
    for data_dir in (folder, *(home.parent for home in folder.glob("*/postgres"))):
        EmbeddedServer(data_dir).stop()
        shutil.rmtree((data_dir / "postgres").resolve(), ignore_errors=True)
    shutil.rmtree(folder)


if __name__ == "__main__":
    _remove_at_the_end_of_input(Path(sys.argv[1]))
