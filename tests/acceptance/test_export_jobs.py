"""Exports that workers write, in processes that have loaded no page of the admin."""

from typing import Any

import pytest
from django_q.conf import Conf

from config.accounts.models import User
from config.exports.models import Export
from ordering_read.exports import jobs
from ordering_read.exports.lists import all_lists
from ordering_read.exports.rows import selection_of_screen
from tests.acceptance.service import Service, wait_until
from tests.acceptance.shop import Shop


def test_a_worker_writes_the_file_of_a_list_of_the_admin(
    service: Service, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.order()
    # Workers accept the tasks that are signed with their key.
    monkeypatch.setattr(Conf, "SECRET_KEY", service.environ["SECRET_KEY"])
    orders: Any = {"format": "csv", "query": ""}

    with service.connected():
        user = User.objects.create_superuser("exporter", email="exporter@example.org")
        selection = selection_of_screen(all_lists()["orders"], user=user, **orders)
        export = jobs.start(selection, user=user)
        unfinished = Export.objects.filter(pk=export.pk, state__in=("waiting", "running"))
        wait_until(lambda: not unfinished.exists())
        export.refresh_from_db()

    assert (export.state, export.error) == (Export.State.READY, "")
    assert export.rows_done
