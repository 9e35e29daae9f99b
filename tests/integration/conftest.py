"""Fixtures that several files of these tests share."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import OperationalError, connections
from pydantic_core import to_json
from uuid_utils.compat import uuid4

from config.streams import Stream
from ordering_write import subscriptions
from ordering_write.models import PersonalData
from ordering_write.relay import personal
from ordering_write.relay.port import close
from tests.nats_servers import NatsServers, nats_servers


@pytest.fixture(scope="module")
def servers() -> Iterator[NatsServers]:
    """Run a NATS server for the tests of a file, some of which stop it."""
    with nats_servers() as servers:
        yield servers


@pytest.fixture
def stream(servers: NatsServers, settings: Any) -> Iterator[Stream]:
    """Let the relay publish to a new stream, and the site read it."""
    stream = Stream(name=f"orders-{uuid4().hex}", nats_servers=servers.urls)
    settings.RELAY, settings.LOG_SOURCE, settings.STREAM = "nats", "nats", stream
    subscriptions.ensure_checkpoints()
    yield stream
    close()


@pytest.fixture
def primary_is_away() -> Iterator[None]:
    """Refuse all statements of the write database."""

    def refuse(*_arguments: Any) -> Any:
        raise OperationalError("the primary is away")

    with connections["default"].execute_wrapper(refuse):
        yield


@pytest.fixture
def copy_personal_data(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return a function that copies the table to the read database, as PostgreSQL would."""
    settings.PERSONAL_DATA = "site"
    monkeypatch.setattr(personal, "_is_behind", lambda _place: False)
    with connections["read"].cursor() as cursor:
        cursor.execute("CREATE TABLE personal_data (id uuid PRIMARY KEY, fields jsonb)")

    def copy() -> None:
        rows = PersonalData.objects.values_list("id", "fields")
        with connections["read"].cursor() as cursor:
            cursor.execute("DELETE FROM personal_data")
            cursor.executemany(
                "INSERT INTO personal_data VALUES (%s, %s)",
                [(key, to_json(fields).decode()) for key, fields in rows],
            )

    return copy
