"""Rebuild, compare, pause, resume, cancel, roll back and discard: each asks before it acts."""

from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils.module_loading import import_string
from django_q.models import OrmQ

from config.accounts.models import User
from config.accounts.roles import Role
from config.workers import tasks
from ordering_read.engine import fill, generations, live
from ordering_read.engine.rebuild import rebuild
from ordering_read.models import InventoryLevel, Projection
from ordering_read.projector import writing
from ordering_read.screens import rebuilding
from tests import kit
from tests.kit_admin import (
    PROJECTIONS,
    list_url,
    logged_in,
    messages_of,
    page_text,
    run_action,
)

pytestmark = pytest.mark.usefixtures("db")

NAME = "inventory_level"
ACTIONS = ("rebuild", "verify", "promote", "pause", "resume", "cancel", "roll_back", "discard")


@pytest.fixture
def client(admin_user: User) -> Client:
    """A browser in which an administrator is logged in."""
    return logged_in(admin_user)


@pytest.fixture
def building() -> Projection:
    """The unfinished generation of a rebuild whose process was killed."""
    kit.registered_product()
    live.run(NAME)
    generation = generations.add(NAME, Projection.Status.BUILDING)
    fill.begin(generation, until=2)
    return generation


@pytest.fixture
def former() -> Projection:
    """The former generation of a projection that was rebuilt."""
    kit.registered_product()
    live.run(NAME)
    generation = Projection.objects.get(name=NAME)
    rebuild(NAME)
    return generation


def question(client: Client, action: str, *names: str) -> str:
    """Select projections in the list; return the URL of the question."""
    rows = Projection.objects.filter(name__in=names or (NAME,), status="live")
    return str(run_action(client, PROJECTIONS, action, *rows)["Location"])


def act(client: Client, action: str, *names: str, **fields: str) -> Any:
    """Answer the question with yes."""
    url, _, query = question(client, action, *names).partition("?")
    chosen = [part.partition("=")[2] for part in query.split("&")]
    return client.post(url, {"projection": chosen, **fields})


def queued_tasks() -> list[tuple[str, Any]]:
    return [(task.func(), task.args()) for task in OrmQ.objects.order_by("pk")]


def test_only_administrators_may_run_actions(
    make_user: Any, building: Projection, subtests: pytest.Subtests
) -> None:
    row = Projection.objects.get(name=NAME, status="live")

    for role in (Role.CLERK, Role.WAREHOUSE, Role.AUDITOR):
        client = logged_in(make_user(role, is_staff=True))
        page = client.get(list_url(PROJECTIONS)).text
        for action in ACTIONS:
            with subtests.test(role=str(role), action=action):
                assert f'value="{action}"' not in page
                assert run_action(client, PROJECTIONS, action, row).status_code == 403
                url = f"/admin/system/{action.replace('_', '-')}/"
                assert client.get(url, {"projection": NAME}).status_code == 403
                assert client.post(url, {"projection": NAME}).status_code == 403
    building.refresh_from_db()
    assert building.rebuild_request == ""
    assert queued_tasks() == []


def test_an_administrator_is_offered_all_actions(client: Client) -> None:
    page = client.get(list_url(PROJECTIONS)).text

    assert [action for action in ACTIONS if f'value="{action}"' not in page] == []


def test_a_rebuild_is_queued_until_a_worker_is_free(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuilding, "_WAIT_SECONDS", 0)

    url = question(client, "rebuild", "order_view", "customer_view")
    page = page_text(client, url)
    assert "Meanwhile all pages show the present rows" in page
    assert "Customers About 0 events are read. Orders About 0 events are read." in page
    assert queued_tasks() == []

    response = act(client, "rebuild", "order_view", "customer_view", take_over="on")

    [(task, names)] = queued_tasks()
    assert (task, names) == ("config.workers.tasks.rebuild", ("customer_view", "order_view"))
    assert OrmQ.objects.get().task["kwargs"] == {"promote": True}
    assert messages_of(response) == [
        f"warning: {label}: the rebuild is queued until a worker is free."
        for label in ("Customers", "Orders")
    ]


def test_a_quick_rebuild_is_live_when_the_page_returns(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_now(task: str, *names: str, promote: bool, **_options: Any) -> None:
        import_string(task)(*names, promote=promote)

    monkeypatch.setattr(rebuilding, "async_task", run_now)
    product = kit.registered_product()
    live.run(NAME)

    response = act(client, "rebuild", take_over="on")

    assert messages_of(response) == ["success: Stock levels: rebuilt; generation 2 is live."]
    assert InventoryLevel.live.get().product_id == product.pk


def test_new_rows_wait_for_somebody_who_lets_them_take_over(client: Client) -> None:
    kit.registered_product()
    live.run(NAME)
    act(client, "promote")
    assert queued_tasks() == []

    tasks.rebuild(NAME, promote=False)

    assert "Rebuilt: 1 rows, the same as before." in page_text(client, question(client, "promote"))
    assert "Number 2 is complete and waits to take over." in page_text(client, "/admin/system/")
    act(client, "promote")
    act(client, "promote")
    first, second = queued_tasks()
    for task, names in (first, second):
        import_string(task)(*names)
    assert Projection.objects.get(name=NAME, status="live").generation == 2
    # The second click asks for no rebuild.
    assert not Projection.objects.filter(name=NAME, generation=3).exists()


def test_the_result_of_a_comparison_is_shown(client: Client) -> None:
    kit.registered_product()
    live.run(NAME)
    assert "haven&#x27;t been compared yet" in client.get(question(client, "verify")).text

    act(client, "verify")
    [(task, names)] = queued_tasks()
    import_string(task)(*names)

    assert "All 1 rows are what the log says." in page_text(client, "/admin/system/")
    with writing():
        InventoryLevel.objects.update(on_hand=77)
    tasks.verify(NAME)
    cache.clear()
    assert "wrong 1 of 1 rows aren&#x27;t what the log says." in page_text(client, "/admin/system/")


def test_a_question_refuses_what_it_does_not_know(client: Client) -> None:
    assert client.get("/admin/system/rebuild/", {"projection": "nothing"}).status_code == 404
    for url in ("/admin/system/rebuild/", "/admin/system/given-up/retry/"):
        response = client.post(url)
        assert response.status_code == 302
        assert messages_of(response)[-1].startswith("error: Nothing is selected")
    assert client.get("/admin/system/given-up/retry/", {"id": "x"}).status_code == 404


def test_a_rebuild_is_paused_and_resumed(client: Client, building: Projection) -> None:
    assert messages_of(act(client, "pause")) == [
        "success: Stock levels: the rebuild pauses after its current batch."
    ]
    building.refresh_from_db()
    assert building.rebuild_request == Projection.RebuildRequest.PAUSE

    act(client, "resume")

    building.refresh_from_db()
    assert building.rebuild_request == ""
    # The process of the rebuild may be gone.
    assert queued_tasks() == [("config.workers.tasks.rebuild", (NAME,))]


def test_a_projection_without_a_rebuild_cannot_be_paused(client: Client) -> None:
    assert messages_of(act(client, "pause")) == [
        "error: Stock levels: inventory_level isn't being rebuilt."
    ]


def test_a_rebuild_is_cancelled_after_a_confirmation(client: Client, building: Projection) -> None:
    page = page_text(client, question(client, "cancel"))

    assert "The rows of the unfinished rebuild are deleted" in page
    assert "Stock levels 0 of 2 events are applied." in page
    assert queued_tasks() == []

    act(client, "cancel")

    [(task, [name])] = queued_tasks()
    assert task == "config.workers.tasks.cancel_rebuild"
    tasks.cancel_rebuild(name)
    assert not Projection.objects.filter(pk=building.pk).exists()


def test_a_roll_back_makes_the_former_generation_live(client: Client, former: Projection) -> None:
    act(client, "roll_back")

    former.refresh_from_db()
    assert former.status == Projection.Status.LIVE
    assert InventoryLevel.live.count() == 1


def test_the_former_generation_is_discarded_after_a_confirmation(
    client: Client, former: Projection
) -> None:
    assert "You can&#x27;t roll back to them" in client.get(question(client, "discard")).text
    assert queued_tasks() == []

    act(client, "discard")

    [(task, [name])] = queued_tasks()
    assert task == "config.workers.tasks.discard_former"
    tasks.discard_former(name)
    assert not Projection.objects.filter(pk=former.pk).exists()
    assert InventoryLevel.live.count() == 1
    assert messages_of(act(client, "discard"))[-1] == (
        "error: Stock levels: inventory_level has no former generation."
    )
