"""The archive: files that hold the log without personal fields, and prove themselves."""

import json
import shutil
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.db import connection
from prometheus_client.exposition import generate_latest
from uuid_utils.compat import uuid7

from config.accounts.models import User
from config.metrics import DatabaseCollector
from ordering_write import checks, log
from ordering_write.archive import ArchiveError, Storage, archive, begin_anew, check, query, writing
from ordering_write.archive.errors import ArchiveDivergesError, QueryError
from ordering_write.archive.manifest import Manifest
from ordering_write.archive.storage import duckdb_of_process
from ordering_write.checks import check_archive
from ordering_write.domain.commands import EraseCustomer
from ordering_write.domain.events import OrderStatus
from ordering_write.models import ArchivedFile, Customer, OutboxEvent
from tests import kit
from tests.databases import KeptRows, rolled_back
from tests.kit_admin import logged_in, page_text

pytestmark = pytest.mark.usefixtures("db")

NAME, STREET = "Quirin Unlikely", "9 Nowhere Lane"
EVENTS_OF_FILE = 10


@pytest.fixture(scope="module")
def kept(django_db_setup: None, django_db_blocker: Any, tmp_path_factory: Any) -> Any:
    """Return an archive in three files, and the rows of its log, which aren't in the database."""
    folder = tmp_path_factory.mktemp("archive")
    with django_db_blocker.unblock(), rolled_back():
        customer = kit.registered_customer(NAME)
        product = kit.registered_product(on_hand=100)
        address = {**kit.ADDRESS, "name": NAME, "line1": STREET}
        for _ in range(6):
            order = kit.placed_order(customer, (product, 2), shipping_address=address)
            kit.dispatch(kit.move(order, OrderStatus.CONFIRMED))
            kit.dispatch(kit.cancel(order))
        log.sequence()
        assert list(archive(Storage(str(folder)), events_of_file=EVENTS_OF_FILE))
        return folder, KeptRows(), customer


@pytest.fixture
def storage(kept: Any, tmp_path: Path, settings: Any) -> Storage:
    """Return an archive of full files, a copy of its own."""
    folder, rows, _customer = kept
    shutil.copytree(folder, tmp_path / "archive")
    settings.ARCHIVE_URL = str(tmp_path / "archive")
    rows.put_back()
    return Storage()


@pytest.fixture
def customer(kept: Any) -> Customer:
    """Return the customer of the orders."""
    registered: Customer = kept[2]
    return registered


def path_of(storage: Storage, file: ArchivedFile) -> Path:
    return Path(storage.address(file.name))


def faults(storage: Storage, **options: Any) -> list[str]:
    return [
        f"{file.archived}: {fault}" for file in check(storage, **options) for fault in file.faults
    ]


def command(name: str, *arguments: str) -> str:
    output = StringIO()
    call_command(name, *arguments, stdout=output, stderr=output)
    return output.getvalue()


def files() -> list[ArchivedFile]:
    return list(ArchivedFile.objects.all())


# --- Writing -----------------------------------------------------------------------------------
def test_full_files_wait_for_their_events_and_the_rest_is_written_on_request(
    storage: Storage,
) -> None:
    head = log.last_position()
    ends = [file.last for file in files()]
    assert [file.first for file in files()] == [1, *(end + 1 for end in ends[:-1])]
    assert min(file.events for file in files()) >= EVENTS_OF_FILE
    assert list(archive(storage, events_of_file=EVENTS_OF_FILE)) == []
    [rest] = archive(storage, events_of_file=EVENTS_OF_FILE, rest=True)

    assert (rest.first, rest.last) == (ends[-1] + 1, head)
    for end in ends:
        last, following = log.read_at([end, end + 1])
        assert following.recorded.event_id not in log.commit_of(last.recorded.event_id)
    assert list(archive(storage, rest=True)) == []
    assert faults(storage) == []


def test_files_hold_what_the_log_holds(storage: Storage) -> None:
    list(archive(storage, rest=True))
    answer = query(
        storage,
        "SELECT id, event_id, stream, version, type, schema_version, timestamp, recorded_at, actor,"
        " channel, command_id, correlation_id, causation_id, commit_id, data, personal_id,"
        " personal_digest, hash, traceparent FROM event ORDER BY position",
        limit=10_000,
    )

    stored = OutboxEvent.objects.order_by("event_position__position").values(*answer.columns)
    archived = [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
    for row in archived:
        row["actor"], row["data"] = json.loads(row["actor"]), json.loads(row["data"])
    assert archived == list(stored)


def test_files_hold_no_personal_field_before_or_after_an_erasure(
    storage: Storage, customer: Customer
) -> None:
    erasure = EraseCustomer(user_id=kit.USER, customer_id=customer.pk, reason="Asked for it")
    kit.dispatch(erasure)
    list(archive(storage, rest=True))

    duck = duckdb_of_process()
    for file in files():
        texts = str(duck.read_parquet(str(path_of(storage, file))).fetchall())
        assert NAME not in texts
        assert STREET not in texts
        assert customer.email not in texts
    assert faults(storage) == []

    assert command("scan_personal_data", "--text", NAME) == "Found nowhere.\n"
    with pytest.raises(CommandError, match=r"^Found in 2 columns\.$"):
        command("scan_personal_data", "--text", "OrderCreated")


@pytest.mark.parametrize("has_manifest", [True, False])
def test_a_killed_call_is_continued(storage: Storage, has_manifest: bool) -> None:
    last = files()[-1]
    manifest = Manifest.read(storage, last.first)
    # The process ended before it inserted the row, with or without a manifest.
    ArchivedFile.objects.filter(pk=last.pk).delete()
    if not has_manifest:
        path_of(storage, last).with_suffix(".json").write_text('{"log_id"')

    list(archive(storage, events_of_file=EVENTS_OF_FILE))

    again = Manifest.read(storage, last.first)
    assert manifest
    assert again
    assert (again.previous, again.last) == (manifest.previous, manifest.last)
    assert faults(storage) == []


def test_an_archive_of_another_log_is_refused_and_written_anew_elsewhere(
    storage: Storage, tmp_path: Path
) -> None:
    # A restore of an older backup: the archive knows later events than the log.
    last = files()[-1]
    ArchivedFile.objects.filter(pk=last.pk).delete()
    manifest = Manifest.read(storage, last.first)
    assert manifest
    other = manifest.model_copy(update={"last_event_id": uuid7()})
    storage.write(f"events-{last.first:012d}.json", other.content)
    with pytest.raises(ArchiveDivergesError, match=rf"other events .* position {last.first} on"):
        list(archive(storage))
    with pytest.raises(ArchiveDivergesError, match="name an empty folder"):
        begin_anew(storage)

    elsewhere = Storage(str(tmp_path / "elsewhere"))
    with pytest.raises(ArchiveDivergesError, match="doesn't hold events-"):
        list(archive(elsewhere))
    begin_anew(elsewhere)
    [file] = archive(elsewhere, rest=True)
    assert (file.first, file.last) == (1, log.last_position())
    assert faults(elsewhere) == []


def test_a_missing_position_is_not_archived(storage: Storage) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("DELETE FROM event_position WHERE position = %s", [files()[-1].last + 1])
        cursor.execute("SET LOCAL session_replication_role = origin")
    with pytest.raises(log.LogGapError, match="1 are missing"):
        list(archive(storage, rest=True))


def test_only_one_process_writes(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    # The lock of another session can't be held here: this one asks for a lock that is never free.
    monkeypatch.setattr(writing, "_LOCK", None)
    with pytest.raises(ArchiveError, match="Another process is writing the archive"):
        list(archive(storage))


# --- Checking ----------------------------------------------------------------------------------
def test_a_flipped_byte_is_found_wherever_it_is(storage: Storage) -> None:
    file = files()[1]
    path = path_of(storage, file)
    content = path.read_bytes()
    rows_named = 0
    for place in range(4, len(content), len(content) // 5):
        changed = bytearray(content)
        changed[place] ^= 0x10
        path.write_bytes(changed)

        first, *others = faults(storage)

        assert first == f"{file}: its bytes were changed: its SHA-256 doesn't fit"
        rows_named += any(f"{file}: row " in fault or " rows " in fault for fault in others)
    assert rows_named
    path.write_bytes(content)
    assert faults(storage) == []


@pytest.mark.parametrize(
    "change", ["data = '{}'", "stream = 'order-7'", "hash = 'x'::BLOB", "version = version + 1"]
)
def test_a_changed_row_is_named(storage: Storage, change: str) -> None:
    file = files()[1]
    column, _, value = change.partition(" = ")
    changed = file.first + 3
    rewrite(storage, file, f"if(position = {changed}, {value}, {column}) AS {column}")

    named = [text for text in faults(storage) if f"row 4 (position {changed}, " in text]

    assert [text.endswith("was changed: its hash doesn't fit") for text in named] == [True]


def rewrite(
    storage: Storage, file: ArchivedFile, replacement: str, condition: str = "true"
) -> None:
    """Write a file anew with changed rows, as somebody does who also changes the digests."""
    path = path_of(storage, file)
    with duckdb_of_process() as duck:
        duck.execute(f"CREATE TABLE changed AS FROM '{path}'")
        duck.execute(
            f"COPY (SELECT * REPLACE ({replacement}) FROM changed WHERE {condition}"
            f" ORDER BY position) TO '{path}' (FORMAT parquet)"
        )
    size, sha256 = storage.digest(file.name)
    ArchivedFile.objects.filter(pk=file.pk).update(bytes=size, sha256=sha256)


def test_missing_rows_are_found(storage: Storage) -> None:
    first, second, *_ = files()
    rewrite(storage, first, "channel AS channel", f"position < {first.last}")
    rewrite(storage, second, "channel AS channel", f"position <> {second.first + 4}")
    texts = faults(storage)
    assert f"{first}: it ends at position {first.last - 1}, and not at {first.last}" in texts
    assert any(f"{second}: row 5 (position {second.first + 5}, " in text for text in texts)


def test_events_that_differ_from_the_log_are_found(storage: Storage) -> None:
    position = files()[1].first + 1
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(
            "UPDATE event SET hash = 'other' FROM event_position"
            " WHERE event.id = event_position.event_id AND position = %s",
            [position],
        )
        cursor.execute("SET LOCAL session_replication_role = origin")
    [fault] = faults(storage)
    assert fault.startswith(f"{files()[1]}: row 2 (position {position}, ")
    assert fault.endswith("isn't the event that the log has")
    assert faults(storage, digests_only=True) == []


def test_missing_and_changed_files_are_found(storage: Storage) -> None:
    first, second, third, *_ = files()
    path_of(storage, first).unlink()
    path_of(storage, second).with_suffix(".json").unlink()
    manifest = path_of(storage, third).with_suffix(".json")
    manifest.write_text(manifest.read_text().replace('"first"', '"First"'))
    third_name = f"events-{third.first:012d}.json"
    assert faults(storage, digests_only=True) == [
        f"{first}: it is missing",
        f"{second}: its manifest events-{second.first:012d}.json is missing",
        f"{third}: its manifest {third_name} was changed: its SHA-256 doesn't fit",
    ]


def test_a_manifest_out_of_the_chain_is_found(storage: Storage) -> None:
    second = files()[1]
    manifest = Manifest.read(storage, second.first)
    assert manifest
    other = manifest.model_copy(update={"previous": "0" * 64})
    storage.write(f"events-{second.first:012d}.json", other.content)
    ArchivedFile.objects.filter(pk=second.pk).update(manifest_sha256=other.digest)
    texts = faults(storage, digests_only=True)
    assert texts[0] == (
        f"{second}: its manifest events-{second.first:012d}.json doesn't follow on the one before"
    )


# --- Queries -----------------------------------------------------------------------------------
ORDERS = "SELECT type, count(*) AS events FROM event WHERE type = 'OrderCreated' GROUP BY type"


def test_query_archive_prints_tables_csv_and_json(storage: Storage) -> None:
    list(archive(storage, rest=True))
    assert command("query_archive", ORDERS) == "type          events\nOrderCreated  6\n"
    assert command("query_archive", ORDERS, "--format", "csv") == "type,events\nOrderCreated,6\n"
    row = json.loads(command("query_archive", ORDERS, "--format", "json"))
    assert row == {"type": "OrderCreated", "events": 6}
    cut = command("query_archive", "SELECT position FROM event ORDER BY position", "--limit", "2")
    assert cut == "position\n1\n2\nThere are more rows than 2: see --limit.\n"


def test_statements_read_the_events_and_nothing_else(
    storage: Storage, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    refused = {
        f"COPY event TO '{tmp_path}/copy.csv'": "Give one SELECT",
        f"COPY event TO '{storage.address(files()[0].name)}'": "Give one SELECT",
        "SELECT 1; SELECT 2": "Give one SELECT",
        "DROP VIEW event": "Give one SELECT",
        "SET threads = 9": "Give one SELECT",
        "SELECT * FROM read_text('/etc/passwd')": "disabled by configuration",
        f"SELECT * FROM glob('{tmp_path}/*')": "disabled by configuration",
        "SELECT * FROM personal_data": "personal_data does not exist",
        "SELEC 1": "syntax error",
    }
    for sql, message in refused.items():
        with subtests.test(sql), pytest.raises(QueryError, match=message):
            query(storage, sql, limit=1)
    with pytest.raises(QueryError, match=r"takes longer than 0\.1 seconds"):
        query(storage, "SELECT sum(a.range * b.range) FROM range(100000000) a, range(100000) b",
              limit=1, seconds=0.1)  # fmt: skip


# --- Commands, storages, settings ----------------------------------------------------------------
def test_archive_and_verify_archive_say_what_they_did(storage: Storage) -> None:
    lines = command("archive", "--rest", "--events-per-file", "5").splitlines()
    assert lines[0].startswith(f"{storage.url}/events-")
    assert lines[-1].endswith(" bytes each.")
    assert command("archive") == "There are no events to archive.\n"
    assert command("verify_archive").startswith(f"{log.last_position()} events in ")
    path_of(storage, files()[0]).unlink()
    with pytest.raises(CommandError, match=r"^1 fault\.$"):
        command("verify_archive", "--digests-only")


def test_an_object_storage_holds_the_archive_too(storage: Storage) -> None:
    objects = Storage(f"memory://{uuid7()}/log")
    begin_anew(objects)
    assert len(list(archive(objects, events_of_file=15))) > 1
    assert faults(objects) == []
    assert query(objects, ORDERS, limit=5).rows


def test_without_a_place_or_packages_a_sentence_says_what_to_do(
    settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings.ARCHIVE_URL = ""
    with pytest.raises(CommandError, match=r"^Name a folder .* in ARCHIVE_URL\.$"):
        command("archive")
    settings.ARCHIVE_URL = "unknown://bucket"
    with pytest.raises(CommandError, match=r"unknown://bucket: .*unknown"):
        command("archive")
    settings.ARCHIVE_URL = str(tmp_path)
    with pytest.raises(CommandError, match=r"^Nothing is archived yet: manage\.py archive$"):
        command("query_archive", ORDERS)
    ArchivedFile.objects.create(first=1, last=2, name="x", bytes=1, sha256="", manifest_sha256="")
    for package in ("duckdb", "fsspec.core"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, package, None)
            with pytest.raises(CommandError, match=r"requirements-archive\.txt"):
                command("query_archive", ORDERS)


def test_metrics_and_the_page_system_show_the_end_of_the_archive(
    storage: Storage, admin_user: User
) -> None:
    last = files()[-1].last
    assert f"orders_archived_position {last}.0" in generate_latest(DatabaseCollector()).decode()
    client = logged_in(admin_user)
    shown = f"up to position {last}. The last file was written 0 minutes ago."
    assert shown in page_text(client, "/admin/system/")

    ArchivedFile.objects.all().delete()
    cache.clear()
    assert "No file is written yet: manage.py archive" in page_text(client, "/admin/system/")


def test_a_check_finds_an_archive_without_its_packages(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.ARCHIVE_URL = "/archive"
    assert check_archive() == []
    monkeypatch.setattr(checks, "find_spec", lambda _name: None)
    [error] = check_archive()
    assert "requirements-archive.txt" in str(error.hint)
    settings.ARCHIVE_URL = ""
    assert check_archive() == []
