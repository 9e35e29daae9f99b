"""The way to the first login, which `manage.py run` prints for a service without demo data."""

from collections.abc import Callable

from config.accounts.models import User
from config.accounts.roles import Role
from config.management.first_login import first_login_hint


def test_the_hint_ends_with_the_first_login(db: None, make_user: Callable[..., User]) -> None:
    make_user(Role.CUSTOMER)
    assert "manage.py createsuperuser" in first_login_hint()

    make_user(Role.CLERK, is_staff=True)

    assert first_login_hint() == ""
