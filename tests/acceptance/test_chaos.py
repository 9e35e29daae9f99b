"""Chaos at a steady load: processes are killed, connections cut, databases crash, and each accepted
command is in the log once and readable.

At full size for ten minutes, on a service with a database server of its own and two nodes of
workers; otherwise for seconds, on the service of the other tests.
"""

import random
from collections.abc import Callable, Iterator

import pytest
from django.conf import settings
from django.test import override_settings

from config.databases import programs
from config.databases.embedded import EmbeddedServer
from tests.acceptance.chaos import Client, Harm, Nemesis, assert_accepted_once, clients_running
from tests.acceptance.recount import assert_read_models_equal_the_log
from tests.acceptance.service import Service, wait_until
from tests.acceptance.shop import Shop
from tests.own_server import new_data_dir
from tests.proof import IS_PROOF, size

pytestmark = pytest.mark.proof

SECONDS = size(0, full=600)
CLIENTS = 2


@pytest.fixture
def attacked(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    if not IS_PROOF:
        yield request.getfixturevalue("service")
        return
    with new_data_dir() as folder, override_settings(DATA_DIR=folder):
        EmbeddedServer(folder).start()
        with Service(tmp_path_factory.mktemp("chaos")) as service:
            yield service


def test_accepted_commands_survive_chaos(attacked: Service) -> None:
    shop, dice = Shop(attacked), random.Random(11)
    clients = [Client(shop) for _ in range(CLIENTS)]
    nemesis = Nemesis(acts_on(Harm(attacked, dice)), dice)

    with clients_running(clients):
        nemesis.run(SECONDS)

    wait_until(attacked.is_ready, missing="the service isn't ready again")
    attacked.settle()
    # An event during which workers were killed three times in a row looks as if it had killed them.
    attacked.call("retry_parked")
    assert_read_models_equal_the_log(attacked)
    if IS_PROOF:
        attacked.call("verify_projections")
        attacked.call("verify_log")
    for client in clients:
        assert_accepted_once(shop, client)
    placed = sum(len(client.placed) for client in clients)
    repeats = sum(client.repeats for client in clients)
    print(f"{placed} orders, {repeats} repeated requests, {dict(nemesis.harm)}")


def acts_on(harm: Harm) -> list[Callable[[], None]]:
    acts = [harm.kill_web_process, harm.kill_worker_process, harm.cut_connections]
    if IS_PROOF:
        harm.service.start_workers()
        harm.nodes.append(harm.service.workers)
        acts += [harm.kill_web_server, harm.kill_node, crash_databases]
    return acts


def crash_databases() -> None:
    home = (settings.DATA_DIR / "postgres").resolve()
    restart = ("restart", "-w", "-m", "immediate", "-D", str(home / "data"))
    programs.run("pg_ctl", *restart, home=home)
