"""Both sides in one database, with the read models in a schema of their own.

The service runs in processes of its own: a test runner would merge two aliases of one database.
"""

from collections import defaultdict

import pytest

from tests.acceptance.recount import assert_read_models_equal_the_log
from tests.acceptance.service import READ_MODELS, Service, wait_until
from tests.acceptance.shop import Shop


def test_both_sides_work_in_one_database(tmp_path_factory: pytest.TempPathFactory) -> None:
    with Service(tmp_path_factory.mktemp("one"), one_database=True) as service:
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
        service.manage("rebuild_projections", "order_view", "sales_by_day")
        assert service.rows() == rows
        assert_read_models_equal_the_log(service)
        # A second migration finds nothing to do.
        assert "No migrations to apply" in service.manage("migrate")
