"""Exports of lists: the rows of the screen as CSV or JSON Lines, at once or by a worker."""

import csv
import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db.models.functions import Now
from django.test import Client
from django.utils.timezone import localtime

from config.accounts.models import User
from config.accounts.roles import Role
from config.exports import files
from config.exports.models import Export, ExportPart
from ordering_read.exports import jobs, rows
from ordering_read.exports.lists import all_lists
from ordering_read.models import OrderSummary
from ordering_write.domain import commands as c
from tests import kit
from tests.kit_admin import ORDERS, list_url, logged_in, page_text, run_projections

pytestmark = pytest.mark.usefixtures("db")

EXPORTS = "/admin/exports/"


@pytest.fixture
def shop() -> Any:
    """Two orders of a customer whose name is a formula, one of them confirmed."""
    customer = kit.registered_customer(name="＝SUM(1) Sample", email="robin.sample@example.com")
    product = kit.registered_product(50, sku="LAMP-1", name="Desk lamp")
    first, second = (kit.placed_order(customer, (product, 2), (product, 1)) for _ in range(2))
    kit.dispatch(c.ConfirmOrder(order_id=second.pk, user_id=kit.USER))
    run_projections()
    return first, second


def exported(client: Client, file: str, query: str = "") -> Any:
    return client.post(EXPORTS, {"file": file, "query": query})


def table(response: Any) -> list[dict[str, str]]:
    text = b"".join(response.streaming_content).decode("utf-8-sig")
    return list(csv.DictReader(text.splitlines(keepends=True)))


def objects(response: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the description of a JSON Lines file, and its rows."""
    first, *others = map(json.loads, b"".join(response.streaming_content).splitlines())
    return first["manifest"], others


# --- At once -----------------------------------------------------------------------------------
def test_a_file_has_the_rows_of_the_screen_in_its_order(shop: Any, admin_user: User) -> None:
    client = logged_in(admin_user)
    first, second = shop

    answer = exported(client, "orders.csv")
    position = answer["Projection-Position"]
    [newest, oldest] = table(answer)

    assert [newest["order_number"], oldest["order_number"]] == [
        second.order_number,
        first.order_number,
    ]
    assert f"orders-{Export.objects.get().created_at:%Y-%m-%d}" in answer["Content-Disposition"]
    assert f'position-{position}.csv"' in answer["Content-Disposition"]
    assert (newest["projection_position"], newest["projection_gap"]) == (position, "")
    assert newest["customer_name"] == "'＝SUM(1) Sample"
    assert (newest["total_amount"], newest["currency"]) == ("59.70", "EUR")
    assert newest["created_at"].endswith("Z")
    placed_at = OrderSummary.live.get(order_id=second.pk).created_at
    store_time = localtime(placed_at).isoformat()
    assert newest["created_at_store_time"] == store_time

    [confirmed] = table(exported(client, "orders.csv", "status=confirmed&p=1"))
    assert confirmed["order_number"] == second.order_number
    lines = table(exported(client, "order-lines.csv", "status=confirmed"))
    assert [(line["number"], line["quantity"], line["line_total"]) for line in lines] == [
        ("1", "2", "39.80"),
        ("2", "1", "19.90"),
    ]

    manifest, [row] = objects(exported(client, "orders.jsonl", "status=confirmed"))
    assert (manifest["projection_position"], manifest["filters"]) == (
        int(position),
        "status=confirmed",
    )
    assert (row["customer_name"], row["total_amount"]) == ("＝SUM(1) Sample", "59.70")


def test_each_list_offers_its_files_and_each_file_has_all_its_columns(
    shop: Any, admin_user: User, subtests: pytest.Subtests
) -> None:
    client = logged_in(admin_user)
    for name, exported_list in all_lists().items():
        with subtests.test(name):
            options = exported_list.model._meta
            page = client.get(list_url(f"{options.app_label}/{options.model_name}"))
            rows_shown = page.context["cl"].result_count
            assert f'value="{name}.csv"' in page.text
            found = table(exported(client, f"{name}.csv"))
            _, others = objects(exported(client, f"{name}.jsonl"))
            assert len(found) == len(others)
            assert len(found) == rows_shown or name == "order-lines"
            if not found:
                assert name in ("taxes-by-day", "refused-commands"), "there are none"
                continue
            times = {column for column in found[0] if column.endswith("_store_time")}
            assert set(others[0]) | {"projection_position", "projection_gap"} == set(found[0])
            assert all(found[0][time] == (others[0][time] or "") for time in times)


def test_bad_input_and_missing_rights_are_refused(
    shop: Any, make_user: Any, admin_user: User
) -> None:
    client = logged_in(admin_user)
    for file in ("", "orders.xls", "secrets.csv"):
        assert exported(client, file).status_code == 400, file
    assert exported(client, "orders.csv", "password=x").status_code == 400
    assert not Export.objects.exists()
    warehouse = logged_in(make_user(Role.WAREHOUSE, is_staff=True))
    assert exported(warehouse, "orders.csv").status_code == 403
    assert table(exported(warehouse, "fulfilment-queue.csv"))
    assert "All rows of this list" not in page_text(warehouse, list_url(ORDERS))
    assert Client().post(EXPORTS, {"file": "orders.csv"}).status_code == 302


def test_personal_columns_are_for_users_who_may_see_personal_data(
    shop: Any, make_user: Any
) -> None:
    auditor = make_user(Role.AUDITOR, is_staff=True)
    kit.dispatch(
        c.AddNote(order_id=shop[0].pk, user_id=kit.USER, text="Call 555", visibility="internal")
    )
    run_projections()

    by_auditor = table(exported(logged_in(auditor), "customers.csv"))
    entries = table(exported(logged_in(auditor), "timeline.csv"))
    by_clerk = table(exported(logged_in(make_user(Role.CLERK, is_staff=True)), "customers.csv"))

    assert set(by_clerk[0]) - set(by_auditor[0]) == {"email", "phone", "metadata"}
    assert by_clerk[0]["email"] == "robin.sample@example.com"
    assert not any("555" in entry["sentence"] for entry in entries)


# --- By a worker -------------------------------------------------------------------------------
@pytest.fixture
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let a file of more than one row be a job, in parts of a row; return the queued exports."""
    queued: list[str] = []
    monkeypatch.setattr("ordering_read.screens.exports.MOST_AT_ONCE", 1)
    monkeypatch.setattr(rows, "_ROWS_IN_A_PART", 1)
    monkeypatch.setattr(jobs, "async_task", lambda _task, key, **_options: queued.append(key))
    return queued


@pytest.mark.usefixtures("shop")
def test_a_long_list_becomes_a_job_with_a_page(
    few_at_once: list[str], make_user: Any, admin_user: User
) -> None:
    clerk = make_user(Role.CLERK, is_staff=True)
    client = logged_in(clerk)

    page = exported(client, "orders.csv", "q=sample")["Location"]
    export = Export.objects.get()
    assert few_at_once == [str(export.pk)]
    assert "Waiting for a worker" in page_text(client, page)
    assert client.get(f"{page}file/").status_code == 302, "there is no file yet"

    jobs.run(export.pk)

    export.refresh_from_db()
    assert f"Download {export.file_name}" in page_text(client, page)
    answer: Any = client.get(f"{page}file/")
    assert int(answer["Content-Length"]) == export.size
    assert len(table(answer)) == 2
    assert table(logged_in(admin_user).get(f"{page}file/")), "admins may download all files"
    colleague = logged_in(make_user(Role.AUDITOR, is_staff=True, username="colleague"))
    assert colleague.get(f"{page}file/").status_code == colleague.get(page).status_code == 404
    listed = page_text(colleague, "/admin/exports/export/")
    assert f"{clerk.username} orders q: sample CSV ready 2" in listed
    jobs.run(export.pk)
    assert ExportPart.objects.count() == 2, "a repeated task changes nothing"


@pytest.mark.usefixtures("shop")
def test_a_killed_worker_leaves_no_half_of_a_file(
    few_at_once: list[str], admin_user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = logged_in(admin_user)
    page = exported(client, "orders.csv")["Location"]
    export = Export.objects.get()
    killed = files.begin(export.pk)
    assert killed
    files.describe(killed, position=1, file_name="orders.csv", rows_total=2)
    files.write_part(killed, 0, b"half of a file", rows=1)
    assert "1 of 2 rows" in page_text(client, page)
    assert client.get(f"{page}file/").status_code == 302
    assert files.begin(export.pk) is None, "it is alive, as far as anybody knows"

    Export.objects.update(progress_at=Now() - 2 * files._SILENCE)
    few_at_once.clear()
    jobs.keep()
    assert few_at_once == [str(export.pk)]
    jobs.run(export.pk)

    with pytest.raises(files.SupersededError):
        files.write_part(killed, 1, b"the other half", rows=1)
    assert len(table(client.get(f"{page}file/"))) == 2


@pytest.mark.usefixtures("shop", "few_at_once")
def test_a_job_that_can_not_be_done_says_why(admin_user: User, make_user: Any) -> None:
    clerk = make_user(Role.CLERK, is_staff=True)
    client = logged_in(clerk)
    page = exported(client, "orders.csv", "q=sample")["Location"]
    clerk.groups.clear()

    jobs.run(Export.objects.get().pk)

    assert "need" in page_text(logged_in(admin_user), page)
    assert Export.objects.get().query == "q=%E2%80%A6"

    client = logged_in(admin_user)
    for _ in range(jobs.MOST_AT_WORK):
        page = exported(client, "orders.csv")["Location"]
    assert "Wait for one of them" in page_text(client, exported(client, "orders.csv")["Location"])
    export_id = page.rstrip("/").rpartition("/")[2]
    for _ in range(4):
        Export.objects.update(progress_at=Now() - 2 * files._SILENCE)
        files.begin(export_id)
    assert "ended unexpectedly" in page_text(client, page)


@pytest.mark.usefixtures("shop", "few_at_once")
def test_a_file_is_deleted_after_a_day_and_its_record_stays(admin_user: User) -> None:
    client = logged_in(admin_user)
    page = exported(client, "orders.csv", "q=sample")["Location"]
    export = Export.objects.get()
    jobs.run(export.pk)
    answer: Any = client.get(f"{page}file/")

    Export.objects.update(created_at=Now() - files._FILE_KEPT)
    jobs.keep()

    assert not ExportPart.objects.exists()
    with pytest.raises(files.FileGoneError):
        b"".join(answer.streaming_content)
    assert "older than a day" in page_text(client, page)
    export.refresh_from_db()
    assert (export.rows_done, "sample" in export.query) == (2, False)
    Export.objects.update(created_at=Now() - files._RECORD_KEPT)
    jobs.keep()
    assert not Export.objects.exists()


# --- From the shell ----------------------------------------------------------------------------
def test_orders_are_exported_from_the_shell(
    shop: Any, tmp_path: Any, subtests: pytest.Subtests
) -> None:
    path = tmp_path / "orders.csv"
    output = StringIO()
    call_command(
        "export_orders", "--status", "confirmed", "--output", path, "--json", stdout=output
    )

    summary = json.loads(output.getvalue())
    [row] = csv.DictReader(path.read_text("utf-8-sig").splitlines())
    assert (row["order_number"], summary["rows"]) == (shop[1].order_number, 1)
    assert summary["bytes"] == path.stat().st_size
    assert int(row["projection_position"]) == summary["projection_position"]
    record = Export.objects.get()
    assert record.requested_by.startswith("cli:")
    assert record.query == "status=confirmed"

    call_command("export_orders", "--lines", "--format", "jsonl", "--output", path, stdout=output)
    assert len(path.read_text().splitlines()) == 1 + 4
    for options in (
        ["--status", "lost"],
        ["--json"],
        ["--placed-after", "yesterday"],
        ["--output", str(tmp_path / "nowhere" / "orders.csv")],
    ):
        with subtests.test(options[0]), pytest.raises(CommandError):
            call_command("export_orders", *options, stdout=output)
    assert [file.name for file in tmp_path.iterdir()] == ["orders.csv"]
