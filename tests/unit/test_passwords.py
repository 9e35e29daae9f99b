"""A password is more than the names that others know."""

from typing import Any

import pytest
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError

from config.accounts.models import User

AUDITOR = User(
    username="auditor", first_name="Robin", last_name="Sample", email="robin@samples.example"
)


def is_refused(password: str, user: User | None = AUDITOR) -> bool:
    try:
        validate_password(password, user)
    except ValidationError:
        return True
    return False


def test_passwords_of_known_words_are_refused(subtests: pytest.Subtests) -> None:
    for password in (
        "auditor-auditor",
        "Auditor.Auditor.2026",
        "auditor12345678",
        "robin-sample-robin",
        "samples-auditor-1",
        "order-service-2026",
        "warehouse-warehouse",
        "demo-demo-demo-demo",
        "aaaabbbbaaaabbbb",
        "121212121212121212",
        "short",
    ):
        with subtests.test(password=password):
            assert is_refused(password)


def test_a_short_part_of_a_name_makes_no_password_longer(subtests: pytest.Subtests) -> None:
    user = User(username="shop-x.9")
    for password in ("shop-x.9-12345678", "SHOPX9_SHOPX9_abc", "shop x9 password"):
        with subtests.test(password=password):
            assert is_refused(password, user)


def test_long_passwords_of_any_composition_are_accepted(subtests: pytest.Subtests) -> None:
    for password in (
        "correct horse battery",
        "warehouse window sunrise",
        "auditor likes quiet mornings",
        "ñandú çédille œuvre",
        "0834 5529 1776 4410",
        "x7" * 40 + "qrstuv",
    ):
        with subtests.test(password=password):
            assert not is_refused(password)
            assert not is_refused(password, None)


def test_the_words_of_the_shop_are_known(settings: Any) -> None:
    assert not is_refused("lampenladen-madrid")
    settings.PASSWORD_WORDS = [*settings.PASSWORD_WORDS, "Lampenladen"]
    assert is_refused("lampenladen-madrid")
