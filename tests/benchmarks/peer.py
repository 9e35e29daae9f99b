"""The peers' environment and databases: ``make bench`` makes the environment."""

import os
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import psycopg

from config import gunicorn
from tests.acceptance.service import start
from tests.benchmarks.contestant import PRICE, PRODUCTS
from tests.benchmarks.processes import ROOT, ProcessContestant
from tests.databases import Databases

FOLDER = Path(__file__).parent / "peers"
PYTHON = FOLDER / ".venv" / "bin" / "python"
MODULES = "tests.benchmarks.peers"

# Two lines an order, as in the log that a race of reads is about.
_FILL = """
INSERT INTO shop_customer (id, name, email)
VALUES (gen_random_uuid(), 'Robin Sample', 'r@example.com');
INSERT INTO shop_product (id, sku, name, stock, price)
SELECT gen_random_uuid(), 'P-' || lpad(number::text, 2, '0'), 'Desk lamp', 1000000000, {price}
FROM generate_series(1, {products}) AS number;
INSERT INTO auth_user (password, username, first_name, last_name, email, is_superuser, is_staff,
    is_active, date_joined)
VALUES ('!', 'peer', '', '', '', true, true, true, now());
INSERT INTO authtoken_token (key, created, user_id) SELECT '{token}', now(), id FROM auth_user;
INSERT INTO shop_order (id, order_number, customer_id, customer_name, status, payment_status,
    fulfilment_status, return_status, on_hold, total_amount, balance, currency, item_count,
    unit_count, created_at, placed_on, updated_at, version, position, authorized, captured,
    refunded, external_reference, replaces_order_id, assigned_to, tags, hold, shipping_address,
    billing_address, adjustments, shipments, payments, refunds, returns, notes)
SELECT gen_random_uuid(), '2026-' || number, customer.id, 'Robin Sample ' || number, 'confirmed',
    'unpaid', 'unfulfilled', 'none', false, 39.80, 39.80, 'EUR', 2, 4,
    timestamptz '2026-03-01' + number * interval '1 second',
    (timestamp '2026-03-01' + number * interval '1 second')::date,
    timestamptz '2026-03-01' + number * interval '1 second', 4, 4 * number, 0, 0, 0, '', NULL, '',
    '[]', NULL, jsonb_build_object('name', 'Robin Sample', 'line1', number || ' Example Street',
        'line2', '', 'city', 'Sampleton', 'region', '', 'postal_code', '', 'country', 'ES'),
    NULL, '[]', '[]', '[]', '[]', '[]', '[]'
FROM generate_series(1, {orders}) AS number CROSS JOIN shop_customer AS customer;
INSERT INTO shop_orderline (id, order_id, number, product_id, sku, name, quantity, cancelled,
    packed, shipped, delivered, failed, return_requested, returned, unit_price, line_total,
    price_source, price_reason)
SELECT gen_random_uuid(), shop_order.id, line, product.id, product.sku, product.name, 2,
    0, 0, 0, 0, 0, 0, 0, 9.95, 19.90, 'client', ''
FROM shop_order CROSS JOIN generate_series(1, 2) AS line
JOIN shop_product AS product ON product.sku = 'P-0' || line;
"""


class MissingPeerError(Exception):
    """The peers' environment is not installed: run `make bench`, which makes it."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


def is_installed() -> bool:
    return PYTHON.exists()


class PeerSite:
    """The databases of the peers until ``close``; ``orders`` orders are in the Django project's."""

    def __init__(self, *, orders: int = 0) -> None:
        if not is_installed():
            raise MissingPeerError
        self._databases = Databases("django", "events")
        self.url, self.events_url = self._databases.urls
        self.databases = self._databases.names[:1]
        self.token = uuid4().hex
        self.manage("migrate", "--run-syncdb", "-v", "0")
        with psycopg.connect(self.url, autocommit=True) as connection:
            values = {"price": PRICE, "products": PRODUCTS, "orders": orders, "token": self.token}
            connection.execute(_FILL.format(**values))
            connection.execute("VACUUM ANALYZE")
            rows = connection.execute("SELECT id FROM shop_product ORDER BY sku").fetchall()
            self.products = [str(key) for (key,) in rows]
            [(customer,)] = connection.execute("SELECT id FROM shop_customer").fetchall()
        self.customers = [str(customer)]
        self._web: subprocess.Popen[bytes] | None = None
        self._queue: subprocess.Popen[bytes] | None = None

    def environ(self, url: str = "") -> Mapping[str, str]:
        return os.environ | {
            "PEER_URL": url or self.url,
            "DJANGO_SETTINGS_MODULE": f"{MODULES}.settings",
        }

    def manage(self, *arguments: str) -> None:
        subprocess.run(
            [PYTHON, "-m", f"{MODULES}.manage", *arguments],
            env=self.environ(),
            cwd=ROOT,
            check=True,
        )

    def contestant(self, name: str, module: str, *arguments: str, url: str) -> ProcessContestant:
        """Return the contestant of ``module`` on the database at ``url``."""
        return ProcessContestant(
            name, f"{MODULES}.{module}", self.environ(url), url, *arguments, python=str(PYTHON)
        )

    def start_web(self, log: Path) -> None:
        """Start the web server, with the settings of ours."""
        listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
        self.address = "{}:{}".format(*listener.getsockname())
        settings = {
            "workers": gunicorn.workers,
            "threads": gunicorn.threads,
            "keep-alive": gunicorn.keepalive,
            "timeout": gunicorn.timeout,
            "log-level": gunicorn.loglevel,
        }
        self._web = start(
            [
                *("-m", "gunicorn", "-c", f"python:{MODULES}.gunicorn"),
                *(f"--{name}={value}" for name, value in settings.items()),
                *("-b", f"fd://{listener.fileno()}", f"{MODULES}.wsgi"),
            ],
            self.environ(),
            log,
            pass_fds=(listener.fileno(),),
            python=str(PYTHON),
        )
        listener.close()

    def start_queue(self, log: Path) -> None:
        """Start the workers of django-q2."""
        command = ["-m", f"{MODULES}.manage", "qcluster"]
        self._queue = start(command, self.environ(), log, python=str(PYTHON))

    @property
    def web_pid(self) -> int:
        assert self._web
        return self._web.pid

    @property
    def queue_pid(self) -> int:
        assert self._queue
        return self._queue.pid

    def close(self) -> None:
        for program in (self._web, self._queue):
            if program:
                program.terminate()
                program.wait()
        self._databases.drop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: Any) -> None:
        self.close()
