"""The manifest of a file of the archive: its digest, and that of the manifest before."""

import hashlib
from typing import Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, ValidationError

from ordering_write.archive.storage import Storage


class Manifest(BaseModel):
    """The description of a file, stored as JSON beside it.

    ``previous`` is the SHA-256 of the manifest before, empty for the first one: a manifest stands
    for all files up to its own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    log_id: UUID
    file: str
    first: int
    last: int
    last_event_id: UUID
    size: int
    sha256: str
    previous: str

    @property
    def content(self) -> bytes:
        """The JSON that is stored."""
        return f"{self.model_dump_json(indent=2)}\n".encode()

    @property
    def digest(self) -> str:
        """The SHA-256 of the stored JSON."""
        return hashlib.sha256(self.content).hexdigest()

    @classmethod
    def read(cls, storage: Storage, first: int) -> Self | None:
        """Return the manifest of the file that begins at the position ``first``.

        None if there is none, or one that was not written to its end.
        """
        try:
            return cls.model_validate_json(storage.read(manifest_name(first)))
        except (FileNotFoundError, ValidationError):
            return None


def file_name(first: int) -> str:
    """Return the name of the file that begins at the position ``first``."""
    return f"events-{first:012d}.parquet"


def manifest_name(first: int) -> str:
    """Return the name of the manifest of that file."""
    return f"events-{first:012d}.json"
