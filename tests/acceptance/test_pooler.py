"""The service behind Debian's PgBouncer, in both pool modes, with one and with two databases."""

import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest

from tests.acceptance.pgbouncer import PgBouncer, pgbouncer
from tests.acceptance.recount import assert_read_models_equal_the_log
from tests.acceptance.service import ROOT, Service, wait_until
from tests.acceptance.shop import Shop, created
from tests.patience import PATIENCE_SECONDS
from tests.proof import IS_PROOF

PARALLEL_REQUESTS = 12
UNITS_RECEIVED = 5 * PARALLEL_REQUESTS

Pooled = tuple[Service, PgBouncer]
NewFolder = Callable[[str], Path]


# A mode of the pooler, and True if both sides share one database.
COMBINATIONS = [("session", False), ("transaction", True)]
if IS_PROOF:
    COMBINATIONS += [("session", True), ("transaction", False)]


@pytest.fixture
def new_folder(tmp_path_factory: pytest.TempPathFactory) -> NewFolder:
    return lambda name: tmp_path_factory.mktemp(name)


@contextmanager
def pooled(service: Service, *, pool_mode: str) -> Iterator[PgBouncer]:
    """Put a pooler between ``service``, which isn't started yet, and its databases."""
    with pgbouncer(service.write_url, pool_mode=pool_mode) as pooler:
        for name in ("DATABASE_URL", "READ_DATABASE_URL"):
            if name in service.environ:
                direct_url = service.environ[name]
                service.environ[name] = pooler.url(direct_url)
                if pool_mode == "transaction":
                    service.environ[name.replace("_URL", "_DIRECT_URL")] = direct_url
        if pool_mode == "transaction":
            service.environ["DATABASE_POOLER"] = "transaction"
        yield pooler


@contextmanager
def running(
    folder: Path, like: list[str], *, pool_mode: str, one_database: bool
) -> Iterator[Pooled]:
    with ExitStack() as stack:
        service = Service(folder, like=[] if one_database else like, one_database=one_database)
        pooler = stack.enter_context(pooled(service, pool_mode=pool_mode))
        if not one_database and pool_mode == "transaction":
            # These databases are copies of migrated ones: only the settings of the role are new.
            service.manage("migrate", "-v", "0")
        stack.enter_context(service)
        yield service, pooler


@pytest.mark.proof
@pytest.mark.parametrize(("pool_mode", "one_database"), COMBINATIONS)
def test_the_service_works_behind_pgbouncer(
    new_folder: NewFolder, migrated: list[str], pool_mode: str, one_database: bool
) -> None:
    folder = new_folder("pooled")
    with running(folder, migrated, pool_mode=pool_mode, one_database=one_database) as (
        service,
        pooler,
    ):
        shop = Shop(service)
        customer, product = shop.customer(), shop.product(100)
        orders = [shop.order(customer, product, quantity=2) for _ in range(3)]
        check_parallel_requests(shop, product, orders[2])
        check_a_waiting_read(shop, orders[0])
        check_requests_survive_the_end_of_sessions(service, pooler, shop, orders[1])
        placed = created(shop.admin.post("/orders", json=shop.body(customer, product)))

        wait_until(lambda: shop.read(f"/orders/{orders[0]}")["status"] == "cancelled")
        assert shop.level(product) == {
            "on_hand": 100 + UNITS_RECEIVED,
            "reserved": 5,
            "available": 95 + UNITS_RECEIVED,
        }
        assert shop.read(f"/orders/{placed['order_id']}")["status"] == "pending"
        check_the_settings_of_pooled_sessions(service, pooler, pool_mode)
        service.manage("rebuild_projections", "order_view")
        assert_read_models_equal_the_log(service)
        for name in ("web", "workers"):
            assert "Traceback" not in service.log(name)


def check_parallel_requests(shop: Shop, product: str, order: str) -> None:
    """More requests than the pooler has sessions all succeed, each on its own side."""

    def request(number: int) -> int:
        if number % 2:
            return shop.admin.get(f"/orders/{order}").status_code
        body = {"quantity": 1}
        return shop.admin.post(f"/inventory/{product}/receipts", json=body).status_code

    shop.read(f"/orders/{order}")
    with ThreadPoolExecutor(PARALLEL_REQUESTS) as threads:
        statuses = Counter(threads.map(request, range(10 * PARALLEL_REQUESTS)))
    assert set(statuses) == {200}, statuses


def check_a_waiting_read(shop: Shop, order: str) -> None:
    """A read that waits for its own command returns as soon as its row follows."""
    cancelled = shop.admin.post(f"/orders/{order}/cancel", json={"reason": "Mistake"})
    token = cancelled.headers["Consistency-Token"]
    headers = {"Consistency-Token": token, "Prefer": "wait=30"}

    response = shop.admin.get(f"/orders/{order}", headers=headers)

    assert (response.status_code, response.json()["status"]) == (200, "cancelled")


def check_requests_survive_the_end_of_sessions(
    service: Service, pooler: PgBouncer, shop: Shop, order: str
) -> None:
    """A request after the end of its session succeeds; a request that runs may get a 503."""
    pids = pooler.server_pids(service.write_url)
    assert pids
    statuses = set()
    with service.write() as connection:
        for pid in pids:
            connection.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
            statuses.add(shop.admin.get(f"/orders/{order}").status_code)

    assert statuses <= {200, 503}
    wait_until(lambda: shop.admin.get(f"/orders/{order}").status_code == 200)
    wait_until(service.is_ready)


def check_the_settings_of_pooled_sessions(
    service: Service, pooler: PgBouncer, pool_mode: str
) -> None:
    """Sessions that are lent for a transaction have the timeouts, and nobody else's settings."""
    if pool_mode == "session":
        return
    with psycopg.connect(pooler.url(service.write_url), prepare_threshold=None) as connection:
        [row] = connection.execute(
            "SELECT current_setting('statement_timeout'), current_setting('lock_timeout'),"
            " current_setting('enable_seqscan'), current_setting('plan_cache_mode')"
        ).fetchall()
    assert row == ("1min", "5s", "on", "auto")


def test_a_pooler_of_transactions_without_its_setting_is_refused_at_start(
    new_folder: NewFolder, migrated: list[str], subtests: pytest.Subtests
) -> None:
    service = Service(new_folder("refused"), like=migrated)
    sentence = "set DATABASE_POOLER=transaction and DATABASE_DIRECT_URL"
    with ExitStack() as stack:
        stack.callback(service._databases.drop)
        stack.enter_context(pooled(service, pool_mode="transaction"))
        for name in ("DATABASE_POOLER", "DATABASE_DIRECT_URL", "READ_DATABASE_DIRECT_URL"):
            del service.environ[name]
        web = ["-m", "gunicorn", "-c", "python:config.gunicorn", "-b", "127.0.0.1:0", "config.wsgi"]
        for program in (web, ["manage.py", "projection_status"]):
            with subtests.test("the program ends with one sentence", program=program[0]):
                ended = subprocess.run(
                    [sys.executable, *program],
                    env=service.environ,
                    cwd=ROOT,
                    capture_output=True,
                    text=True,
                    timeout=PATIENCE_SECONDS,
                )
                assert ended.returncode != 0
                assert sentence in ended.stderr


def test_sessions_without_the_search_path_are_refused_at_start(new_folder: NewFolder) -> None:
    service = Service(new_folder("unprepared"), one_database=True)
    with ExitStack() as stack:
        stack.callback(service._databases.drop)
        stack.enter_context(pooled(service, pool_mode="transaction"))
        ended = subprocess.run(
            [sys.executable, "-c", "import config.wsgi"],
            env=service.environ,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
        )
    assert ended.returncode != 0
    assert "search_path" in ended.stderr
    assert "run manage.py migrate, then RECONNECT" in ended.stderr
