"""Who may give which command: one permission per command, granted to roles."""

from collections.abc import Mapping
from typing import Any

from django.apps import AppConfig
from django.db import DEFAULT_DB_ALIAS

from config.accounts.models import User
from config.accounts.roles import Role, customer_scope, keep
from ordering_write.domain import commands
from ordering_write.domain.commands import Command
from ordering_write.domain.errors import NotPermittedError
from ordering_write.domain.values import Channel
from ordering_write.ports import identity_port

_ORDERS = ("create_order", "cancel_order")

# The columns of the role table that this app keeps. The auditor has none: who looks on can't act.
GRANTS: Mapping[Role, tuple[str, ...]] = {
    Role.CUSTOMER: _ORDERS,
    Role.CLERK: (
        *_ORDERS,
        "update_order_status",
        "confirm_order",
        "complete_order",
        "register_customer",
    ),
    Role.WAREHOUSE: (
        "update_order_status",
        "process_order",
        "ship_order",
        "deliver_order",
        "register_stock_item",
        "receive_stock",
    ),
    Role.INTEGRATION: (
        *_ORDERS,
        "update_order_status",
        "confirm_order",
        "process_order",
        "ship_order",
        "deliver_order",
        "complete_order",
        "register_customer",
        "register_stock_item",
        "receive_stock",
    ),
}


def keep_permissions(sender: AppConfig, *, using: str, **_kwargs: object) -> None:
    """Make a permission for every command and grant it (a post_migrate receiver)."""
    if using != DEFAULT_DB_ALIAS:
        return
    permissions = {
        codename: label
        for command_type in _command_types(Command)
        for codename, label in command_type.permissions.items()
    } | {"view_outbox": "Can view the outbox and the command records"}
    keep(
        sender,
        owner="CommandRecord",
        permissions=permissions,
        grants={
            **GRANTS,
            Role.AUDITOR: ("view_outbox",),
            Role.ADMIN: tuple(permissions),
        },
    )


def _command_types(base: type[Command]) -> list[type[Command]]:
    return [kind for kind in vars(commands).values() if _is_command(kind, base)]


def _is_command(kind: Any, base: type[Command]) -> bool:
    return isinstance(kind, type) and issubclass(kind, base) and kind is not base


def envelope(user: User, *, channel: Channel) -> dict[str, Any]:
    """The fields by which a command says that ``user`` gives it, and what it may touch."""
    return {
        "user_id": user.pk,
        "actor": identity_port().actor(user),
        "channel": channel,
        "customer_scope": customer_scope(user),
    }


def authorize(user: User, command: Command) -> None:
    """Raise NotPermittedError unless ``user`` has the permission that ``command`` needs."""
    permission = command.needed_permission()
    if not user.has_perm(permission):
        raise NotPermittedError(permission)
