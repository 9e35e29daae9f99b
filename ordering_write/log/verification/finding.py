"""The result of a check of the log."""

from typing import NamedTuple

# Rows of one statement where a whole table is read.
PAGE = 10_000


class Finding(NamedTuple):
    """A fault of a stream, of one version of it, or of the log as a whole (no stream)."""

    stream: str
    version: int | None
    fault: str

    def __str__(self) -> str:
        subject = self.stream or "the log"
        version = "" if self.version is None else f", version {self.version}"
        return f"{subject}{version}: {self.fault}"
