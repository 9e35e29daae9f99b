"""Fixtures of all tests: the databases, and a user of each role.

``db`` rolls the transaction of a test back. ``committed`` is for tests with real commits: threads,
processes, notifications. Both use both databases. Tests in tests/unit use neither.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import Group
from django.core.cache import cache
from django.db import connections
from django.test import TransactionTestCase
from whitenoise.middleware import WhiteNoiseMiddleware

from config.accounts.models import User
from config.accounts.roles import Role
from config.databases.embedded import EmbeddedServer
from config.processes import collect_less
from ordering_read.admin import banner
from ordering_read.engine import waiting
from ordering_read.queries import lists
from ordering_read.screens import navigation
from ordering_write.bus import metrics
from ordering_write.domain.commands import Command
from ordering_write.domain.errors import (
    CustomerNotFoundError,
    DomainError,
    OrderNotFoundError,
    ProductNotFoundError,
    VersionConflictError,
)
from ordering_write.domain.events import DomainEvent
from ordering_write.handlers import CommandHandler, all_handlers
from ordering_write.models import Customer
from tests import kit
from tests.databases import (
    Databases,
    MigratedDatabases,
    connect_to,
    empty_databases,
    rolled_back,
)
from tests.scheduling import SharedServiceScheduling, in_order

ALIASES = ["default", "read"]


def pytest_configure(config: pytest.Config) -> None:
    """Stop the embedded server at the end, when no other process uses it any more."""
    if settings.EMBEDDED:
        stack = ExitStack()
        stack.enter_context(EmbeddedServer(settings.DATA_DIR).in_use())
        config.add_cleanup(stack.close)
    # The tests are about a new shop. The demo's shop, which is the default here, has taxes and a
    # gateway.
    settings.PORTS = settings.PORTS | {
        "tax": "ordering_write.ports.tax.NoTax",
        "payment": "ordering_write.ports.payment.ManualPayments",
    }
    settings.PRICES_INCLUDE_TAX = False
    # A timer for each order would get in the way of other timers.
    settings.RESERVE_FOR_HOURS = 0
    # The tests of a process, which all come from one address, take what they need.
    settings.RATE_LIMIT_PROCESSOR_MS = 10**9
    # The collector would visit the thousands of objects of each test file that is loaded.
    collect_less()
    # Tear down on these signals too, as on Ctrl-C: by default they end a process at once.
    for signum in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the tests, and mark those that use ``db`` or ``committed``."""
    items[:] = in_order(items)
    for item in items:
        names = getattr(item, "fixturenames", ())
        committed = "transactional_db" in names
        if item.get_closest_marker("django_db") is None and (committed or "db" in names):
            item.add_marker(pytest.mark.django_db(transaction=committed, databases=ALIASES))


def pytest_collection_finish() -> None:
    """Exclude the modules and tests, which all stay, from garbage collection."""
    collect_less()


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> SharedServiceScheduling:
    return SharedServiceScheduling(config, log)


# pytest looks up each fixture for each of the tests: a few that do more load faster than many.
@pytest.fixture(scope="session", autouse=True)
def _product_under_test() -> Iterator[None]:
    """Change, for all tests, where the product would be too lenient, slow or busy by itself."""
    _let_handlers_check_outcomes()
    with pytest.MonkeyPatch.context() as patch:
        # Django's flush is slow, and the log refuses it.
        patch.setattr(TransactionTestCase, "_fixture_teardown", lambda _test: empty_databases())
        # Tests flush command metrics themselves; a thread would outlive its test.
        patch.setattr(metrics, "_keep_flushing", lambda: None)
        # The queries of a page can be counted if these are cached for the whole test.
        patch.setattr(banner, "_CACHE_SECONDS", None)
        patch.setattr(navigation, "_CACHE_SECONDS", None)
        _find_static_files_once(patch)
        yield


@pytest.fixture(autouse=True)
def _fresh_process() -> Iterator[None]:
    """Begin with empty caches, and stop the thread that wakes waiting requests in the end."""
    cache.clear()
    lists.statement_of.cache_clear()
    yield
    waiting.stop()


def _let_handlers_check_outcomes() -> None:
    """Let handlers fail for an event or a refusal that they don't declare."""
    for handler in all_handlers().values():
        handler_type = type(handler)
        handler_type.handle = _checked(handler_type.handle)  # type: ignore[method-assign]


def _checked(handle: Callable[..., list[DomainEvent]]) -> Callable[..., list[DomainEvent]]:
    # Every command can meet these.
    common = (VersionConflictError, OrderNotFoundError, ProductNotFoundError, CustomerNotFoundError)

    def checked(handler: CommandHandler[Any], command: Command) -> list[DomainEvent]:
        try:
            events = handle(handler, command)
        except DomainError as refusal:
            if type(refusal) in (*handler.refusals, *common):
                raise
            raise AssertionError(f"{handler} doesn't declare the refusal") from refusal
        undeclared = {type(event) for event in events} - set(handler.events)
        assert not undeclared, f"{handler} doesn't declare {undeclared}"
        return events

    return checked


@pytest.fixture(scope="session")
def _keeps_databases(django_db_keepdb: bool, django_db_createdb: bool) -> bool:
    """Return True if migrated databases are kept: with --reuse-db and without --create-db."""
    return django_db_keepdb and not django_db_createdb


@pytest.fixture(scope="session")
def migrated(
    django_test_environment: None, django_db_blocker: Any, _keeps_databases: bool
) -> Iterator[list[str]]:
    """Yield the names of a migrated write and read database, to copy and not to connect to."""
    with django_db_blocker.unblock():
        databases = MigratedDatabases(keep=_keeps_databases)
    yield databases.names
    databases.drop()


@pytest.fixture(scope="session")
def django_db_setup(migrated: list[str]) -> Iterator[None]:
    """Connect to a write and a read database of this session."""
    copies = Databases("write", "read", like=migrated)
    connect_to(copies.names)
    yield
    connections.close_all()
    copies.drop()


@pytest.fixture(autouse=True)
def _idle_transactions_live_on(request: pytest.FixtureRequest) -> None:
    """Let the transaction of ``db``, which lasts for the whole test, be idle for any time."""
    if request.node.get_closest_marker("django_db") is None:
        return
    request.getfixturevalue("_django_db_helper")
    for alias in ALIASES:
        if connections[alias].in_atomic_block:
            with connections[alias].cursor() as cursor:
                cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")


@pytest.fixture
def committed(transactional_db: None) -> None:
    """Use both databases with real commits, and empty them after the test."""


@pytest.fixture(scope="module")
def module_db(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Let fixtures of the scope ``module`` write rows, which all tests of the module find.

    The tests use ``db``; none of the module uses ``committed``.
    """
    with django_db_blocker.unblock(), rolled_back():
        yield


def _find_static_files_once(patch: pytest.MonkeyPatch) -> None:
    """Search the folders of static files once, not for each client of Django."""
    files: dict[str, Any] = {}
    search = WhiteNoiseMiddleware.add_files_from_finders

    def add_files(middleware: WhiteNoiseMiddleware) -> None:
        if not files:
            search(middleware)
            files.update(middleware.files)
        middleware.files.update(files)

    patch.setattr(WhiteNoiseMiddleware, "add_files_from_finders", add_files)


@pytest.fixture
def make_user() -> Callable[..., User]:
    """Return ``make_user(role, **fields)``, which makes a user of this role, or of no role."""

    def make(role: Role | None = None, **fields: Any) -> User:
        name = fields.pop("username", (role or "nobody").lower())
        user = User.objects.create(username=name, password="!", **fields)
        if role:
            user.groups.add(Group.objects.get(name=role))
        return user

    return make


@pytest.fixture
def admin_user(make_user: Callable[..., User]) -> User:
    return make_user(Role.ADMIN, is_staff=True, is_superuser=True)


@pytest.fixture
def clerk(make_user: Callable[..., User]) -> User:
    return make_user(Role.CLERK, is_staff=True)


@pytest.fixture
def warehouse(make_user: Callable[..., User]) -> User:
    return make_user(Role.WAREHOUSE, is_staff=True)


@pytest.fixture
def auditor(make_user: Callable[..., User]) -> User:
    return make_user(Role.AUDITOR, is_staff=True)


@pytest.fixture
def integration(make_user: Callable[..., User]) -> User:
    return make_user(Role.INTEGRATION)


@pytest.fixture
def customer() -> Customer:
    """Register a customer."""
    return kit.registered_customer()


@pytest.fixture
def customer_user(make_user: Callable[..., User], customer: Customer) -> User:
    """Return the user of ``customer``."""
    return make_user(Role.CUSTOMER, customer_id=customer.pk)
