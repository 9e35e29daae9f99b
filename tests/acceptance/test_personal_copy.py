"""Logical replication of personal fields to a read site, as docs/relay.md sets it up."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest
from uuid_utils.compat import uuid4

from config.databases.embedded import EmbeddedServer
from ordering_write.relay import personal
from ordering_write.relay.errors import PersonalDataBehindError
from tests.acceptance.service import wait_until
from tests.own_server import new_data_dir

# The read database is on the primary's server here, so that the slot must be made apart.
_SUBSCRIBE = """
CREATE SUBSCRIPTION personal_data CONNECTION '{address}' PUBLICATION personal_data
WITH (create_slot = false, slot_name = 'personal_data')
"""

Session = psycopg.Connection[Any]


@pytest.fixture(scope="module")
def databases() -> Iterator[tuple[Session, Session]]:
    """The write database and the read database of a site, which copies the personal fields."""
    with new_data_dir() as folder:
        server = EmbeddedServer(folder)
        with server.in_use():
            server.start()
            with psycopg.connect(server.url("postgres"), autocommit=True) as session:
                session.execute("ALTER SYSTEM SET wal_level = logical")
            server.stop()
            server.start()
            with psycopg.connect(server.url("postgres"), autocommit=True) as session:
                for name in ("primary_side", "site"):
                    session.execute(f"CREATE DATABASE {name}")
            with (
                psycopg.connect(server.url("primary_side"), autocommit=True) as primary,
                psycopg.connect(server.url("site"), autocommit=True) as site,
            ):
                _set_up(primary, site, server.url("primary_side"))
                yield primary, site
                site.execute("DROP SUBSCRIPTION personal_data")


def _set_up(primary: Session, site: Session, address: str) -> None:
    primary.execute(
        "CREATE TABLE personal_data"
        " (id uuid PRIMARY KEY, customer_id uuid, fields jsonb, salt text)"
    )
    primary.execute("CREATE PUBLICATION personal_data FOR TABLE personal_data (id, fields)")
    primary.execute("SELECT pg_create_logical_replication_slot('personal_data', 'pgoutput')")
    site.execute("CREATE TABLE personal_data (id uuid PRIMARY KEY, fields jsonb NOT NULL)")
    site.execute(_SUBSCRIBE.format(address=address))


@pytest.fixture
def primary(
    databases: tuple[Session, Session], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> Session:
    settings.PERSONAL_DATA = "site"
    monkeypatch.setattr(personal, "_PATIENCE_SECONDS", 120.0)
    monkeypatch.setattr(personal, "connections", {"read": databases[1]})
    return databases[0]


def store(primary: Session) -> UUID:
    key = uuid4()
    fields = '{"name": "Robin"}'
    primary.execute("INSERT INTO personal_data VALUES (%s, %s, %s, '')", [key, key, fields])
    return key


def message(primary: Session, key: UUID) -> dict[str, str]:
    """Return the part of a message that says where the personal fields of its event are."""
    [place] = primary.execute("SELECT pg_current_wal_insert_lsn()::text").fetchone() or [""]
    return {"personal_id": str(key), "wal": place}


def test_fields_are_found_at_the_site_when_they_have_arrived(primary: Session) -> None:
    key = store(primary)

    assert personal.fields_of([message(primary, key)]) == {str(key): '{"name": "Robin"}'}


def test_fields_are_erased_at_the_site_when_the_deletion_has_arrived(primary: Session) -> None:
    key = store(primary)
    before = message(primary, key)
    assert personal.fields_of([before])

    primary.execute("DELETE FROM personal_data WHERE id = %s", [key])
    after = message(primary, key)

    personal.wait_until_copied([after["wal"]])
    assert personal.fields_of([before]) == {}


def test_fields_that_have_not_arrived_are_not_taken_as_erased(
    databases: tuple[Session, Session], primary: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    _primary, site = databases
    site.execute("ALTER SUBSCRIPTION personal_data DISABLE")
    wait_until(lambda: not site.execute(_APPLYING).fetchone())
    key = store(primary)
    late = message(primary, key)
    with monkeypatch.context() as impatience:
        impatience.setattr(personal, "_PATIENCE_SECONDS", 0.0)
        with pytest.raises(PersonalDataBehindError):
            personal.fields_of([late])

    site.execute("ALTER SUBSCRIPTION personal_data ENABLE")

    assert personal.fields_of([late])


_APPLYING = "SELECT FROM pg_stat_subscription WHERE pid IS NOT NULL"
