"""Small secrets and choices that are made once and kept in files that only their owner reads."""

import contextlib
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured


def generated(folder: Path) -> str:
    """The SECRET_KEY of the copy of the project that keeps its data in ``folder``."""
    return kept(folder / "secret_key", make=random_text)


def random_text() -> str:
    """86 letters, digits, ``-`` and ``_``: safe in URLs and files, beyond guessing."""
    return secrets.token_urlsafe(64)


def kept(file: Path, *, make: Callable[[], str]) -> str:
    """The text in ``file``; the first process to ask writes what ``make`` returns.

    Raises ImproperlyConfigured when the file can neither be read nor written.
    """
    with _explained(file):
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            with _draft(file, make()) as draft, contextlib.suppress(FileExistsError):
                # A link appears whole or not at all, and never replaces another process's file.
                os.link(draft, file)
        return file.read_text()


def replace(file: Path, text: str) -> None:
    """Keep ``text`` in ``file`` instead of what it holds."""
    with _explained(file), _draft(file, text) as draft:
        os.replace(draft, file)


@contextlib.contextmanager
def _draft(file: Path, text: str) -> Iterator[Path]:
    """A private file beside ``file`` that holds ``text`` on disk; gone afterwards, unless moved."""
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
def _explained(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ImproperlyConfigured(
            f"{file} can't be kept ({error.strerror}): DATA_DIR must be a folder we may write."
        ) from error
