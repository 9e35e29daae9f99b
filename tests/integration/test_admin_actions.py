"""What can be done with projections in the admin: by whom, with what effect, and how it is told."""

from typing import Any

import pytest
from django.utils.module_loading import import_string
from django_q.models import OrmQ

from config.accounts.models import User
from config.accounts.roles import Role
from ordering_read.admin import projections
from ordering_read.models import OrderSummary, Projection
from tests.integration.test_admin_commands import browser, told
from tests.integration.test_admin_pages import PROJECTIONS, Shop, project


@pytest.fixture
def shop(db: None) -> Shop:
    shop = Shop()
    project()
    return shop


@pytest.mark.parametrize("role", [Role.CLERK, Role.WAREHOUSE, Role.AUDITOR, Role.ADMIN])
def test_only_administrators_are_offered_a_rebuild(
    role: Role, shop: Shop, make_user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projections, "_WAIT_SECONDS", 0)
    user = make_user(role, is_staff=True)

    offered = 'value="rebuild"' in browser(user).get(f"/admin/{PROJECTIONS}/").text
    refused = rebuild(user, "order_view").status_code == 403

    assert (offered, refused) == ((role is Role.ADMIN), (role is not Role.ADMIN))
    assert OrmQ.objects.exists() == (role is Role.ADMIN)


def rebuild(user: User, *names: str) -> Any:
    chosen = Projection.objects.filter(name__in=names).values_list("pk", flat=True)
    return browser(user).post(
        f"/admin/{PROJECTIONS}/", {"action": "rebuild", "_selected_action": list(chosen)}
    )


def test_a_rebuild_waits_for_a_worker(
    shop: Shop, admin_user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projections, "_WAIT_SECONDS", 0)

    response = rebuild(admin_user, "order_view", "customer_view")

    assert OrmQ.objects.count() == 1
    assert told(response) == [
        f"warning: Projection {name}: the rebuild is queued until a worker is free."
        for name in ("customer_view", "order_view")
    ]
    task = OrmQ.objects.get().task
    assert task["func"] == "config.workers.tasks.rebuild"
    assert task["args"] == ("customer_view", "order_view")


def test_a_quick_rebuild_is_done_when_the_page_comes_back(
    shop: Shop, admin_user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def at_once(task: str, *names: str, **_options: Any) -> None:
        import_string(task)(*names)

    monkeypatch.setattr(projections, "async_task", at_once)

    response = rebuild(admin_user, "order_view")

    assert told(response) == ["success: Projection order_view: rebuilt; generation 2 is live."]
    assert OrderSummary.live.get().order_number == shop.order.order_number
