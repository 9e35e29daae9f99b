"""Who may give which command, for every command that there is: made from the registry, so that a
new command is in it."""

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import Permission
from rest_framework.test import APIClient
from uuid_utils.compat import uuid7

from config.accounts.models import User
from config.accounts.roles import Role
from ordering_write import client
from ordering_write.api import CustomerCommands, OrderCommands, StockCommands
from ordering_write.api.bodies import body_of
from ordering_write.api.examples import example_of
from ordering_write.api.routes import CommandRoutes, Route
from ordering_write.bus.permissions import grants
from ordering_write.domain.commands import Command, Privilege
from ordering_write.domain.errors import NotPermittedError
from ordering_write.handlers import all_handlers, handler_of
from ordering_write.models import Customer, OutboxEvent
from tests import kit

RESOURCES = (OrderCommands, StockCommands, CustomerCommands)
ROUTES = [(resource, route) for resource in RESOURCES for route in resource.routes]
OF_ORDERS = [(of, route) for of, route in ROUTES if of is OrderCommands and route.path]

each_command = pytest.mark.parametrize("kind", all_handlers(), ids=lambda kind: kind.__name__)


def ids(value: Any) -> str:
    return value.slug if isinstance(value, Route) else ""


each_route = pytest.mark.parametrize(("resource", "route"), ROUTES, ids=ids)


def sample(kind: type[Command], user: User, **known: Any) -> Command:
    """A command of this kind, with nothing in it that exists but what is ``known``."""
    needed = {name: uuid7() for name, field in kind.model_fields.items() if field.is_required()}
    payload = example_of(body_of(kind), values={"tag": "gift"})
    return kind.model_validate(
        {**needed, **payload, **known, **client.envelope(user, channel="python")}
    )


def ask(user: User, resource: type[CommandRoutes], route: Route, pk: UUID, **known: Any) -> Any:
    """What ``user`` is answered who sends the example of ``route`` about ``pk``."""
    browser = APIClient()
    browser.force_authenticate(user)
    named = {name: "gift" if name == "tag" else uuid7() for name in route.path_fields}
    address = "" if route.makes_resource else f"/{pk}/{route.path.format_map(named)}".rstrip("/")
    return browser.generic(
        route.verb,
        resource.address + address,
        json.dumps(resource.example(route, known)),
        "application/json",
        headers={"If-Match": "*"},
    )


@pytest.fixture
def only_may(make_user: Any) -> Callable[..., User]:
    """``only_may(permission, …)`` makes a user of no role who has these permissions."""

    def make(*codenames: str, **fields: Any) -> User:
        user: User = make_user(None, username=f"user-{uuid7().hex}", **fields)
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        return user

    return make


def what_it_says(answer: Any) -> dict[str, Any]:
    """A problem without what names the request."""
    varying = ("instance", "request_id")
    return {name: value for name, value in answer.json().items() if name not in varying}


def codenames_of(command_type: type[Command]) -> list[str]:
    return [permission.codename for permission in handler_of(command_type).permissions]


def codenames() -> set[str]:
    return {name for command_type in all_handlers() for name in codenames_of(command_type)}


# --- On the bus --------------------------------------------------------------------------------
@each_command
def test_without_its_permission_a_command_is_refused(db: None, only_may: Any, kind: Any) -> None:
    user = only_may()
    command = sample(kind, user)
    needed = handler_of(kind).needed_permission(command)
    user = only_may(*codenames() - {needed.codename})

    with pytest.raises(NotPermittedError) as refusal:
        client.dispatch(command, user=user)

    assert refusal.value.members() == {"needed_permission": needed.name}
    assert not OutboxEvent.objects.exists()


@each_command
def test_an_auditor_can_give_no_command(db: None, auditor: User, kind: Any) -> None:
    with pytest.raises(NotPermittedError):
        client.dispatch(sample(kind, auditor), user=auditor)


# --- Over HTTP ---------------------------------------------------------------------------------
def test_every_command_has_an_address() -> None:
    assert {route.command for _resource, route in ROUTES} == set(all_handlers())


@each_route
def test_without_its_permission_an_address_is_closed(
    db: None, only_may: Any, auditor: User, resource: type[CommandRoutes], route: Route
) -> None:
    [needed, *_] = codenames_of(route.command)
    others = codenames() - {needed, "act_for_every_customer"}

    for user in (only_may(*others), auditor):
        answer = ask(user, resource, route, uuid7())
        assert answer.status_code == 403
        assert answer.json()["needed_permission"] == f"ordering_write.{needed}"
    assert not OutboxEvent.objects.exists()


@each_route
def test_with_its_permission_the_example_is_understood(
    db: None, only_may: Any, resource: type[CommandRoutes], route: Route
) -> None:
    user = only_may(*codenames_of(route.command), "act_for_every_customer")

    answer = ask(user, resource, route, uuid7())

    if route.makes_resource:
        # The customer and the product of the example are nobody's.
        unknown = [error["code"] for error in answer.json().get("errors", [])]
        assert answer.status_code == 201 or set(unknown) <= {"unknown-customer", "unknown-product"}
    else:
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(("resource", "route"), OF_ORDERS, ids=ids)
def test_an_order_of_somebody_else_looks_like_none(
    db: None,
    customer: Customer,
    only_may: Any,
    resource: type[CommandRoutes],
    route: Route,
) -> None:
    order = kit.placed_order(customer, (kit.registered_product(), 1))
    stranger = only_may(*codenames(), customer_id=kit.registered_customer().pk)
    events = OutboxEvent.objects.count()

    foreign, missing = (ask(stranger, resource, route, pk) for pk in (order.pk, uuid7()))

    assert foreign.status_code == missing.status_code == 404
    assert what_it_says(foreign) == what_it_says(missing)
    assert OutboxEvent.objects.count() == events


# --- Roles -------------------------------------------------------------------------------------
def test_the_roles_are_granted_what_there_is() -> None:
    known = codenames() | set(Privilege.LABELS) | {"view_outbox"}
    assert {name for names in grants().values() for name in names} == known


def test_what_only_some_may_do() -> None:
    """The rights that would cost most in wrong hands, in words of their own."""
    has = dict(grants())
    assert has.pop(Role.ADMIN) >= codenames()
    assert has[Role.CUSTOMER] == {"create_order", "cancel_order", "request_return"}
    assert not has[Role.AUDITOR] & codenames()
    for role in has:
        assert ("erase_customer" in has[role], "expire_order" in has[role]) == (False, False)
        assert (role is Role.INTEGRATION) == ("record_payment" in has[role])
        assert (role is Role.INTEGRATION) == (Privilege.ANY_PRICE in has[role])
        assert (role is Role.INTEGRATION) == (Privilege.ANY_REFUND in has[role])
        assert (role is Role.CLERK) == (Privilege.OVERRIDE_PRICE in has[role])


def test_privileges_are_part_of_the_envelope(db: None, clerk: User, integration: User) -> None:
    assert client.envelope(clerk, channel="api")["privileges"] == {Privilege.OVERRIDE_PRICE}
    assert client.envelope(integration, channel="api")["privileges"] == {
        Privilege.ANY_PRICE,
        Privilege.ANY_REFUND,
    }
