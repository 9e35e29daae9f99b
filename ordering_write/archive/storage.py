"""The folder or object storage of the archive, and the DuckDB that reads its files."""

import hashlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from shutil import copyfileobj
from typing import TYPE_CHECKING, Any

from django.conf import settings

from ordering_write.archive.errors import NoArchiveError, PackagesMissingError, StorageError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# Bytes that are read or written at once.
_BLOCK = 1 << 20


class Storage:
    """Files of one folder, named by a path or by a URL that fsspec knows, such as s3://bucket/log.

    Methods raise StorageError, and FileNotFoundError for a file that isn't there. An instance is
    made again by a process that gets it from another one.
    """

    def __init__(self, url: str = "") -> None:
        self.url = url or settings.ARCHIVE_URL
        if not self.url:
            raise NoArchiveError(NoArchiveError.__doc__)

    def __reduce__(self) -> tuple[Any, ...]:
        return (Storage, (self.url,))

    @cached_property
    def _place(self) -> tuple[Any, str]:
        """The file system, and the path of the folder in it."""
        try:
            from fsspec.core import url_to_fs
        except ImportError as error:
            raise PackagesMissingError(PackagesMissingError.__doc__) from error
        try:
            files, path = url_to_fs(self.url)
        except (ImportError, ValueError) as error:
            raise StorageError(f"{self.url}: {error}") from error
        return files, path.rstrip("/")

    @cached_property
    def _is_local(self) -> bool:
        from fsspec.implementations.local import LocalFileSystem

        return isinstance(self._place[0], LocalFileSystem)

    def address(self, name: str) -> str:
        """Return the path or the URL of a file."""
        files, folder = self._place
        path = f"{folder}/{name}"
        return path if self._is_local else str(files.unstrip_protocol(path))

    def read(self, name: str) -> bytes:
        """Return the content of a file."""
        with self._opened(name, "rb") as file:
            content: bytes = file.read()
            return content

    def digest(self, name: str) -> tuple[int, str]:
        """Return the size of a file in bytes, and its SHA-256."""
        digest, size = hashlib.sha256(), 0
        with self._opened(name, "rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
                size += len(block)
        return size, digest.hexdigest()

    def write(self, name: str, content: bytes) -> None:
        """Write a file. It is on the disk when the method returns."""
        with self._opened(name, "wb") as file:
            file.write(content)

    def put(self, path: Path, name: str) -> None:
        """Write the content of the local file ``path``, as ``write`` does."""
        with path.open("rb") as source, self._opened(name, "wb") as file:
            copyfileobj(source, file, _BLOCK)

    @contextmanager
    def _opened(self, name: str, mode: str) -> Iterator[Any]:
        files, folder = self._place
        try:
            if self._is_local and mode == "wb":
                files.makedirs(folder, exist_ok=True)
            with files.open(f"{folder}/{name}", mode) as file:
                yield file
                if self._is_local and mode == "wb":
                    file.flush()
                    os.fsync(file.fileno())
        except FileNotFoundError:
            raise
        except OSError as error:
            raise StorageError(f"{self.address(name)}: {error}") from error

    def connect(self, names: Sequence[str] = ()) -> "DuckDBPyConnection":
        """Return a DuckDB in memory that can read and write only the files ``names``."""
        duck = duckdb_of_process()
        if not self._is_local:
            duck.register_filesystem(self._place[0])
        # DuckDB writes there what exceeds its memory.
        folder = Path(tempfile.gettempdir(), f"orders-archive-{os.getpid()}")
        duck.execute(f"SET temp_directory = {quoted(str(folder))}")
        duck.execute(f"SET allowed_paths = [{', '.join(map(self.literal, names))}]")
        duck.execute("SET enable_external_access = false")
        return duck

    def literal(self, name: str) -> str:
        """Return the address of a file as SQL."""
        return quoted(self.address(name))


def quoted(text: str) -> str:
    """Return ``text`` as SQL."""
    return "'" + text.replace("'", "''") + "'"


def duckdb_of_process() -> "DuckDBPyConnection":
    """Return a DuckDB in memory of this process, with times in UTC. Raises PackagesMissingError."""
    try:
        import duckdb
    except ImportError as error:
        raise PackagesMissingError(PackagesMissingError.__doc__) from error
    duck = duckdb.connect()
    duck.execute("SET TimeZone = 'UTC'")
    return duck
