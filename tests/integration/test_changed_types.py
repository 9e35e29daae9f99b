"""Sessions recover from a migration that changes the type of a column under their statements."""

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.db import (
    IntegrityError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    connection,
    connections,
    transaction,
)

from config.databases import prepared
from ordering_read.engine import live
from ordering_read.models import ParkedEvent, Projection
from ordering_write import log
from tests import kit

pytestmark = pytest.mark.usefixtures("committed")

ID = uuid4()
# Twice until psycopg prepares a statement, and once with the prepared statement.
TIMES_UNTIL_PREPARED = 3


def run(statement: str, alias: str = "default") -> None:
    """Run a statement in a session of its own, as a migration does."""
    parameters = connections[alias].get_connection_params()
    with closing(psycopg.connect(**parameters, autocommit=True)) as own:
        own.execute(statement)


@pytest.fixture
def sample() -> Iterator[None]:
    """A table with one row."""
    run(f"CREATE TABLE sample AS SELECT '{ID}'::varchar(40) AS key, 1::int AS number")
    yield
    run("DROP TABLE sample")


def number() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT number FROM sample WHERE key = %s", [str(ID)])
        return int(cursor.fetchone()[0])


def frequent_number() -> int:
    [(number,)] = prepared.fetch("default", "SELECT number FROM sample WHERE key = %s", [str(ID)])
    return int(number)


BY_BOTH = pytest.mark.parametrize("number", [number, frequent_number])


def number_after_another_statement(number: Callable[[], int]) -> int:
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return number()


@pytest.fixture
def change_type() -> Iterator[Callable[..., None]]:
    """Changes the type of a column, and restores the types after the test."""
    restore: list[tuple[str, str]] = []

    def change(table: str, column: str, new: str, former: str, alias: str = "default") -> None:
        statement = f"ALTER TABLE {table} ALTER COLUMN {column} TYPE"
        run(f"{statement} {new}", alias)
        restore.append((f"{statement} {former}", alias))

    yield change
    for statement, alias in restore:
        run(statement, alias)


def until_prepared(act: Callable[[], object]) -> None:
    for _ in range(TIMES_UNTIL_PREPARED):
        act()


@BY_BOTH
@pytest.mark.usefixtures("sample")
def test_a_read_is_repeated_after_a_change_of_type(
    number: Callable[[], int], subtests: pytest.Subtests
) -> None:
    until_prepared(number)
    for change in (
        "ALTER COLUMN number TYPE bigint",
        "ALTER COLUMN key TYPE uuid USING key::uuid",
        "ALTER COLUMN number TYPE numeric",
    ):
        run(f"ALTER TABLE sample {change}")
        with subtests.test("in autocommit", after=change):
            assert [number() for _ in range(TIMES_UNTIL_PREPARED)] == [1] * TIMES_UNTIL_PREPARED
    run("ALTER TABLE sample ALTER COLUMN number TYPE int")
    with subtests.test("as the first statement of a transaction"), transaction.atomic():
        assert number() == 1


@BY_BOTH
@pytest.mark.usefixtures("sample")
def test_a_read_is_repeated_once_the_session_has_lost_its_statements(
    number: Callable[[], int],
) -> None:
    until_prepared(number)
    # psycopg doesn't see this command, as it doesn't see a pooler that changes the session.
    connection.connection.pgconn.exec_(b"DEALLOCATE ALL")

    assert number() == 1


@BY_BOTH
@pytest.mark.usefixtures("sample")
def test_a_transaction_fails_once_and_can_begin_again(number: Callable[[], int]) -> None:
    until_prepared(number)
    until_prepared(lambda: number_after_another_statement(number))
    run("ALTER TABLE sample ALTER COLUMN number TYPE bigint")

    with pytest.raises(NotSupportedError):
        number_after_another_statement(number)

    assert number_after_another_statement(number) == 1


@pytest.mark.usefixtures("sample")
def test_a_transaction_finds_its_frequent_statements_after_a_change_of_a_table() -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        for _ in range(2 * TIMES_UNTIL_PREPARED):
            cursor.execute("SELECT number FROM sample WHERE number = %s", [1])
        assert frequent_number() == 1
        # psycopg lets the session forget all statements then.
        cursor.execute("ALTER TABLE sample ADD COLUMN name text")
        assert frequent_number() == 1


@pytest.mark.usefixtures("sample")
def test_a_session_finds_its_frequent_statements_after_a_rollback(
    subtests: pytest.Subtests,
) -> None:
    def roll_back(*, savepoint: bool) -> None:
        with transaction.atomic():
            number()
            with transaction.atomic(savepoint=savepoint):
                assert frequent_number() == 1
                transaction.set_rollback(True)
            if savepoint:
                assert frequent_number() == 1

    for savepoint in (True, False):
        with subtests.test(savepoint=savepoint):
            until_prepared(number)
            # psycopg looks at the first ROLLBACK of a text only.
            for _ in range(3):
                roll_back(savepoint=savepoint)
                assert number_after_another_statement(frequent_number) == 1
                assert number_after_another_statement(number) == 1
                assert number_after_another_statement(number) == 1


@pytest.mark.usefixtures("sample")
def test_reads_are_repeated_after_each_of_many_changes_of_type() -> None:
    for new_type in ("bigint", "int") * 3:
        # The first time, psycopg has prepared none of its own statements.
        until_prepared(frequent_number)
        run(f"ALTER TABLE sample ALTER COLUMN number TYPE {new_type}")
        assert frequent_number() == 1
        until_prepared(number)
        run(f"ALTER TABLE sample ALTER COLUMN key TYPE varchar({50 if new_type == 'int' else 60})")
        assert number() == 1


@pytest.mark.usefixtures("sample")
def test_wrappers_run_around_a_frequent_statement() -> None:
    statements = []

    def note(execute: Any, sql: str, *arguments: Any) -> Any:
        statements.append(sql)
        return execute(sql, *arguments)

    with connection.execute_wrapper(note):
        assert frequent_number() == 1

    assert len(statements) == 1


@pytest.mark.usefixtures("sample")
def test_a_wrong_statement_is_refused_as_before() -> None:
    for statement in ("SELECT key + number FROM sample", "SELECT nothing FROM sample"):
        with pytest.raises(Exception, match=r"does not exist"), connection.cursor() as cursor:
            cursor.execute(statement)
        with pytest.raises(ProgrammingError, match=r"does not exist"):
            prepared.fetch("default", statement, [])
    assert (number(), frequent_number()) == (1, 1)


@pytest.mark.usefixtures("sample")
def test_a_frequent_statement_returns_what_a_cursor_returns(subtests: pytest.Subtests) -> None:
    ids = [uuid4(), uuid4()]
    cases: list[tuple[str, Any]] = [
        ("SELECT 7 %% 4, %s::text, %s = ANY(%s)", ["é'\"", ids[0], ids]),
        ("SELECT %(a)s + %(b)s, %(a)s - %(b)s", {"b": Decimal("0.5"), "a": 2}),
        ("SELECT now() > %s, NULL::int, '{}'::jsonb, 1.50", [datetime(2026, 1, 1, tzinfo=UTC)]),
        ("SELECT key FROM sample WHERE number > %s", [1]),
    ]
    for statement, parameters in cases:
        with subtests.test(statement=statement):
            with connection.cursor() as cursor:
                cursor.execute(statement, parameters)
                rows = cursor.fetchall()
            assert prepared.fetch("default", statement, parameters) == rows


@pytest.mark.usefixtures("sample")
def test_a_session_keeps_the_last_hundred_frequent_statements() -> None:
    for number in range(102):
        assert prepared.fetch("default", f"SELECT {number}", []) == [(number,)]

    names = prepared.fetch(
        "default", "SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'frequent%%'", []
    )
    assert names == [(100,)]
    assert prepared.fetch("default", "SELECT 0", []) == [(0,)]


def test_a_lost_connection_is_an_operational_error(subtests: pytest.Subtests) -> None:
    def begin() -> None:
        with transaction.atomic():
            backend_pid()

    def commit() -> None:
        with transaction.atomic():
            run(f"SELECT pg_terminate_backend({backend_pid()}, 10000)")

    for name, act in (("in autocommit", backend_pid), ("at BEGIN", begin), ("at COMMIT", commit)):
        with subtests.test(name):
            if act != commit:
                run(f"SELECT pg_terminate_backend({backend_pid()}, 10000)")

            with pytest.raises(OperationalError):
                act()

            connection.close_if_unusable_or_obsolete()
            assert prepared.fetch("default", "SELECT 1", []) == [(1,)]


class Interrupting:
    """Interrupts the program that waits for a result."""

    def poll(self) -> None:
        raise KeyboardInterrupt


def backend_pid() -> int:
    [(pid,)] = prepared.fetch("default", "SELECT pg_backend_pid()", [])
    return int(pid)


def test_a_first_statement_that_is_interrupted_ends_the_session(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pid = backend_pid()
    monkeypatch.setattr(connection.connection.frequent, "_input", Interrupting())

    with pytest.raises(KeyboardInterrupt), transaction.atomic():
        prepared.fetch("default", "SELECT 1 FROM pg_sleep(0.1)", [])

    # Nobody gets the results that the former session still owes.
    assert backend_pid() != pid


def test_statements_at_the_end_of_a_transaction_run_with_its_commit(
    subtests: pytest.Subtests, caplog: pytest.LogCaptureFixture
) -> None:
    run("CREATE TABLE ended (number int PRIMARY KEY)")
    insert = "INSERT INTO ended SELECT %s"

    def numbers() -> list[int]:
        return [number for (number,) in prepared.fetch("default", "TABLE ended ORDER BY 1", [])]

    try:
        with subtests.test("the only ones"), transaction.atomic():
            prepared.run_last("default", insert, [1])
            prepared.run_after_commit("default", insert, [2])
        assert numbers() == [1, 2]

        def fail() -> None:
            with transaction.atomic():
                assert numbers() == [1, 2]
                prepared.run_last("default", insert, [1])
                prepared.run_after_commit("default", insert, [3])

        with subtests.test("one that fails"), pytest.raises(IntegrityError):
            fail()
        assert numbers() == [1, 2]

        with subtests.test("one that fails after the commit"), transaction.atomic():
            prepared.run_last("default", insert, [3])
            prepared.run_after_commit("default", insert, [1])
        assert numbers() == [1, 2, 3]
        assert "A statement after COMMIT has failed." in caplog.text

        with subtests.test("of a transaction that is rolled back"):
            with transaction.atomic():
                prepared.run_last("default", insert, [4])
                prepared.run_after_commit("default", insert, [5])
                transaction.set_rollback(True)
            with transaction.atomic():
                assert numbers() == [1, 2, 3]
            assert numbers() == [1, 2, 3]

        with subtests.test("of a block within another"), transaction.atomic():
            with transaction.atomic():
                prepared.run_last("default", insert, [4])
                prepared.run_after_commit("default", insert, [5])
            assert numbers() == [1, 2, 3, 4]
        assert numbers() == [1, 2, 3, 4, 5]

        caplog.clear()
        with (
            subtests.test("one that fails, of a block within another"),
            transaction.atomic(),
            transaction.atomic(),
        ):
            prepared.run_after_commit("default", insert, [1])
        assert "Error calling" in caplog.text
        assert numbers() == [1, 2, 3, 4, 5]
    finally:
        run("DROP TABLE ended")


def test_an_interrupted_commit_ends_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    @transaction.atomic
    def interrupt() -> None:
        prepared.run_last("default", "SELECT 1 FROM pg_sleep(0.1)", [])
        monkeypatch.setattr(connection.connection.frequent, "_input", Interrupting())

    pid = backend_pid()

    with pytest.raises(KeyboardInterrupt):
        interrupt()

    assert backend_pid() != pid


def test_a_command_takes_effect_once(change_type: Any) -> None:
    customer, product = kit.registered_customer(), kit.registered_product(100)
    orders = [kit.placed_order(customer, (product, 1)) for _ in range(TIMES_UNTIL_PREPARED + 1)]
    *earlier, order = orders
    until_prepared(lambda: kit.dispatch(kit.cancel(earlier.pop())))
    change_type("ordering_write_order", "currency", "text", "varchar(3)")
    change_type("ordering_write_stockitem", "name", "text", "varchar(200)")

    events = kit.dispatch(kit.cancel(order))

    assert events[0].type == "OrderCancelled"
    assert [event.type for event in log.read_stream(order.stream)].count("OrderCancelled") == 1
    kit.check_rows_equal_log()


def test_a_batch_is_applied_once_and_parks_nothing(change_type: Any) -> None:
    def receive_and_run() -> None:
        kit.registered_product()
        live.run("inventory_level", "order_view")

    until_prepared(receive_and_run)
    change_type("projection", "parked_streams", "bigint", "integer", "read")

    receive_and_run()

    rows = Projection.objects.filter(name__in=["inventory_level", "order_view"])
    assert set(rows.values_list("position", "error")) == {(log.head(), "")}
    assert not ParkedEvent.objects.exists()


def test_a_session_is_saved_and_read(change_type: Any) -> None:
    def save_and_read() -> int:
        session = SessionStore()
        session["number"] = 1
        session.save()
        session["number"] = 2
        session.save()
        return int(SessionStore(session.session_key)["number"])

    until_prepared(save_and_read)
    change_type("django_session", "session_data", "varchar", "text")

    assert save_and_read() == 2
