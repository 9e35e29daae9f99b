"""Two sites, three NATS servers and a relay, with a standby and a replica at full size: anything is
killed at a steady load, and each accepted command is in the log, in the stream and at both sites.
"""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial

import psutil
import pytest

from tests.acceptance.chaos import Client, Harm, Nemesis, assert_accepted_once, clients_running
from tests.acceptance.recount import assert_read_models_equal_the_log
from tests.acceptance.service import Service, wait_until
from tests.acceptance.shop import Shop
from tests.proof import IS_PROOF, size
from tests.topology import STREAM, Topology, empty_topology, small_topology, topology

pytestmark = pytest.mark.proof

SECONDS = size(0, full=600)
# Seconds for which the network of a part is cut.
SHORTEST_CUT, LONGEST_CUT = size(1, full=2), size(1, full=8)
_LOGGED = """
SELECT event.event_id::text, hash FROM event_position
JOIN event ON event.id = event_position.event_id ORDER BY position
"""


@pytest.fixture
def machines(request: pytest.FixtureRequest) -> Iterator[Topology]:
    migrated = () if IS_PROOF else request.getfixturevalue("migrated")
    running = small_topology(migrated) if migrated else topology()
    with running as machines:
        yield machines


class Faults:
    """Does harm to the parts of a topology."""

    def __init__(self, machines: Topology, dice: random.Random) -> None:
        self._machines = machines
        self._dice = dice
        self._sites = [Harm(site, dice) for site in machines.sites]

    def acts(self) -> list[Callable[[], None]]:
        acts = [self.kill_worker_process, self.kill_nats_server, self.cut_off_nats_server]
        if IS_PROOF:
            acts += [self.kill_web_process, self.kill_web_server, self.kill_node]
            acts += [self.cut_off_node, self.crash_server, self.cut_off_standby]
        return acts

    # --- Sites ---------------------------------------------------------------------------------
    def kill_worker_process(self) -> None:
        self._dice.choice(self._sites).kill_worker_process()

    def kill_web_process(self) -> None:
        self._dice.choice(self._sites).kill_web_process()

    def kill_web_server(self) -> None:
        self._dice.choice(self._sites).kill_web_server()

    def kill_node(self) -> None:
        self._dice.choice(self._sites).kill_node()

    def cut_off_node(self) -> None:
        node = psutil.Process(self._dice.choice(self._sites).service.workers.pid)
        with suppress(psutil.NoSuchProcess):
            self._cut_off([node, *node.children(recursive=True)])

    # --- NATS and PostgreSQL -------------------------------------------------------------------
    def kill_nats_server(self) -> None:
        """Kill the leader of the stream, or any server without one."""
        nats = self._machines.nats
        leader = nats.leader(STREAM)
        number = self._dice.randrange(3) if leader is None else leader
        nats.kill(number)
        nats.start(number)

    def cut_off_nats_server(self) -> None:
        self._cut_off([psutil.Process(self._machines.nats.pid(self._dice.randrange(3)))])

    def crash_server(self) -> None:
        server = self._dice.choice(list(self._machines.servers.values()))
        server.kill()
        server.start()

    def cut_off_standby(self) -> None:
        """Let commits wait for a standby that doesn't answer."""
        standby = psutil.Process(self._machines.servers["standby"].pid)
        self._cut_off([standby, *standby.children()])

    def _cut_off(self, processes: Sequence[psutil.Process]) -> None:
        """Stop processes for some seconds: for others that is a network that is cut."""
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.suspend()
        time.sleep(self._dice.uniform(SHORTEST_CUT, LONGEST_CUT))
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.resume()


def test_accepted_commands_are_in_the_log_the_stream_and_at_both_sites(machines: Topology) -> None:
    dice = random.Random(13)
    shops = [Shop(site) for site in machines.sites if site.has_web]
    clients = [Client(shop) for shop in (shops * 2)[:2]]
    nemesis = Nemesis(Faults(machines, dice).acts(), dice)

    with clients_running(clients):
        nemesis.run(SECONDS / 2)
        if IS_PROOF:
            machines.promote()
            nemesis.run(SECONDS / 2)

    assert_all_is_at_both_sites(machines, shops, clients)
    placed = sum(len(client.placed) for client in clients)
    repeats = sum(client.repeats for client in clients)
    print(f"{placed} orders, {repeats} repeated requests, {dict(nemesis.harm)}")


def assert_all_is_at_both_sites(
    machines: Topology, shops: Sequence[Shop], clients: Sequence[Client]
) -> None:
    wait_until(machines.is_ready, missing="a site isn't ready again")
    for site in machines.sites:
        site.settle()
        if IS_PROOF:
            # Events during which workers were killed three times look as if they had killed them.
            site.manage("retry_parked")
            site.manage("verify_projections")
        assert_read_models_equal_the_log(site)
    if IS_PROOF:
        machines.sites[0].manage("verify_log")
    if "replica" in machines.servers:
        wait_until(partial(replica_is_level, machines), missing="the replica isn't level")
    for client in clients:
        for shop in shops:
            assert_accepted_once(shop, client)
    assert_stream_is_the_log(machines)


@pytest.mark.skipif(not IS_PROOF, reason="needs minutes: make proof PART=chaos")
def test_a_shop_moves_from_one_machine_to_many_while_it_is_used() -> None:
    """The steps of docs/scale.md, in its order: no command is refused until the primary is lost."""
    with empty_topology() as machines:
        primary, first, second = (
            machines.add_server(name) for name in ("primary", "first", "second")
        )
        for server in (primary, first, second):
            server.start()
        site = machines.add_site(primary.url("orders_write"), first.url("orders_read"))
        shop = Shop(site)
        client = Client(shop)
        with clients_running([client]):
            wait_for_orders(client)
            machines.add_standby("standby", of="primary", waits=True)
            wait_for_orders(client)
            machines.add_stream()
            restart_workers(site, **machines.environ)
            wait_for_orders(client)
            other = machines.add_site(
                primary.url("orders_write"), second.url("orders_read"), READ_SITE="b"
            )
            wait_for_orders(client)
            restart_workers(other, LOG_SOURCE="nats")
            wait_for_orders(client)
            restart_workers(other, PROJECTION_SLICES="2")
            wait_for_orders(client)
            assert client.repeats == 0
            machines.promote()
            wait_for_orders(client)

        assert_all_is_at_both_sites(machines, [shop, Shop(other)], [client])


def wait_for_orders(client: Client) -> None:
    """Wait until the client has placed some more orders."""
    before = len(client.placed)
    wait_until(lambda: len(client.placed) > before + 4, missing="no order is accepted")


def restart_workers(site: Service, **environ: str) -> None:
    site.environ |= environ
    site.stop_workers()
    site.start_workers()


def assert_stream_is_the_log(machines: Topology) -> None:
    with machines.sites[0].write() as connection:
        logged = connection.execute(_LOGGED).fetchall()
    wait_until(
        lambda: end_of_stream(machines) >= len(logged), missing="the relay doesn't reach the end"
    )
    messages = machines.nats.messages(STREAM)
    assert [message["seq"] for message in messages] == list(range(1, len(logged) + 1))
    assert [(message["event_id"], message["hash"]) for message in messages] == logged


def end_of_stream(machines: Topology) -> int:
    info = machines.nats.ask(f"STREAM.INFO.{STREAM}")
    end: int = info.get("state", {}).get("last_seq", 0)
    return end


def replica_is_level(machines: Topology) -> bool:
    return machines.servers["first"].is_level(machines.servers["replica"])
