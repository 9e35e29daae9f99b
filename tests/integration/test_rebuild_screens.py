"""Rebuilds in the admin: pausing, resuming and cancelling them, rolling back and discarding."""

from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django_q.models import OrmQ

from config.accounts.models import User
from config.accounts.roles import Role
from config.workers import tasks
from ordering_read.engine import fill, generations, live
from ordering_read.engine.rebuild import rebuild
from ordering_read.models import InventoryLevel, Projection
from tests import kit

pytestmark = pytest.mark.usefixtures("db")

NAME = "inventory_level"
PAGE = "/admin/ordering_read/projection/"
ACTIONS = ("pause", "resume", "cancel", "roll_back", "discard")


@pytest.fixture
def admin(make_user: Any) -> Client:
    return browser(make_user(Role.ADMIN, is_staff=True))


def browser(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def act(client: Client, action: str, **fields: str) -> Any:
    keys = Projection.objects.filter(name=NAME, status="live").values_list("pk", flat=True)
    return client.post(PAGE, {"action": action, "_selected_action": list(keys), **fields})


def told(response: Any) -> list[str]:
    return [f"{message.level_tag}: {message}" for message in get_messages(response.wsgi_request)]


def enqueued() -> list[tuple[str, Any]]:
    return [(task.func(), task.args()) for task in OrmQ.objects.order_by("pk")]


@pytest.fixture
def building() -> Projection:
    """A rebuild whose process was killed."""
    kit.registered_product()
    live.run(NAME)
    building = generations.add(NAME, Projection.Status.BUILDING)
    fill.begin(building, until=2)
    return building


@pytest.fixture
def rebuilt() -> Projection:
    """A projection that has a former generation, which is returned."""
    kit.registered_product()
    live.run(NAME)
    former = Projection.objects.get(name=NAME)
    rebuild(NAME)
    return former


@pytest.mark.parametrize("role", [Role.CLERK, Role.WAREHOUSE, Role.AUDITOR])
def test_who_may_not_rebuild_is_offered_nothing_and_refused(
    role: Role, make_user: Any, building: Projection
) -> None:
    client = browser(make_user(role, is_staff=True))
    page = client.get(PAGE).text

    for action in ACTIONS:
        assert f'value="{action}"' not in page
        assert act(client, action, confirmed="yes").status_code == 403
    building.refresh_from_db()
    assert building.rebuild_request == ""


def test_a_rebuild_is_paused_and_resumed(admin: Client, building: Projection) -> None:
    assert told(act(admin, "pause")) == [
        "success: Projection inventory_level: the rebuild pauses after its current batch."
    ]
    building.refresh_from_db()
    assert building.rebuild_request == Projection.RebuildRequest.PAUSE

    act(admin, "resume")

    building.refresh_from_db()
    assert building.rebuild_request == ""
    # Its process may be gone.
    assert enqueued() == [("config.workers.tasks.rebuild", (NAME,))]


def test_what_is_not_being_rebuilt_can_not_be_paused(admin: Client) -> None:
    assert told(act(admin, "pause")) == [
        "error: Projection inventory_level: inventory_level isn't being rebuilt."
    ]


def test_a_rebuild_is_cancelled_once_that_is_confirmed(admin: Client, building: Projection) -> None:
    page = act(admin, "cancel")

    assert "The rows of the unfinished rebuild are deleted" in page.text
    assert enqueued() == []

    act(admin, "cancel", confirmed="yes")

    [(task, [name])] = enqueued()
    assert task == "config.workers.tasks.cancel_rebuild"
    tasks.cancel_rebuild(name)
    assert not Projection.objects.filter(pk=building.pk).exists()


def test_the_former_generation_is_served_again(admin: Client, rebuilt: Projection) -> None:
    act(admin, "roll_back")

    rebuilt.refresh_from_db()
    assert rebuilt.status == Projection.Status.LIVE
    assert InventoryLevel.live.count() == 1


def test_the_former_generation_is_discarded_once_that_is_confirmed(
    admin: Client, rebuilt: Projection
) -> None:
    assert "You can&#x27;t roll back to them" in act(admin, "discard").text
    assert enqueued() == []

    act(admin, "discard", confirmed="yes")

    [(task, [name])] = enqueued()
    assert task == "config.workers.tasks.discard_former"
    tasks.discard_former(name)
    assert not Projection.objects.filter(pk=rebuilt.pk).exists()
    assert InventoryLevel.live.count() == 1
    assert told(act(admin, "discard", confirmed="yes"))[-1] == (
        "error: Projection inventory_level: inventory_level has no former generation."
    )
