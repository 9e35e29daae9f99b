"""The releases of the service: their rows in CHANGELOG.md, and the kept databases of each.

    make release

makes the databases of the version in config/version.py, by the code of the last commit, and writes
the day and the commit into the heading of the version. VERSION and COMMIT do so for a former one:
``.venv/bin/python -m tests.releases 1.4.0 ea21b9f``.
"""

import io
import lzma
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psycopg

ROOT = Path(__file__).parents[1]
CHANGELOG = ROOT / "CHANGELOG.md"
FOLDER = ROOT / "tests" / "data" / "releases"
SIDES = ("write", "read")
_HEADING = re.compile(
    r"^## (\d+\.\d+\.\d+), (?:(\S+), commit ([0-9a-f]{7,40})|not released)$", re.M
)
# Migrates, makes the demo and projects its events, with the code of any release.
_FILL = """
import django
django.setup()
from django.core.management import call_command
from ordering_read.engine import live
try:
    from ordering_read.projector import registered
except ImportError:
    from ordering_read.engine.base import registered
call_command("migrate", verbosity=0)
call_command("seed_demo", orders=40, verbosity=0)
live.run(*registered())
"""


@dataclass(frozen=True)
class Release:
    """A version of CHANGELOG.md; day and commit are empty until it is released."""

    version: str
    day: str
    commit: str


def releases() -> list[Release]:
    """Return the versions of CHANGELOG.md, the newest first."""
    return [Release(*groups) for groups in _HEADING.findall(CHANGELOG.read_text())]


def is_kept(version: str) -> bool:
    """Return True if the databases of a release are kept."""
    return all((FOLDER / f"{version}-{side}.sql.xz").exists() for side in SIDES)


def dump_of(version: str, side: str) -> bytes:
    """Return the statements that make the write or the read database of a release."""
    return lzma.decompress((FOLDER / f"{version}-{side}.sql.xz").read_bytes())


def restore(urls: list[str], version: str) -> None:
    """Make the databases of a release in the empty databases at ``urls``."""
    for url, side in zip(urls, SIDES, strict=True):
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(dump_of(version, side))


def archive(commit: str, folder: Path) -> None:
    """Write the files of a commit into ``folder``."""
    with tarfile.open(fileobj=io.BytesIO(_git("archive", "--format=tar", commit))) as tar:
        tar.extractall(folder, filter="data")


def make_dumps(version: str, commit: str) -> None:
    """Keep the databases that the code of ``commit`` fills with its demo."""
    # Imported here, because it needs Django.
    from tests.databases import Databases

    databases = Databases(*SIDES)
    try:
        with tempfile.TemporaryDirectory() as name:
            archive(commit, Path(name))
            _fill(Path(name), databases.urls)
        FOLDER.mkdir(exist_ok=True)
        for url, side in zip(databases.urls, SIDES, strict=True):
            packed = lzma.compress(_dump(url), preset=9 | lzma.PRESET_EXTREME)
            (FOLDER / f"{version}-{side}.sql.xz").write_bytes(packed)
    finally:
        databases.drop()


def _fill(folder: Path, urls: list[str]) -> None:
    environ = {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "DATABASE_URL": urls[0],
        "READ_DATABASE_URL": urls[1],
        "SECRET_KEY": uuid4().hex * 2,
        "DEMO": "1",
        "HTTPS": "0",
        "PYTHONWARNINGS": "ignore",
    }
    inherited = {
        name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ
    }
    command = [sys.executable, "-c", _FILL]
    subprocess.run(command, env=inherited | environ, cwd=folder, check=True)


def _dump(url: str) -> bytes:
    """Return plain statements, without comments and without commands of psql."""
    from config.databases import programs

    options = ("--no-owner", "--no-privileges", "--inserts", "--rows-per-insert=500")
    command = [str(programs.in_wheel() / "pg_dump"), *options, url]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    lines = (line for line in text.splitlines() if line and not line.startswith(("--", "\\")))
    return "\n".join(lines).encode()


def release() -> None:
    """Make the databases of the last commit, and write day and commit into its heading."""
    from config.version import VERSION

    if _git("status", "--porcelain", "--untracked-files=no"):
        sys.exit("Commit your changes first: a release is a commit.")
    commit = _git("rev-parse", "HEAD").decode().strip()
    day = _git("log", "-1", "--format=%cs").decode().strip()
    make_dumps(VERSION, commit)
    heading = re.compile(rf"^## {re.escape(VERSION)}, .*$", re.MULTILINE)
    text = heading.sub(f"## {VERSION}, {day}, commit {commit[:10]}", CHANGELOG.read_text())
    CHANGELOG.write_text(text)
    print(f"{VERSION} is released: commit CHANGELOG.md and tests/data, and tag {commit[:10]}.")


def _git(*arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True).stdout


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    if sys.argv[1:]:
        make_dumps(*sys.argv[1:])
    else:
        release()
