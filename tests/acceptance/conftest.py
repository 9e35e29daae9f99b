"""A service that runs for all acceptance tests, and a shop in it that has something to sell."""

from collections.abc import Iterator

import pytest

from tests.acceptance.service import Service
from tests.acceptance.shop import Shop


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The web server and the workers, on databases of their own, for the whole session."""
    with Service(tmp_path_factory.mktemp("service")) as running:
        yield running


@pytest.fixture(scope="session")
def shop(service: Service) -> Shop:
    """Customers, products and orders, made over HTTP as an administrator."""
    return Shop(service)
