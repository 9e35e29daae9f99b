"""The actions of the projection pages: rebuild, pause, resume, cancel, roll back and discard."""

from typing import Any

import pytest
from django.test import Client
from django.utils.module_loading import import_string
from django_q.models import OrmQ

from config.accounts.models import User
from config.accounts.roles import Role
from config.workers import tasks
from ordering_read.admin import projections
from ordering_read.engine import fill, generations, live
from ordering_read.engine.rebuild import rebuild
from ordering_read.models import InventoryLevel, Projection
from tests import kit
from tests.kit_admin import PROJECTIONS, list_url, logged_in, messages_of, run_action

pytestmark = pytest.mark.usefixtures("db")

NAME = "inventory_level"
ACTIONS = ("rebuild", "pause", "resume", "cancel", "roll_back", "discard")


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


def act(client: Client, action: str, *names: str, **fields: str) -> Any:
    rows = Projection.objects.filter(name__in=names or (NAME,), status="live")
    return run_action(client, PROJECTIONS, action, *rows, **fields)


def queued_tasks() -> list[tuple[str, Any]]:
    return [(task.func(), task.args()) for task in OrmQ.objects.order_by("pk")]


@pytest.mark.parametrize("role", [Role.CLERK, Role.WAREHOUSE, Role.AUDITOR])
def test_only_administrators_may_run_actions(
    role: Role, make_user: Any, building: Projection
) -> None:
    client = logged_in(make_user(role, is_staff=True))
    page = client.get(list_url(PROJECTIONS)).text

    for action in ACTIONS:
        assert f'value="{action}"' not in page
        assert act(client, action, confirmed="yes").status_code == 403
    building.refresh_from_db()
    assert building.rebuild_request == ""
    assert queued_tasks() == []


def test_an_administrator_is_offered_all_actions(client: Client) -> None:
    page = client.get(list_url(PROJECTIONS)).text

    assert [action for action in ACTIONS if f'value="{action}"' not in page] == []


def test_a_rebuild_is_queued_until_a_worker_is_free(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projections, "_WAIT_SECONDS", 0)

    response = act(client, "rebuild", "order_view", "customer_view")

    assert queued_tasks() == [("config.workers.tasks.rebuild", ("customer_view", "order_view"))]
    assert messages_of(response) == [
        f"warning: Projection {name}: the rebuild is queued until a worker is free."
        for name in ("customer_view", "order_view")
    ]


def test_a_quick_rebuild_is_live_when_the_page_returns(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_now(task: str, *names: str, **_options: Any) -> None:
        import_string(task)(*names)

    monkeypatch.setattr(projections, "async_task", run_now)
    product = kit.registered_product()
    live.run(NAME)

    response = act(client, "rebuild")

    assert messages_of(response) == [
        "success: Projection inventory_level: rebuilt; generation 2 is live."
    ]
    assert InventoryLevel.live.get().product_id == product.pk


def test_a_rebuild_is_paused_and_resumed(client: Client, building: Projection) -> None:
    assert messages_of(act(client, "pause")) == [
        "success: Projection inventory_level: the rebuild pauses after its current batch."
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
        "error: Projection inventory_level: inventory_level isn't being rebuilt."
    ]


def test_a_rebuild_is_cancelled_after_a_confirmation(client: Client, building: Projection) -> None:
    page = act(client, "cancel")

    assert "The rows of the unfinished rebuild are deleted" in page.text
    assert queued_tasks() == []

    act(client, "cancel", confirmed="yes")

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
    assert "You can&#x27;t roll back to them" in act(client, "discard").text
    assert queued_tasks() == []

    act(client, "discard", confirmed="yes")

    [(task, [name])] = queued_tasks()
    assert task == "config.workers.tasks.discard_former"
    tasks.discard_former(name)
    assert not Projection.objects.filter(pk=former.pk).exists()
    assert InventoryLevel.live.count() == 1
    assert messages_of(act(client, "discard", confirmed="yes"))[-1] == (
        "error: Projection inventory_level: inventory_level has no former generation."
    )
