"""The work of a service behind PgBouncer, for each mode and number of databases."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import psycopg

from tests.acceptance.pgbouncer import PgBouncer
from tests.acceptance.service import Service, wait_until
from tests.acceptance.shop import Shop, created
from tests.proof import size

# More than the sessions of a pooler of transactions.
PARALLEL_REQUESTS = 12
REQUESTS = PARALLEL_REQUESTS * size(2, full=10)
UNITS_RECEIVED = REQUESTS // 2


def check_the_service(service: Service, pooler: PgBouncer, pool_mode: str) -> None:
    """Place, cancel and read orders, in parallel and while sessions end."""
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
        statuses = Counter(threads.map(request, range(REQUESTS)))
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
