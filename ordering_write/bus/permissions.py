"""The permissions of the commands: a handler declares its permission and the roles that have it."""

from collections.abc import Mapping
from typing import Any

from django.apps import AppConfig
from django.db import DEFAULT_DB_ALIAS

from config.accounts.models import User
from config.accounts.roles import Role, all_roles, customer_scope, sync_permissions
from ordering_write.domain.commands import Command, Privilege
from ordering_write.domain.errors import NotPermittedError
from ordering_write.domain.values import Channel
from ordering_write.handlers import all_handlers, handler_of
from ordering_write.ports import identity_port

# Rights that aren't permissions of a command.
_OTHER_RIGHTS: dict[str, tuple[str, ...]] = {
    Privilege.ANY_PRICE: (Role.INTEGRATION,),
    Privilege.OVERRIDE_PRICE: (Role.CLERK,),
    Privilege.ANY_REFUND: (Role.INTEGRATION,),
    Privilege.ANY_VOLUME: (Role.INTEGRATION,),
    "view_outbox": (Role.AUDITOR,),
}
_LABELS = Privilege.LABELS | {"view_outbox": "Can view the outbox and the command records"}


def grants() -> Mapping[str, set[str]]:
    """Return the codenames that each role has. Admin has every codename."""
    roles = {
        permission.codename: permission.roles
        for handler in all_handlers().values()
        for permission in handler.permissions
    } | _OTHER_RIGHTS
    return {
        role: {name for name, holders in roles.items() if role in (*holders, Role.ADMIN)}
        for role in all_roles()
    }


def keep_permissions(sender: AppConfig, *, using: str, **_kwargs: object) -> None:
    """Make the permissions of all commands and grant them to roles (a post_migrate receiver)."""
    if using != DEFAULT_DB_ALIAS:
        return
    labels = {
        permission.codename: permission.label
        for handler in all_handlers().values()
        for permission in handler.permissions
    }
    sync_permissions(sender, owner="CommandRecord", permissions=labels | _LABELS, grants=grants())


def envelope(user: User, *, channel: Channel) -> dict[str, Any]:
    """Return the envelope of a command by ``user``: actor, channel, customer scope, privileges."""
    return {
        "user_id": user.pk,
        "actor": identity_port().actor(user),
        "channel": channel,
        "customer_scope": customer_scope(user),
        "privileges": frozenset(
            privilege
            for privilege in Privilege.LABELS
            if user.has_perm(f"ordering_write.{privilege}")
        ),
    }


def may_dispatch(user: User, command_type: type[Command]) -> bool:
    """Return True if ``user`` may give some command of this type."""
    permissions = handler_of(command_type).permissions
    return any(user.has_perm(permission.name) for permission in permissions)


def authorize(user: User, command: Command) -> None:
    """Raise NotPermittedError unless ``user`` has the permission that ``command`` needs."""
    needed = handler_of(type(command)).needed_permission(command).name
    if not user.has_perm(needed):
        raise NotPermittedError(needed)
