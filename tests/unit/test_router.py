"""Which side the models live on."""

import pytest
from django.apps import apps

from config.databases.router import WriteReadRouter

router = WriteReadRouter()


@pytest.mark.parametrize("model", apps.get_models(), ids=lambda model: model._meta.label)
def test_every_model_lives_on_one_side_and_only_there(model):
    label = model._meta.app_label
    home, other = ("read", "default") if label == "ordering_read" else ("default", "read")

    assert router.db_for_read(model) == router.db_for_write(model) == home
    assert router.allow_migrate(home, label)
    assert not router.allow_migrate(other, label)


def test_relations_stay_on_one_side():
    write, second = apps.get_app_config("ordering_write").get_models(), apps.get_models()
    an_order, a_read_model = next(write), next(apps.get_app_config("ordering_read").get_models())

    assert router.allow_relation(an_order, second[0])
    assert not router.allow_relation(an_order, a_read_model)
    assert not router.allow_relation(a_read_model, an_order)
