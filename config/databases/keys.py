"""Secrets and ports that are generated once and stored in files that only their owner can read."""

import contextlib
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured


def generated(folder: Path) -> str:
    """Return the SECRET_KEY of the installation that keeps its data in ``folder``."""
    return read_or_create(folder / "secret_key", make=random_text)


def random_text() -> str:
    """Return 86 random letters, digits, ``-`` and ``_``, safe in URLs and files."""
    return secrets.token_urlsafe(64)


def read_or_create(file: Path, *, make: Callable[[], str]) -> str:
    """Return the text in ``file``; the first process writes the text that ``make`` returns.

    Raises ImproperlyConfigured when the file can neither be read nor written.
    """
    with _explain_errors(file):
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            with _draft(file, make()) as draft, contextlib.suppress(FileExistsError):
                # A link is atomic, and never replaces the file of another process.
                os.link(draft, file)
        return file.read_text()


def replace(file: Path, text: str) -> None:
    """Replace the text in ``file``."""
    with _explain_errors(file), _draft(file, text) as draft:
        os.replace(draft, file)


@contextlib.contextmanager
def _draft(file: Path, text: str) -> Iterator[Path]:
    """Write ``text`` to a private file beside ``file``; delete it after the block unless moved."""
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-")
    draft = Path(name)
    try:
        with open(descriptor, "w") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        yield draft
    finally:
        draft.unlink(missing_ok=True)


@contextlib.contextmanager
def _explain_errors(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ImproperlyConfigured(
            f"{file} can't be kept ({error.strerror}): DATA_DIR must be a folder we may write."
        ) from error
