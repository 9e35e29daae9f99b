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
    """A read-only page of some model."""

    needed_permission = "things.view_thing"

    def message_user(self, request: Any, message: str, level: int = messages.INFO) -> None:  # type: ignore[override]
        request.messages.append((level, message))


class Rows:
    """A queryset of ``length`` rows that refuses to count the whole table."""

    def __init__(self, length: int) -> None:
        self.length = length

    def order_by(self) -> "Rows":
        return self

    def __getitem__(self, part: slice) -> "Rows":
        return Rows(min(self.length, part.stop))

    def count(self) -> int:
        assert self.length <= 10_001, "counted the whole table"
        return self.length


@pytest.fixture
def request_of() -> Any:
    def make(*permissions: str) -> Any:
        request: Any = RequestFactory().get("/admin/")
        request.user = Person(frozenset(permissions))
        request.messages = []
        return request

    return make


def test_only_holders_of_its_permission_see_an_admin_page(request_of: Any) -> None:
    page = GroupAdmin(Group, site)
    for permissions, is_visible in ((), False), (("things.view_thing",), True):
        request = request_of(*permissions)
        assert page.has_module_permission(request) is is_visible
        assert page.has_view_permission(request) is is_visible
        assert page.get_model_perms(request) == {
            "add": False,
            "change": False,
            "delete": False,
            "view": is_visible,
        }


def test_a_list_page_counts_up_to_the_cap(subtests: pytest.Subtests) -> None:
    for length, count in [(0, 0), (7, 7), (10_001, 10_000), (10**9, 10_000)]:
        with subtests.test(length=length, count=count):
            rows: Any = Rows(length)
            assert CappedPaginator(rows, 50).count == count


def test_a_bulk_action_shows_a_message_for_each_record(request_of: Any) -> None:
    def dispatch(record: str) -> None:
        if record == "B":
            raise NotFound("Order not found")

    request = request_of()
    records: Any = ["A", "B", "C"]
    GroupAdmin(Group, site).dispatch_each(request, records, dispatch, done="cancelled")
    assert request.messages == [
        (messages.SUCCESS, "A: cancelled"),
        (messages.ERROR, "B: Order not found"),
        (messages.SUCCESS, "C: cancelled"),
    ]


def test_an_unanticipated_error_in_a_bulk_action_is_raised(request_of: Any) -> None:
    def dispatch(_record: str) -> None:
        raise RuntimeError("a bug")

    records: Any = ["A"]
    with pytest.raises(RuntimeError):
        GroupAdmin(Group, site).dispatch_each(request_of(), records, dispatch, done="cancelled")
