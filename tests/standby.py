"""A standby of the embedded server: a real one, made by pg_basebackup, that streams."""

import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from config.databases import programs
from config.databases.embedded import _free_port


class Standby:
    """The running standby of the server at ``url``, whose files are in ``home``."""

    def __init__(self, url: str, home: Path) -> None:
        self._home, self._data = home, home / "data"
        self._primary = urlsplit(url)
        self.port = int(_free_port())

    def url(self, database: str) -> str:
        """Return the URL of a database on the standby."""
        user = self._primary.netloc.rpartition("@")[0]
        address = f"{user}@{self._primary.hostname}:{self.port}"
        return self._primary._replace(netloc=address, path=f"/{database}").geturl()

    def start(self) -> None:
        """Copy the primary, and follow it."""
        primary = self._primary._replace(path="/postgres").geturl()
        self._run("pg_basebackup", "-D", str(self._data), "-d", primary, "-R", "-c", "fast", "-N")
        options = f"-c port={self.port} -c max_connections=500 -c unix_socket_directories="
        self._run("pg_ctl", "start", "-w", "-D", str(self._data), "-o", options)

    def stop(self) -> None:
        self._run("pg_ctl", "stop", "-m", "immediate", "-D", str(self._data))

    def pause_replay(self) -> None:
        """Show no further changes until ``resume_replay``; returns when the replay stands still."""
        self._ask("SELECT pg_wal_replay_pause()")
        while self._ask("SELECT pg_get_wal_replay_pause_state()") != "paused":
            pass

    def resume_replay(self) -> None:
        self._ask("SELECT pg_wal_replay_resume()")

    def _ask(self, statement: str) -> object:
        with closing(psycopg.connect(self.url("postgres"), autocommit=True)) as connection:
            row = connection.execute(statement).fetchone()
            return row and row[0]

    def _run(self, program: str, *arguments: str) -> None:
        programs.run(program, *arguments, home=self._home)


@contextmanager
def standby_of(url: str) -> Iterator[Standby]:
    """Run a standby of the server at ``url`` within the block."""
    with tempfile.TemporaryDirectory(prefix="orders-standby-", ignore_cleanup_errors=True) as name:
        home = Path(name)
        if account := programs.account(home):
            account.take(home)
        standby = Standby(url, home)
        standby.start()
        try:
            yield standby
        finally:
            standby.stop()
