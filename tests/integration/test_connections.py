"""What is asked of a connection before each request, and of a user."""

from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import connection, connections

from config.accounts.models import User


@pytest.fixture
def own() -> Any:
    """A connection that nobody else uses."""
    copy = connections["default"].copy()
    copy.ensure_connection()
    yield copy
    copy.close()


@pytest.mark.django_db
def test_a_connection_that_is_well_is_usable(own: Any) -> None:
    assert own.is_usable()


@pytest.mark.django_db
def test_a_connection_that_the_server_has_ended_is_not_usable(own: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [own.connection.info.backend_pid])

    assert not own.is_usable()


@pytest.mark.django_db
def test_a_connection_that_is_known_to_be_closed_is_not_usable(own: Any) -> None:
    own.connection.close()

    assert not own.is_usable()


@pytest.mark.django_db
def test_a_connection_that_has_something_to_tell_is_usable(own: Any) -> None:
    with own.cursor() as cursor:
        cursor.execute("LISTEN said")
    with own.copy().cursor() as cursor:
        cursor.execute("NOTIFY said")
        cursor.connection.close()

    assert own.is_usable()


@pytest.mark.django_db
def test_a_users_own_permissions_and_those_of_groups_are_one_question(
    django_assert_num_queries: Any,
) -> None:
    user = User.objects.create(username="both")
    user.user_permissions.add(Permission.objects.get(codename="cancel_order"))
    group = Group.objects.create(name="Packers")
    group.permissions.add(Permission.objects.get(codename="ship_order"))
    user.groups.add(group)

    with django_assert_num_queries(1):
        held = user.get_all_permissions()

    assert held == {"ordering_write.cancel_order", "ordering_write.ship_order"}


@pytest.mark.django_db
def test_who_is_not_active_has_no_permission() -> None:
    user = User.objects.create(username="gone", is_active=False)
    user.user_permissions.add(Permission.objects.get(codename="cancel_order"))

    assert user.get_all_permissions() == set()
    assert not user.has_perm("ordering_write.cancel_order")
