"""Proves that the files of the archive are those that the log has written, row by row."""

import hashlib
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from django.db import connection

from config.processes import run_in_children
from ordering_write.archive import rows
from ordering_write.archive.errors import NothingArchivedError
from ordering_write.archive.manifest import Manifest, manifest_name
from ordering_write.archive.rows import RowGroup
from ordering_write.archive.storage import Storage
from ordering_write.log import decoding
from ordering_write.log.content import content_hash
from ordering_write.models import ArchivedFile

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# Faults of one file that are named: a damaged dictionary spoils all rows.
_MOST_FAULTS = 20

_HASHES = """
SELECT event_position.position, event.hash
FROM event_position JOIN event ON event.id = event_position.event_id
WHERE event_position.position BETWEEN %s AND %s
"""


class CheckedFile(NamedTuple):
    """A file of the archive, with its faults as sentences."""

    archived: ArchivedFile
    faults: Sequence[str]


class _Task(NamedTuple):
    file: ArchivedFile
    # The digest of the manifest before, empty for the first file.
    previous: str


def check(
    storage: Storage,
    *,
    files: Collection[ArchivedFile] | None = None,
    processes: int = 1,
    digests_only: bool = False,
) -> Iterator[CheckedFile]:
    """Yield each file, or those of ``files``, with its faults, as ``processes`` have checked them.

    Compares bytes and manifests with their digests, and rows with their hashes and with the log.
    With ``digests_only``, a row is read only if the digest of its file doesn't fit. Raises
    ArchiveError and ChildLostError.
    """
    archived = list(ArchivedFile.objects.all())
    if not archived:
        raise NothingArchivedError(NothingArchivedError.__doc__)
    digests = ["", *(file.manifest_sha256 for file in archived)]
    tasks = [
        _Task(file, previous)
        for file, previous in zip(archived, digests, strict=False)
        if files is None or file in files
    ]
    yield from run_in_children(
        partial(_check_file, storage, digests_only=digests_only), tasks, count=processes
    )


def _check_file(storage: Storage, task: _Task, *, digests_only: bool) -> CheckedFile:
    texts = _texts(storage, task, digests_only=digests_only)
    named = list(islice(texts, _MOST_FAULTS))
    if further := sum(1 for _ in texts):
        named.append(f"{further:,} more faults")
    return CheckedFile(task.file, named)


def _texts(storage: Storage, task: _Task, *, digests_only: bool) -> Iterator[str]:
    file = task.file
    yield from _check_manifest(storage, task)
    try:
        is_intact = storage.digest(file.name) == (file.bytes, file.sha256)
    except FileNotFoundError:
        yield "it is missing"
        return
    if not is_intact:
        yield "its bytes were changed: its SHA-256 doesn't fit"
    if not (is_intact and digests_only):
        yield from _check_rows(storage, file)


def _check_manifest(storage: Storage, task: _Task) -> Iterator[str]:
    file = task.file
    name = manifest_name(file.first)
    try:
        content = storage.read(name)
    except FileNotFoundError:
        yield f"its manifest {name} is missing"
        return
    if hashlib.sha256(content).hexdigest() != file.manifest_sha256:
        yield f"its manifest {name} was changed: its SHA-256 doesn't fit"
        return
    if Manifest.model_validate_json(content).previous != task.previous:
        yield f"its manifest {name} doesn't follow on the one before"


def _check_rows(storage: Storage, file: ArchivedFile) -> Iterator[str]:
    address = storage.address(file.name)
    with storage.connect([file.name]) as duck:
        # Imported here, where the storage has found the package.
        import duckdb

        duck.execute("SET threads = 1")
        chain = _Chain(file.first)
        try:
            groups = list(rows.groups(duck, address))
        except duckdb.Error as error:
            yield f"it can't be read: {_reason(error)}"
            return
        for group in groups:
            try:
                of_group = _read(duck, address, group)
            except (duckdb.Error, ValueError) as error:
                numbers = f"{group.first + 1:,} to {group.end:,}"
                yield f"its rows {numbers} can't be read: {_reason(error)}"
                chain.skip(group)
                continue
            yield from chain.check(of_group)
        if chain.next_position != file.last + 1:
            yield f"it ends at position {chain.next_position - 1}, and not at {file.last}"


def _read(duck: "DuckDBPyConnection", address: str, group: RowGroup) -> list[dict[str, Any]]:
    """Return the rows of a group, parsed. Raises duckdb.Error and ValueError."""
    return [decoding.parse({**row, "personal": None}) for row in rows.read(duck, address, group)]


class _Chain:
    """The hashes of a file's events, checked in their order."""

    def __init__(self, first: int) -> None:
        self._first = self.next_position = first
        # The last version and hash of each stream.
        self._last: dict[str, tuple[int, str]] = {}
        self._has_skipped = False

    def skip(self, group: RowGroup) -> None:
        """Go on after a group that can't be read."""
        self.next_position = self._first + group.end
        self._has_skipped = True

    def check(self, of_group: Sequence[dict[str, Any]]) -> Iterator[str]:
        """Yield the faults of the next rows."""
        begin = self.next_position
        stored = _stored_hashes(begin, begin + len(of_group) - 1)
        for row in of_group:
            name = (
                f"row {self.next_position - self._first + 1:,} (position {row['position']}, "
                f"{row['stream']}, version {row['version']})"
            )
            if row["position"] != self.next_position:
                yield f"{name} has another position than {self.next_position}"
            if not self._fits(row):
                yield f"{name} was changed: its hash doesn't fit"
            elif stored.get(self.next_position, row["hash"]) != row["hash"]:
                yield f"{name} isn't the event that the log has"
            self._last[row["stream"]] = row["version"], row["hash"]
            self.next_position += 1

    def _fits(self, row: dict[str, Any]) -> bool:
        version, previous = self._last.get(row["stream"], (0, ""))
        if row["previous_hash"] or row["version"] == 1:
            previous = row["previous_hash"] or ""
        elif self._has_skipped and version != row["version"] - 1:
            # The event before can't be read.
            return True
        fits: bool = content_hash(row, previous) == row["hash"]
        return fits


def _stored_hashes(first: int, last: int) -> dict[int, str]:
    """Return the hashes that the log has, by position."""
    with connection.cursor() as cursor:
        cursor.execute(_HASHES, [first, last])
        return dict(cursor.fetchall())


def _reason(error: Exception) -> str:
    return str(error).partition("\n")[0]
