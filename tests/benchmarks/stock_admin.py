"""A stock Django admin as the peer: a new project with plain models of the same columns and rows.

    python -m tests.benchmarks.stock_admin FOLDER

Reads paths from the standard input, and writes the cost of each page as JSON. The project is made
by ``startproject``, ``startapp`` and ``inspectdb``; its tables are a schema of the read database.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.benchmarks.meter import Cost, cost

_TABLES = """
DROP SCHEMA IF EXISTS stock CASCADE;
CREATE SCHEMA stock;
CREATE TABLE stock.shop_order AS SELECT * FROM order_summary WHERE projection_id =
    (SELECT id FROM projection WHERE name = 'order_view' AND status = 'live');
ALTER TABLE stock.shop_order ADD PRIMARY KEY (id), ADD UNIQUE (order_number);
CREATE INDEX ON stock.shop_order (created_at);
CREATE TABLE stock.shop_orderline AS SELECT * FROM order_line_view WHERE projection_id =
    (SELECT id FROM projection WHERE name = 'order_view' AND status = 'live');
ALTER TABLE stock.shop_orderline ADD PRIMARY KEY (key),
    ADD FOREIGN KEY (order_id) REFERENCES stock.shop_order (id);
CREATE INDEX ON stock.shop_orderline (order_id);
ANALYZE stock.shop_order, stock.shop_orderline;
"""
_SETTINGS = """
from stock.settings import *
DEBUG = False
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS.append("shop")
DATABASES = {{"default": {{"ENGINE": "django.db.backends.postgresql", **{connection},
    "OPTIONS": {{"options": "-c search_path=stock"}}}}}}
"""
_ADMIN = """
from django.contrib import admin
from shop.models import ShopOrder, ShopOrderline

class LineInline(admin.TabularInline):
    model = ShopOrderline

@admin.register(ShopOrder)
class OrderAdmin(admin.ModelAdmin):
    list_display = ["order_number", "created_at", "customer_name", "status", "total_amount",
        "unit_count", "tags"]
    list_filter = ["status", "payment_status", "fulfilment_status", "currency"]
    search_fields = ["order_number", "customer_name"]
    ordering = ["-created_at"]
    inlines = [LineInline]
"""


class StockAdmin:
    """A running process of the peer."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def cost(self, path: str) -> Cost:
        assert self._process.stdin
        assert self._process.stdout
        print(path, file=self._process.stdin, flush=True)
        return Cost(**json.loads(self._process.stdout.readline()))


@contextmanager
def running(folder: Path, database: dict[str, Any], connection: Any) -> Iterator[StockAdmin]:
    """Make the project in ``folder`` and its tables by ``connection``; yield its process."""
    connection.cursor().execute("SET statement_timeout = 0;" + _TABLES)
    run = [sys.executable, "-m", "django"]
    subprocess.run([*run, "startproject", "stock", folder], check=True)
    subprocess.run([sys.executable, "manage.py", "startapp", "shop"], cwd=folder, check=True)
    names = ("NAME", "USER", "PASSWORD", "HOST", "PORT")
    settings = {name: str(database.get(name) or "") for name in names}
    (folder / "bench.py").write_text(_SETTINGS.format(connection=repr(settings)))
    environ = os.environ | {
        "DJANGO_SETTINGS_MODULE": "bench",
        "PYTHONPATH": os.pathsep.join([str(folder), str(Path(__file__).parents[2])]),
    }
    subprocess.run([*run, "migrate", "-v", "0"], cwd=folder, env=environ, check=True)
    inspect = [*run, "inspectdb", "shop_order", "shop_orderline"]
    models = subprocess.check_output(inspect, cwd=folder, env=environ)
    (folder / "shop" / "models.py").write_bytes(models)
    (folder / "shop" / "admin.py").write_text(_ADMIN)
    with subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.stock_admin"],
        cwd=folder,
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield StockAdmin(process)
        assert process.stdin
        process.stdin.close()


def main() -> None:
    """Answer each path of the standard input with the cost of its page."""
    import django

    django.setup()
    from django.contrib.auth.models import User
    from django.test import Client

    client = Client()
    user: Any = User.objects.create_superuser("stock")
    client.force_login(user)

    def page() -> bytes:
        answer = client.get(path)
        assert answer.status_code == 200, (path, answer.status_code)
        return answer.content

    for line in sys.stdin:
        path = line.strip()
        print(json.dumps(cost(page, ["default"])._asdict()), flush=True)


if __name__ == "__main__":
    main()
