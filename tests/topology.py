"""The service on many machines, as processes on loopback: the stage "ten" of docs/scale.md.

A primary with a standby, three NATS servers, and two sites, each with a web server, two workers and
a read database; the first site reads a replica of it, the second one reads the log from the stream.
``with topology() as machines`` starts all of them; each can be killed, and started again.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.acceptance.service import Service, wait_until
from tests.databases import Databases
from tests.nats_servers import NatsServers, nats_servers
from tests.own_server import new_data_dir
from tests.postgres_servers import PostgresServer

STREAM = "orders"


class Topology:
    """The parts that were added; all their files are in ``folder``, and they end with ``stack``.

    ``sites`` are in the order of their addition. ``servers`` are those of PostgreSQL by name:
    "primary", "standby", and "first", "second" and "replica" for read databases.
    """

    def __init__(self, folder: Path, stack: ExitStack, like: Sequence[str] = ()) -> None:
        self._folder = folder
        self._stack = stack
        self._like = like
        self.sites: list[Service] = []
        self.servers: dict[str, PostgresServer] = {}
        # The variables of what is added later, and of workers that are started anew.
        self.environ: dict[str, str] = {"WORKERS": "2"}

    def is_ready(self) -> bool:
        return all(site.is_ready() for site in self.sites if site.has_web)

    # --- PostgreSQL ----------------------------------------------------------------------------
    def add_server(self, name: str) -> PostgresServer:
        self.servers[name] = server = PostgresServer(self._folder / name)
        return server

    def add_standby(self, name: str, *, of: str, waits: bool) -> None:
        """Add a standby; if it ``waits``, each commit waits for it."""
        standby, primary = self.add_server(name), self.servers[of]
        standby.copy(primary)
        if waits:
            primary.wait_for(standby)

    def promote(self) -> None:
        """Kill the primary for good; the standby takes over its address."""
        primary, standby = self.servers["primary"], self.servers["standby"]
        wait_until(lambda: primary.is_level(standby), missing="the standby isn't level")
        primary.kill()
        standby.take_over(primary)
        self.servers |= {"primary": standby, "standby": primary}
        standby.wait_for(primary)

    # --- The service ---------------------------------------------------------------------------
    def add_stream(self) -> NatsServers:
        """Start three NATS servers; workers that are started later publish the log."""
        self.nats = self._stack.enter_context(nats_servers(3, within=self._folder))
        urls = ",".join(self.nats.urls)
        self.environ |= {"RELAY": "nats", "NATS_URL": urls, "NATS_REPLICAS": "3"}
        return self.nats

    def add_site(self, *urls: str, web: bool = True, **environ: str) -> Service:
        """Start a site on a write and a read database; wait until its web server is ready."""
        logs = self._folder / f"site-{len(self.sites)}"
        logs.mkdir()
        site = Service(logs, like=self._like, urls=urls, web=web)
        site.environ |= self.environ | environ
        if self.sites:
            # Users belong to the write database, and all programs sign by one key.
            site.tokens = self.sites[0].tokens
            site.environ["SECRET_KEY"] = self.sites[0].environ["SECRET_KEY"]
        self._stack.enter_context(site)
        self.sites.append(site)
        return site


@contextmanager
def empty_topology(*, like: Sequence[str] = ()) -> Iterator[Topology]:
    """Yield a topology without parts; at the end of the block all that were added are gone."""
    with ExitStack() as stack:
        yield Topology(stack.enter_context(new_data_dir()), stack, like)


@contextmanager
def topology() -> Iterator[Topology]:
    """Run all parts until the block ends."""
    with empty_topology() as machines:
        for name in ("primary", "first", "second"):
            machines.add_server(name).start()
        machines.add_standby("standby", of="primary", waits=True)
        machines.add_standby("replica", of="first", waits=False)
        machines.add_stream()
        write_url = machines.servers["primary"].url("orders_write")
        first, replica, second = (
            machines.servers[name].url("orders_read") for name in ("first", "replica", "second")
        )
        machines.add_site(write_url, first, READ_REPLICA_URL=replica)
        machines.add_site(write_url, second, READ_SITE="b", LOG_SOURCE="nats")
        yield machines


@contextmanager
def small_topology(like: Sequence[str]) -> Iterator[Topology]:
    """Run the stream and the sites, the second of them without a web server.

    The databases are copies of the migrated databases ``like`` on the server of the tests, which
    has neither a standby nor a replica.
    """
    write, read = like
    databases = Databases("write", "first", "second", like=[write, read, read])
    write_url, first, second = databases.urls
    try:
        with empty_topology(like=like) as machines:
            machines.add_stream()
            machines.add_site(write_url, first)
            machines.add_site(write_url, second, web=False, READ_SITE="b", LOG_SOURCE="nats")
            yield machines
    finally:
        databases.drop()
