"""Who may give which command: one permission per command, granted to roles."""

from collections.abc import Mapping
from typing import Any

from django.apps import AppConfig
from django.db import DEFAULT_DB_ALIAS

from config.accounts.models import User
from config.accounts.roles import Role, customer_scope, keep
from ordering_write.domain import commands
from ordering_write.domain.commands import Command, Power
from ordering_write.domain.errors import NotPermittedError
from ordering_write.domain.values import Channel
from ordering_write.ports import identity_port

# The commands of the role table, by the words of its rows.
_ORDER = ("create_order", "cancel_order")
_MOVE = ("update_order_status",)
_ACCEPT = (*_MOVE, "confirm_order", "complete_order")
_HOLD = ("place_hold", "release_hold")
_EDIT = (
    "add_order_item",
    "change_item_quantity",
    "cancel_order_items",
    "change_shipping_address",
)
_WRITE_ON = ("redact_note", "tag_order", "untag_order", "assign_order")
_FULFIL = (
    *_MOVE,
    "process_order",
    "ship_order",
    "deliver_order",
    "create_shipment",
    "dispatch_shipment",
    "update_tracking",
    "void_shipment",
    "confirm_delivery",
    "fail_delivery",
    "receive_return",
    "reject_return",
)
_STOCK = ("register_stock_item", "receive_stock")
_CUSTOMERS = ("register_customer", "change_customer_details")

# The columns of the role table that this app keeps. Admin has everything, see below.
GRANTS: Mapping[Role, tuple[str, ...]] = {
    Role.CUSTOMER: (*_ORDER, "request_return"),
    Role.CLERK: (
        *_ORDER,
        Power.OVERRIDE_PRICE,
        *_ACCEPT,
        *_HOLD,
        *_EDIT,
        "add_note",
        *_WRITE_ON,
        "request_return",
        "request_refund",
        *_CUSTOMERS,
        "block_customer",
        "unblock_customer",
    ),
    Role.WAREHOUSE: (
        *_FULFIL,
        *_HOLD,
        "add_note",
        *_STOCK,
        "adjust_stock",
        "set_stock_policy",
    ),
    Role.INTEGRATION: (
        *_ORDER,
        Power.ANY_PRICE,
        *_ACCEPT,
        *_FULFIL,
        "record_payment",
        "request_refund",
        "record_refund",
        Power.ANY_REFUND,
        *_STOCK,
        "set_list_price",
        *_CUSTOMERS,
    ),
    # Who looks on can't act: it has the permission of no command.
    Role.AUDITOR: ("view_outbox",),
}


def keep_permissions(sender: AppConfig, *, using: str, **_kwargs: object) -> None:
    """Make a permission for every command and grant it (a post_migrate receiver)."""
    if using != DEFAULT_DB_ALIAS:
        return
    permissions = {
        codename: label
        for command_type in _command_types(Command)
        for codename, label in command_type.permissions.items()
    }
    permissions |= Power.LABELS | {"view_outbox": "Can view the outbox and the command records"}
    keep(
        sender,
        owner="CommandRecord",
        permissions=permissions,
        grants={**GRANTS, Role.ADMIN: tuple(permissions)},
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
        "powers": frozenset(p for p in Power.LABELS if user.has_perm(f"ordering_write.{p}")),
    }


def may_give(user: User, command_type: type[Command]) -> bool:
    """Whether ``user`` has a permission by which such a command can be given."""
    return any(user.has_perm(f"ordering_write.{name}") for name in command_type.permissions)


def authorize(user: User, command: Command) -> None:
    """Raise NotPermittedError unless ``user`` has the permission that ``command`` needs."""
    permission = command.needed_permission()
    if not user.has_perm(permission):
        raise NotPermittedError(permission)
