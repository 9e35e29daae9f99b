"""Both sides in one database, with the read models in a schema of their own.

The service runs in processes of its own: a test runner would merge two aliases of one database.
Its web server is behind a pooler of transactions, if PgBouncer is installed: there both sides find
their tables by one search path. The workers and commands always have sessions of their own.
"""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.acceptance import pgbouncer
from tests.acceptance.pgbouncer import PgBouncer, pooled
from tests.acceptance.pooled_work import check_the_service
from tests.acceptance.recount import assert_read_models_equal_the_log
from tests.acceptance.service import READ_MODELS, Service, wait_until
from tests.acceptance.shop import Shop

# In one process, since each takes seconds to start.
REBUILD_AND_MIGRATE = """
from django.core.management import call_command
call_command("rebuild_projections", "order_view", "sales_by_day")
call_command("migrate")
"""


@pytest.fixture(scope="module")
def pooled_service(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Service, PgBouncer | None]]:
    with ExitStack() as stack:
        service = Service(tmp_path_factory.mktemp("one"), one_database=True)
        pooler = None
        if pgbouncer.installed():
            pooler = stack.enter_context(pooled(service, pool_mode="transaction"))
        stack.enter_context(service)
        yield service, pooler


def test_both_sides_work_in_one_database(
    pooled_service: tuple[Service, PgBouncer | None],
) -> None:
    service, _ = pooled_service
    shop = Shop(service)
    with service.write() as connection:
        tables: dict[str, set[str]] = defaultdict(set)
        for schema, name in connection.execute("SELECT schemaname, tablename FROM pg_tables"):
            tables[schema].add(name)
    assert tables["ordering_read"].issuperset(READ_MODELS)
    assert tables["public"].issuperset(["event", "accounts_user"])
    assert tables["public"] & tables["ordering_read"] == {"django_migrations"}

    product = shop.product(10)
    orders = [shop.order(product=product, quantity=2) for _ in range(3)]
    cancel = shop.admin.post(f"/orders/{orders[0]}/cancel", json={"reason": "Mistake"})

    assert cancel.status_code == 200
    wait_until(lambda: shop.read(f"/orders/{orders[0]}")["status"] == "cancelled")
    assert shop.level(product) == {"on_hand": 10, "reserved": 4, "available": 6}
    with service.write() as connection:
        found = connection.execute(
            "SELECT status FROM reporting.order_summary WHERE id = %s", [orders[0]]
        )
        assert found.fetchall() == [("cancelled",)]
    rows = service.rows()
    output = service.manage("shell", "-v", "0", "-c", REBUILD_AND_MIGRATE)
    assert service.rows() == rows
    assert_read_models_equal_the_log(service)
    # A second migration finds nothing to do.
    assert "No migrations to apply" in output


@pytest.mark.proof
def test_one_database_works_behind_a_pooler_of_transactions(
    pooled_service: tuple[Service, PgBouncer | None],
) -> None:
    service, pooler = pooled_service
    if pooler is None:
        pytest.skip(pgbouncer.MISSING)
    check_the_service(service, pooler, "transaction")
    assert_read_models_equal_the_log(service)
