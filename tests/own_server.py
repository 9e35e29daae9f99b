"""A folder for a test that wants an embedded PostgreSQL of its own."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from config.databases.embedded import EmbeddedServer


@contextmanager
def new_data_dir() -> Iterator[Path]:
    """An empty DATA_DIR; in the end its server is stopped, and both are gone."""
    # Not pytest's tmp_path: root's server runs under an account that can't enter it.
    folder = Path(tempfile.mkdtemp(prefix="orders-test-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        EmbeddedServer(folder).stop()
        shutil.rmtree((folder / "postgres").resolve(), ignore_errors=True)
        shutil.rmtree(folder)
