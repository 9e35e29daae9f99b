"""The service behind Debian's PgBouncer, in both pool modes, with one and with two databases.

One database behind a pooler of transactions is the subject of test_one_database.py.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.acceptance.pgbouncer import PgBouncer, pooled
from tests.acceptance.pooled_work import check_the_service
from tests.acceptance.recount import assert_read_models_equal_the_log
from tests.acceptance.service import ROOT, Service
from tests.patience import PATIENCE_SECONDS
from tests.proof import IS_PROOF

Pooled = tuple[Service, PgBouncer]
NewFolder = Callable[[str], Path]


# A mode of the pooler, and True if both sides share one database.
COMBINATIONS = [("session", False)]
if IS_PROOF:
    COMBINATIONS += [("session", True), ("transaction", False)]


@pytest.fixture
def new_folder(tmp_path_factory: pytest.TempPathFactory) -> NewFolder:
    return lambda name: tmp_path_factory.mktemp(name)


@contextmanager
def running(
    folder: Path, like: list[str], *, pool_mode: str, one_database: bool
) -> Iterator[Pooled]:
    with ExitStack() as stack:
        service = Service(folder, like=[] if one_database else like, one_database=one_database)
        pooler = stack.enter_context(pooled(service, pool_mode=pool_mode))
        if not one_database and pool_mode == "transaction":
            # These databases are copies of migrated ones: only the settings of the role are new.
            service.manage("migrate", "-v", "0")
        stack.enter_context(service)
        yield service, pooler


@pytest.mark.proof
@pytest.mark.parametrize(("pool_mode", "one_database"), COMBINATIONS)
def test_the_service_works_behind_pgbouncer(
    new_folder: NewFolder, migrated: list[str], pool_mode: str, one_database: bool
) -> None:
    folder = new_folder("pooled")
    with running(folder, migrated, pool_mode=pool_mode, one_database=one_database) as (
        service,
        pooler,
    ):
        check_the_service(service, pooler, pool_mode)
        service.manage("rebuild_projections", "order_view")
        assert_read_models_equal_the_log(service)


def test_a_pooler_of_transactions_without_its_setting_is_refused_at_start(
    new_folder: NewFolder, migrated: list[str], subtests: pytest.Subtests
) -> None:
    service = Service(new_folder("refused"), like=migrated)
    sentence = "set DATABASE_POOLER=transaction and DATABASE_DIRECT_URL"
    with ExitStack() as stack:
        stack.callback(service.drop_databases)
        stack.enter_context(pooled(service, pool_mode="transaction"))
        for name in ("DATABASE_POOLER", "DATABASE_DIRECT_URL", "READ_DATABASE_DIRECT_URL"):
            del service.environ[name]
        options = ["-c", "python:config.gunicorn", "-b", "127.0.0.1:0", "--workers", "1"]
        web = ["-m", "gunicorn", *options, "config.wsgi"]
        for program in (web, ["manage.py", "projection_status"]):
            with subtests.test("the program ends with one sentence", program=program[0]):
                ended = subprocess.run(
                    [sys.executable, *program],
                    env=service.environ,
                    cwd=ROOT,
                    capture_output=True,
                    text=True,
                    timeout=PATIENCE_SECONDS,
                )
                assert ended.returncode != 0
                assert sentence in ended.stderr


def test_sessions_without_the_search_path_are_refused_at_start(new_folder: NewFolder) -> None:
    service = Service(new_folder("unprepared"), one_database=True)
    with ExitStack() as stack:
        stack.callback(service.drop_databases)
        stack.enter_context(pooled(service, pool_mode="transaction"))
        ended = subprocess.run(
            [sys.executable, "-c", "import config.wsgi"],
            env=service.environ,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
        )
    assert ended.returncode != 0
    assert "search_path" in ended.stderr
    assert "run manage.py migrate, then RECONNECT" in ended.stderr
