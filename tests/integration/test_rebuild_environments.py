"""Rebuilds make the same rows from the same log in every environment."""

import os
import subprocess
import sys
from typing import Any

import pytest
from django.conf import settings
from django.db import connections

from ordering_read.engine import live
from ordering_read.models import Projection
from ordering_read.projector import registered
from ordering_write.published import OrderStatus
from tests import kit
from tests.kit_projections import rows_of
from tests.proof import size

pytestmark = pytest.mark.usefixtures("committed")

# Variables on which hashes, clocks and texts could depend. The first ones alone differ from the
# environment of the tests in each variable.
ENVIRONMENTS = [
    {"PYTHONHASHSEED": "1", "TZ": "Pacific/Kiritimati", "PGTZ": "Asia/Tokyo", "LC_ALL": "C"},
    {"PYTHONHASHSEED": "2", "TZ": "Pacific/Niue", "PGTZ": "America/Lima", "LC_ALL": "C.UTF-8"},
][: size(1, full=2)]
REBUILD = """
import sys
import django
from django.conf import settings
settings.DATABASES["default"]["NAME"], settings.DATABASES["read"]["NAME"] = sys.argv[1:]
django.setup()
from django.core.management import call_command
call_command("rebuild_projections", workers=1, batch=20)
"""


def rebuild(**environment: str) -> None:
    """Rebuild all projections in a process of its own, on the databases of the tests."""
    names = [connections[alias].settings_dict["NAME"] for alias in ("default", "read")]
    subprocess.run(
        [sys.executable, "-c", REBUILD, *names],
        cwd=settings.BASE_DIR,
        env=os.environ | environment,
        check=True,
        capture_output=True,
    )


def live_rows() -> dict[type[Any], list[dict[str, Any]]]:
    """Return the rows of all live generations."""
    return {
        model: rows_of(model, generation)
        for generation in Projection.objects.filter(status=Projection.Status.LIVE)
        for model in registered()[generation.name].models
    }


@pytest.mark.proof
def test_rebuilds_in_different_environments_make_equal_rows() -> None:
    customers = [kit.registered_customer(name) for name in ("Ärmel Ørn", "İnci 山田")]
    products = [kit.registered_product(on_hand=100) for _ in range(3)]
    for number in range(6):
        lines = [(product, 1) for product in products]
        tax = {"kind": "tax", "label": "VAT", "amount": "1.00"}
        order = kit.placed_order(
            customers[number % 2], *lines, tags=["gift", "early"], adjustments=[tax]
        )
        kit.dispatch(kit.move(order, OrderStatus.CONFIRMED))
    for name in registered():
        live.run(name)
    expected = live_rows()
    assert all(expected.values())

    for environment in ENVIRONMENTS:
        rebuild(**environment)

        assert live_rows() == expected
    assert set(
        Projection.objects.filter(status=Projection.Status.LIVE).values_list(
            "generation", flat=True
        )
    ) == {1 + len(ENVIRONMENTS)}
