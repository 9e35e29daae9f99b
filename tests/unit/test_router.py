"""The database router: each model lives on one side."""

from typing import Any

import pytest
from django.apps import apps

from config.accounts.models import User
from config.databases.router import WriteReadRouter
from ordering_read.models import OrderSummary
from ordering_write.models import Order

router = WriteReadRouter()


def test_every_model_lives_on_one_side_and_only_there(subtests: pytest.Subtests) -> None:
    for model in apps.get_models():
        with subtests.test(model._meta.label):
            label = model._meta.app_label
            home, other = ("read", "default") if label == "ordering_read" else ("default", "read")

            assert router.db_for_read(model) == router.db_for_write(model) == home
            assert router.allow_migrate(home, label)
            assert not router.allow_migrate(other, label)


def test_relations_stay_on_one_side():
    an_order: Any = Order()
    a_read_model: Any = OrderSummary()

    assert router.allow_relation(an_order, User())
    assert not router.allow_relation(an_order, a_read_model)
    assert not router.allow_relation(a_read_model, an_order)
