"""A running service for all acceptance tests, and a shop in it."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance.copies import Run, new_copy
from tests.acceptance.service import Service
from tests.acceptance.shop import Shop

# One process of the web server will do, and takes less time to start than two.
SMALL = {"GUNICORN_CMD_ARGS": "--workers=1"}


@pytest.fixture(scope="package", autouse=True)
def _commands_in_this_process(django_db_blocker: Any) -> Iterator[None]:
    """Let ``Service.call`` connect to databases, in fixtures too."""
    with django_db_blocker.unblock():
        yield


@pytest.fixture(scope="package")
def service(tmp_path_factory: pytest.TempPathFactory, migrated: list[str]) -> Iterator[Service]:
    """Run the web server and the workers on databases of their own, for all of these tests."""
    shared = Service(tmp_path_factory.mktemp("service"), like=migrated)
    shared.environ |= {"LOG_FORMAT": "json", "LOG_LEVEL": "DEBUG"}
    with shared as running:
        yield running


@pytest.fixture(scope="package")
def demo() -> Iterator[Run]:
    """Run a copy of the project with demo data, by `manage.py run`; each line is a JSON record."""
    with new_copy(with_code=True) as copy:
        run = copy.running(**SMALL, LOG_FORMAT="json")
        run.wait_until_level()
        yield run
        assert run.stop() == 0
        # Reading the output fails if a line isn't a record.
        assert run.output.endswith("Stopped.\n")


@pytest.fixture(scope="package")
def shop(service: Service) -> Shop:
    """Create customers, products and orders over HTTP as an administrator."""
    return Shop(service)
