"""Database connections are checked before a request; permissions of users take one query."""

import re
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import Group, Permission
from django.db import connection, connections

from config.accounts.models import User
from config.databases import sessions
from config.databases.configuration import role_settings
from ordering_read.engine import live


@pytest.fixture
def own() -> Any:
    """A connection of this test alone."""
    copy = connections["default"].copy()
    copy.ensure_connection()
    yield copy
    copy.close()


@pytest.mark.django_db
def test_an_open_connection_is_usable(own: Any) -> None:
    assert own.is_usable()


@pytest.mark.django_db
def test_a_connection_that_the_server_has_ended_is_not_usable(own: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [own.connection.info.backend_pid])

    assert not own.is_usable()


@pytest.mark.django_db
def test_a_closed_connection_is_not_usable(own: Any) -> None:
    own.connection.close()

    assert not own.is_usable()


@pytest.mark.django_db
def test_a_connection_with_an_unread_notification_is_usable(own: Any) -> None:
    with own.cursor() as cursor:
        cursor.execute("LISTEN channel")
    with own.copy().cursor() as cursor:
        cursor.execute("NOTIFY channel")
        cursor.connection.close()

    assert own.is_usable()


@pytest.mark.django_db
def test_a_new_session_has_its_settings(own: Any) -> None:
    with own.cursor() as cursor:
        for name, value in own.settings_dict["SESSION"].items():
            cursor.execute("SELECT current_setting(%s)", [name])
            assert cursor.fetchone() == (value,)


def test_runners_leave_the_plan_mode_of_reads(committed: None) -> None:
    live.run("order_view")

    with connections["read"].cursor() as cursor:
        cursor.execute("SELECT current_setting('plan_cache_mode')")
        assert cursor.fetchone() == ("force_custom_plan",)
        cursor.execute("SELECT current_setting('enable_seqscan')")
        assert cursor.fetchone() == ("on",)


def stored_settings(role: str) -> dict[str, str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT unnest(setconfig) FROM pg_db_role_setting JOIN pg_database"
            " ON pg_database.oid = setdatabase AND datname = current_database()"
            " WHERE setrole = %s::regrole",
            [role],
        )
        return dict(text.split("=", 1) for (text,) in cursor.fetchall())


@pytest.mark.django_db
def test_settings_are_stored_for_a_role_in_one_database(settings: Any) -> None:
    settings.READ_SCHEMA = "ordering_read"
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE tests_pooled")

    sessions.store("default", "tests_pooled")

    assert stored_settings("tests_pooled") == role_settings("ordering_read")


@pytest.mark.django_db
def test_settings_of_a_role_that_we_may_not_change_are_refused() -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE tests_pooled")
        cursor.execute("CREATE ROLE tests_plain")
        cursor.execute("SET LOCAL ROLE tests_plain")

    with pytest.raises(sessions.SettingsNotStoredError, match="for the role tests_pooled"):
        sessions.store("default", "tests_pooled")


@pytest.mark.django_db
def test_permissions_of_a_user_and_of_its_groups_take_one_query(
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
def test_an_inactive_user_has_no_permission() -> None:
    user = User.objects.create(username="gone", is_active=False)
    user.user_permissions.add(Permission.objects.get(codename="cancel_order"))

    assert user.get_all_permissions() == set()
    assert not user.has_perm("ordering_write.cancel_order")


@pytest.mark.django_db
def test_the_parameters_for_postgresql_exist() -> None:
    text = (settings.BASE_DIR / "deploy" / "postgresql" / "orders.conf").read_text()
    names = set(re.findall(r"^#?(\w+) = ", text, re.MULTILINE))
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM pg_settings WHERE name = ANY(%s)", [list(names)])
        assert {name for (name,) in cursor.fetchall()} == names
    assert len(names) > 10
