"""The permission of every command, on the bus and over HTTP, and the permissions of every role.

The tests go through the registered handlers and the route tables, so a new command is in them.
"""

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


def sample(command_type: type[Command], user: User) -> Command:
    """Return a command of this type that names nothing that exists."""
    ids = {
        name: uuid7() for name, field in command_type.model_fields.items() if field.is_required()
    }
    payload = example_of(body_of(command_type), values={"tag": "gift"})
    envelope = client.envelope(user, channel="python")
    return command_type.model_validate({**ids, **payload, **envelope})


def send(user: User, resource: type[CommandRoutes], route: Route, pk: UUID) -> Any:
    """Send the example of ``route`` about ``pk`` as ``user``; return the response."""
    api_client = APIClient()
    api_client.force_authenticate(user)
    texts = {name: "gift" if name == "tag" else uuid7() for name in route.path_fields}
    path = "" if route.makes_resource else f"/{pk}/{route.path.format_map(texts)}".rstrip("/")
    return api_client.generic(
        route.verb,
        resource.address + path,
        json.dumps(resource.example(route, {})),
        "application/json",
        headers={"If-Match": "*"},
    )


@pytest.fixture
def user_with(make_user: Any) -> Callable[..., User]:
    """Return a function that makes a user of no role with these permissions."""

    def make(*codenames: str, **fields: Any) -> User:
        user: User = make_user(None, username=f"user-{uuid7().hex}", **fields)
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        return user

    return make


def problem_of(response: Any) -> dict[str, Any]:
    """Return the problem without the members that name the request."""
    varying = ("instance", "request_id")
    return {name: value for name, value in response.json().items() if name not in varying}


def codenames_of(command_type: type[Command]) -> list[str]:
    return [permission.codename for permission in handler_of(command_type).permissions]


def all_codenames() -> set[str]:
    return {codename for command_type in all_handlers() for codename in codenames_of(command_type)}


# --- On the bus --------------------------------------------------------------------------------
def test_the_bus_refuses_every_command_without_its_permission(
    db: None, user_with: Callable[..., User], auditor: User
) -> None:
    deviations = []
    for command_type, handler in all_handlers().items():
        command = sample(command_type, auditor)
        needed = handler.needed_permission(command)
        for user in (user_with(*all_codenames() - {needed.codename}), auditor):
            try:
                client.dispatch(command, user=user)
                deviations.append((command_type, user.username, "accepted"))
            except NotPermittedError as refusal:
                if refusal.members() != {"needed_permission": needed.name}:
                    deviations.append((command_type, user.username, refusal.permission))

    assert deviations == []
    assert not OutboxEvent.objects.exists()


# --- Over HTTP ---------------------------------------------------------------------------------
def test_every_command_has_a_route() -> None:
    routed = {command for command, handler in all_handlers().items() if handler.has_route}
    assert {route.command for _resource, route in ROUTES} == routed


def test_every_route_refuses_a_user_without_its_permission(
    db: None, user_with: Callable[..., User], auditor: User
) -> None:
    deviations = []
    for resource, route in ROUTES:
        [needed, *_] = codenames_of(route.command)
        for user in (user_with(*all_codenames() - {needed}), auditor):
            response = send(user, resource, route, uuid7())
            permission = response.json().get("needed_permission")
            if (response.status_code, permission) != (403, f"ordering_write.{needed}"):
                deviations.append((route.slug, user.username, response.status_code, permission))

    assert deviations == []
    assert not OutboxEvent.objects.exists()


def test_every_route_takes_its_example_from_a_user_with_its_permission(
    db: None, user_with: Callable[..., User]
) -> None:
    deviations = []
    for resource, route in ROUTES:
        user = user_with(*codenames_of(route.command), "act_for_every_customer")
        response = send(user, resource, route, uuid7())
        status, body = response.status_code, response.json()
        if route.makes_resource:
            # The customer and the product of the example don't exist.
            errors = {error["code"] for error in body.get("errors", [])}
            is_taken = status == 201 or errors <= {"unknown-customer", "unknown-product"}
        else:
            is_taken = (status, body["code"]) == (404, "not_found")
        if not is_taken:
            deviations.append((route.slug, status, body))

    assert deviations == []


def test_an_order_of_another_customer_looks_like_a_missing_one(
    db: None, customer: Customer, user_with: Callable[..., User]
) -> None:
    order = kit.placed_order(customer, (kit.registered_product(), 1))
    stranger = user_with(*all_codenames(), customer_id=kit.registered_customer().pk)
    events = OutboxEvent.objects.count()
    deviations = []
    for route in OrderCommands.routes:
        if route.path:
            foreign, missing = (
                send(stranger, OrderCommands, route, pk) for pk in (order.pk, uuid7())
            )
            is_404 = foreign.status_code == missing.status_code == 404
            if not is_404 or problem_of(foreign) != problem_of(missing):
                deviations.append((route.slug, problem_of(foreign), problem_of(missing)))

    assert deviations == []
    assert OutboxEvent.objects.count() == events


# --- Roles -------------------------------------------------------------------------------------
def test_the_roles_have_all_permissions_that_exist() -> None:
    codenames = all_codenames() | set(Privilege.LABELS) | {"view_outbox"}
    assert {codename for granted in grants().values() for codename in granted} == codenames


def test_the_group_of_each_role_has_exactly_its_permissions(db: None) -> None:
    permissions = Permission.objects.filter(content_type__app_label="ordering_write")
    for role, codenames in grants().items():
        stored = permissions.filter(group__name=role).values_list("codename", flat=True)
        assert set(stored) == codenames, role


def test_the_most_dangerous_permissions_are_granted_to_few_roles() -> None:
    """The permissions that would cost most in wrong hands, listed here a second time."""
    granted = dict(grants())
    assert granted.pop(Role.ADMIN) >= all_codenames()
    assert granted[Role.CUSTOMER] == {"create_order", "cancel_order", "request_return"}
    assert not granted[Role.AUDITOR] & all_codenames()
    for role, codenames in granted.items():
        assert not codenames & {"erase_customer", "expire_order"}
        assert (role is Role.INTEGRATION) == ("record_payment" in codenames)
        assert (role is Role.INTEGRATION) == (Privilege.ANY_PRICE in codenames)
        assert (role is Role.INTEGRATION) == (Privilege.ANY_REFUND in codenames)
        assert (role is Role.INTEGRATION) == (Privilege.ANY_VOLUME in codenames)
        assert (role is Role.CLERK) == (Privilege.OVERRIDE_PRICE in codenames)


def test_the_envelope_of_a_user_holds_their_privileges(
    db: None, clerk: User, integration: User
) -> None:
    assert client.envelope(clerk, channel="api")["privileges"] == {Privilege.OVERRIDE_PRICE}
    assert client.envelope(integration, channel="api")["privileges"] == {
        Privilege.ANY_PRICE,
        Privilege.ANY_REFUND,
        Privilege.ANY_VOLUME,
    }
