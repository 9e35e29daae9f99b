"""The service as a contestant: its web server and workers, and the log of a race of reads."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

from tests.acceptance.service import Service, plain_environ
from tests.acceptance.shop import Shop
from tests.benchmarks.contestant import PRODUCTS
from tests.benchmarks.log import go_to_head, make_log
from tests.benchmarks.races import Setting
from tests.benchmarks.shop import CUSTOMERS
from tests.databases import Databases, connected_to

# No benchmark asks how many requests or orders are refused: all are answered.
NO_LIMITS = {
    "RATE_LIMIT_READS": "1000000000",
    "RATE_LIMIT_COMMANDS": "1000000000",
    "RATE_LIMIT_PROCESSOR_MS": "1000000000",
    "MAX_OPEN_ORDERS": "1000000000",
    "MAX_OPEN_UNITS": "1000000000",
}


class OurSite(Service):
    """A running copy of the service; ``orders`` orders are in its log and in its read model."""

    def __init__(self, folder: Path, *, like: Sequence[str], orders: int = 0) -> None:
        super().__init__(folder, like=like, gunicorn="tests.benchmarks.gunicorn")
        self.environ |= NO_LIMITS
        self._orders = orders

    def __enter__(self) -> Self:
        if self._orders:
            with self.write() as connection:
                make_log(connection, self._orders)
            self.manage("rebuild_projections", "order_view")
            go_to_head(self.write_url, self.read_url)
        return super().__enter__()


@contextmanager
def running(setting: Setting, *, name: str = "ours", orders: int) -> Iterator[Service]:
    """Yield the service of ``setting``, or else a new one with so many stored orders."""
    if setting.service:
        yield setting.service
        return
    folder = setting.folder / name
    folder.mkdir()
    with OurSite(folder, like=setting.like, orders=orders) as site:
        yield site


def open_shop(service: Service) -> tuple[list[str], list[str]]:
    """Register customers and products; return their ids."""
    shop = Shop(service)
    customers = [shop.customer() for _ in range(CUSTOMERS)]
    return customers, [shop.product(1_000_000_000) for _ in range(PRODUCTS)]


class OurDatabases:
    """The databases of a contestant in a process, until ``drop``."""

    def __init__(self, *names: str, like: Sequence[str]) -> None:
        self._databases = Databases(*names, like=like)
        self.urls = self._databases.urls
        self.drop = self._databases.drop

    def connected(self) -> AbstractContextManager[None]:
        """Let Django's connections in this process lead to the first two databases."""
        return connected_to(self._databases.names[:2])

    def environ(self, **more: str) -> dict[str, Any]:
        """Return the environment of a process on the first two databases."""
        write, read = self.urls[:2]
        return (
            plain_environ()
            | {"DATABASE_URL": write, "READ_DATABASE_URL": read, "SECRET_KEY": uuid4().hex * 2}
            | {"HTTPS": "0", "DJANGO_SETTINGS_MODULE": "config.settings"}
            | NO_LIMITS
            | more
        )
