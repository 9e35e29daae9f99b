"""A shop's own apps: the setting that names them, their names, and what they import."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command

from config import shop_apps
from config.accounts import roles
from config.fields.names import RegistrationError, check_name
from config.management import public_surface
from ordering_read import permissions
from ordering_read.checks import check_erasable
from ordering_read.exports import lists
from ordering_read.projections import CustomerProjection
from ordering_read.projector import register as register_projection
from ordering_write.api import OrderCommands
from ordering_write.api.routes import Route
from ordering_write.checks import check_anonymized
from ordering_write.domain import commands as c
from ordering_write.domain.events import DomainEvent, NoteAdded, OrderCreated
from ordering_write.handlers import all_handlers
from ordering_write.handlers.base import CommandHandler, Permission, handles
from ordering_write.handlers.customer import RegisterCustomerHandler
from ordering_write.models import Customer, StockItem
from ordering_write.policies import registry
from ordering_write.policies.orders import ConfirmPaid
from tests import names_of_surface

PAGE = Path(settings.BASE_DIR) / "docs" / "how-to" / "extend-from-your-own-app.md"


# --- The setting -------------------------------------------------------------------------------
@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder in which Python finds packages."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def made_app(folder: Path, name: str, *options: str) -> Path:
    call_command("start_shop_app", name, "--directory", folder, *options, stdout=StringIO())
    return folder / name


def test_the_apps_of_both_sides_are_installed(folder: Path) -> None:
    for name in ("first_app", "second_app"):
        made_app(folder, name, "--bare")
    (folder / "second_app" / "read" / "apps.py").unlink()

    installed = shop_apps.installed(["first_app", "second_app"])

    assert installed == ["first_app.write", "second_app.write", "first_app.read"]


def test_a_bad_setting_is_refused_in_one_sentence(folder: Path, subtests: pytest.Subtests) -> None:
    made_app(folder, "third_app", "--bare")
    for packages, sentence in (
        (["Loyalty"], "Loyalty is no name of a package"),
        (["a" * 19], "is no name of a package: use up to 18 small letters"),
        (["config"], "config is a package of the service itself."),
        (["third_app", "third_app"], "third_app is named twice."),
        (["nowhere_app"], "there is no package nowhere_app beside manage.py or in PYTHONPATH;"),
        (["json"], "the package json has neither json/write/apps.py nor json/read/apps.py"),
    ):
        with subtests.test(packages=packages), pytest.raises(ImproperlyConfigured) as error:
            shop_apps.installed(packages)
        assert str(error.value).startswith("SHOP_APPS: "), packages
        assert sentence in str(error.value), packages
        assert "\n" not in str(error.value), packages


def test_a_process_with_a_bad_setting_ends_with_the_sentence() -> None:
    check = subprocess.run(
        [sys.executable, "manage.py", "check"],
        env=os.environ | {"SHOP_APPS": "nowhere_app"},
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
    )

    [sentence] = check.stderr.splitlines()
    assert check.returncode == 1
    assert sentence.startswith("SHOP_APPS: there is no package nowhere_app")


# --- The package that is made ------------------------------------------------------------------
def test_a_package_is_made_once_and_under_a_name_of_its_own(
    folder: Path, subtests: pytest.Subtests
) -> None:
    made_app(folder, "fourth_app", "--bare")
    for name, sentence in (
        ("fourth_app", "fourth_app is the name of a package that exists."),
        ("json", "json is the name of a package that exists."),
        ("Loyalty", "Loyalty is no name of a package"),
        ("tests", "tests is a package of the service itself."),
    ):
        with subtests.test(name=name), pytest.raises(CommandError, match=re.escape(sentence)):
            made_app(folder, name)
    with pytest.raises(CommandError, match="No such file or directory"):
        made_app(folder / "nowhere", "fifth_app")


def test_a_package_has_an_example_of_each_part(folder: Path) -> None:
    made = {str(path.relative_to(folder)) for path in made_app(folder, "full_app").rglob("*.*")}
    modules = re.findall(r"^\| `([\w/]+\.py)` \|", PAGE.read_text(), re.MULTILINE)
    examples = {f"full_app/{module}" for module in modules if "problems" not in module}

    assert len(examples) == 8
    assert examples < made
    assert "full_app/tests/test_full_app.py" in made
    leftovers = [path for path in (folder / "full_app").rglob("*.*") if "{{" in path.read_text()]
    assert leftovers == []


# --- Names -------------------------------------------------------------------------------------
def test_names_of_a_shop_have_its_name_in_them() -> None:
    for name in ("LoyaltyCardShown", "GrantLoyaltyCard", "loyalty_card", "Loyalty card"):
        check_name("name", name, module="loyalty.write.events")
    check_name("name", "BigShopOpened", module="big_shop.write.events")
    check_name("name", "CardShown", module="ordering_write.domain.events")
    with pytest.raises(RegistrationError, match="the event type CardShown must have loyalty in"):
        check_name("event type", "CardShown", module="loyalty.write.events")


class _Unregistered(CommandHandler[Any]):
    """A handler in a module of a shop's app."""

    __module__ = "loyalty.write.handlers"
    aggregate = Customer
    permission = Permission("grant_points")

    def handle(self, command: Any) -> list[DomainEvent]:
        return []


def _of_loyalty(base: type[Any], **members: Any) -> Any:
    return type("LoyaltyPart", (base,), {"__module__": "loyalty.part", **members})


def test_a_name_is_registered_once(subtests: pytest.Subtests) -> None:
    exported = lists.all_lists()["customers"]
    command = type("GrantLoyaltyPoints", (c.Command,), {"__module__": "loyalty.write.commands"})
    same_command = type("CancelOrder", (c.Command,), {"__module__": "loyalty.write.commands"})
    confirm = OrderCommands.routes[1]
    for noun, act, sentence in (
        (
            "event",
            lambda: type("OrderCreated", (DomainEvent,), {"__module__": "order.write.events"}),
            "The event type OrderCreated is registered twice: ordering_write.domain.events.order",
        ),
        (
            "event of a shop",
            lambda: type("PointsEarned", (DomainEvent,), {"__module__": "loyalty.write.events"}),
            "loyalty.write.events: the event type PointsEarned must have loyalty in its name",
        ),
        ("command", lambda: handles(same_command)(_Unregistered), "the command CancelOrder must"),
        ("permission", lambda: handles(command)(_Unregistered), "the permission grant_points must"),
        (
            "policy",
            lambda: registry.register(ConfirmPaid()),
            "The policy confirm_paid is registered twice",
        ),
        (
            "policy of a shop",
            lambda: registry.register(_of_loyalty(ConfirmPaid)()),
            "loyalty.part: the policy confirm_paid must have loyalty in its name",
        ),
        (
            "projection",
            lambda: register_projection(CustomerProjection(), label="customers"),
            "The projection customer_view is registered twice",
        ),
        (
            "table",
            lambda: register_projection(
                _of_loyalty(CustomerProjection, name="loyalty_customers")(), label="customers"
            ),
            "the table customer_view must have loyalty in its name",
        ),
        ("export", lambda: lists.register(exported), "The export customers is registered twice"),
        (
            "permission of queries",
            lambda: permissions.register(permissions.VIEW_ORDERS, label="-", roles=()),
            "The permission ordering_read.view_orders is registered twice",
        ),
        (
            "role",
            lambda: roles.register("Clerk", permissions=()),
            "role Clerk is registered twice",
        ),
        (
            "route",
            lambda: OrderCommands.add(Route(confirm.verb, confirm.path, c.ConfirmOrder)),
            "The route POST /api/v1/orders/confirm is registered twice",
        ),
    ):
        with subtests.test(noun), pytest.raises(RegistrationError, match=re.escape(sentence)):
            act()
    assert DomainEvent.types["OrderCreated"] is OrderCreated
    assert not {command, same_command} & set(all_handlers())


def test_a_role_of_a_shop_stands_beside_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roles, "_shop_roles", {})

    desk = roles.register("Tests desk", permissions=(permissions.VIEW_ORDERS,))

    assert roles.all_roles() == [*roles.Role, desk]


# --- Personal data -----------------------------------------------------------------------------
def test_personal_fields_need_an_event_that_erases_them(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_anonymized() == check_erasable() == []

    monkeypatch.setattr(RegisterCustomerHandler, "aggregate", StockItem)
    monkeypatch.setattr(CustomerProjection, "events", (NoteAdded,))

    assert "StockItem has personal fields in CustomerRegistered" in check_anonymized()[0].msg
    assert "customer_view reads personal fields of NoteAdded" in check_erasable()[0].msg


# --- The public surface ------------------------------------------------------------------------
def test_the_public_surface_keeps_its_names() -> None:
    kept = json.loads(names_of_surface.FILE.read_text())
    present = names_of_surface.names()
    gone = {
        module: sorted(set(names) - set(present.get(module, ())))
        for module, names in kept.items()
        if set(names) - set(present.get(module, ()))
    }

    assert gone == {}, "shops import these names: see docs/how-to/extend-from-your-own-app.md"
    assert set(present) == set(kept), "python -m tests.names_of_surface stores new modules"


def test_the_page_lists_the_public_surface() -> None:
    section = PAGE.read_text().partition("## What you can rely on")[2].partition("\n\n`loyalty/")[0]
    listed = {
        module for text in re.findall(r"`([a-z_.{},]+)`", section) for module in _spelled_out(text)
    }
    modules = {module for part in public_surface.BY_PART.values() for module in part}
    # The page names these by their package, and no name of the packages of modules.
    ports = {module for module in modules if module.startswith("ordering_write.ports.")}
    packages = {"ordering_read", "ordering_read.screens"}

    assert {name for name in listed if not name.startswith("tests.")} == {
        *(modules - ports - packages),
        "endpoints.py",
    }


def _spelled_out(text: str) -> Iterator[str]:
    before, _, braces = text.partition("{")
    inside, _, after = braces.partition("}")
    yield from (f"{before}{part}{after}" for part in inside.split(","))
