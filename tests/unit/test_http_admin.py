"""The base of admin pages: nothing can be edited, and each record gets its own message."""

from typing import Any

import pytest
from django.contrib import messages
from django.contrib.admin import site
from django.contrib.auth.models import Group
from django.test import RequestFactory
from rest_framework.exceptions import NotFound

from config.http.admin import CappedPaginator, ReadOnlyAdmin
from tests.unit.test_http_views import Person


class GroupAdmin(ReadOnlyAdmin):
    """Some model will do."""

    needed_permission = "things.view_thing"

    def message_user(self, request: Any, message: str, level: int = messages.INFO) -> None:  # type: ignore[override]
        request.told.append((level, message))


class Rows:
    """As many rows as a query would find; says how many it was asked to count."""

    def __init__(self, found: int) -> None:
        self.found = found

    def order_by(self) -> "Rows":
        return self

    def __getitem__(self, part: slice) -> "Rows":
        return Rows(min(self.found, part.stop))

    def count(self) -> int:
        assert self.found <= 10_001, "counted the whole table"
        return self.found


@pytest.fixture
def request_of() -> Any:
    def make(*rights: str) -> Any:
        request: Any = RequestFactory().get("/admin/")
        request.user = Person(frozenset(rights))
        request.told = []
        return request

    return make


def test_only_holders_of_the_permission_see_the_page(request_of: Any) -> None:
    page = GroupAdmin(Group, site)
    for rights, is_seen in ((), False), (("things.view_thing",), True):
        request = request_of(*rights)
        assert page.has_module_permission(request) is is_seen
        assert page.has_view_permission(request) is is_seen
        assert page.get_model_perms(request) == {
            "add": False,
            "change": False,
            "delete": False,
            "view": is_seen,
        }


def test_counting_stops_at_the_cap(subtests: pytest.Subtests) -> None:
    for found, count in [(0, 0), (7, 7), (10_001, 10_000), (10**9, 10_000)]:
        with subtests.test(found=found, count=count):
            rows: Any = Rows(found)
            assert CappedPaginator(rows, 50).count == count


def test_each_record_gets_its_own_message(request_of: Any) -> None:
    def act(record: str) -> None:
        if record == "B":
            raise NotFound("Order not found")

    request = request_of()
    records: Any = ["A", "B", "C"]
    GroupAdmin(Group, site).dispatch_each(request, records, act, done="cancelled")
    assert request.told == [
        (messages.SUCCESS, "A: cancelled"),
        (messages.ERROR, "B: Order not found"),
        (messages.SUCCESS, "C: cancelled"),
    ]


def test_an_unexpected_error_in_an_action_is_raised(request_of: Any) -> None:
    def act(_record: str) -> None:
        raise RuntimeError("a bug")

    records: Any = ["A"]
    with pytest.raises(RuntimeError):
        GroupAdmin(Group, site).dispatch_each(request_of(), records, act, done="cancelled")
