"""Fixtures that several files of these tests share."""

from collections.abc import Iterator

import pytest

from tests.nats_servers import NatsServers, nats_servers


@pytest.fixture(scope="module")
def servers() -> Iterator[NatsServers]:
    """Run a NATS server for the tests of a file, some of which stop it."""
    with nats_servers() as servers:
        yield servers
