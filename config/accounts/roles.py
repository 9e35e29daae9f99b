"""The roles of the service: Django groups with permissions for commands and queries.

Each app calls ``sync_permissions`` from a post_migrate receiver. So after every migration, the
groups have the permissions that the code declares, and no others of the app.
"""

from collections.abc import Collection, Mapping
from enum import StrEnum
from uuid import UUID

from django.apps import AppConfig
from django.contrib.auth.models import AnonymousUser, Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.db import DEFAULT_DB_ALIAS

from config.accounts.models import User
from config.fields.names import calling_module, check_name, taken

EVERY_CUSTOMER = "accounts.act_for_every_customer"


class Role(StrEnum):
    CUSTOMER = "Customer"
    CLERK = "Clerk"
    WAREHOUSE = "Warehouse"
    AUDITOR = "Auditor"
    ADMIN = "Admin"
    INTEGRATION = "Integration"
    MONITOR = "Monitor"


# The permissions of the roles that shops' apps have registered, by role.
_shop_roles: dict[str, frozenset[str]] = {}


def register(name: str, *, permissions: Collection[str]) -> str:
    """Add a role of a shop's app, which has ``permissions`` of ours; return its name.

    Handlers and queries of the app can name it beside our roles. Raises RegistrationError for a
    name that is taken or breaks the rule of ``check_name``.
    """
    check_name("role", name, module=calling_module())
    if name in all_roles():
        raise taken("role", name, calling_module(), "another app")
    _shop_roles[name] = frozenset(permissions)
    return name


def all_roles() -> list[str]:
    """Return the names of our roles, and of those that shops' apps have registered."""
    return [*Role, *_shop_roles]


def sync_permissions(
    app: AppConfig,
    *,
    owner: str,
    permissions: Mapping[str, str],
    grants: Mapping[str, Collection[str]],
) -> None:
    """Make the permissions of ``app`` and their grants equal to the arguments.

    ``owner`` is the model that the permissions belong to, ``permissions`` maps code names to
    labels, ``grants`` maps a role to the code names that it holds.
    """
    content_type = ContentType.objects.get_for_model(app.get_model(owner))
    present = Permission.objects.filter(content_type=content_type)
    present.exclude(codename__in=permissions).delete()
    labels = dict(present.values_list("codename", "name"))
    Permission.objects.bulk_create(
        [
            Permission(content_type=content_type, codename=codename, name=label)
            for codename, label in permissions.items()
            if labels.get(codename) != label
        ],
        update_conflicts=True,
        unique_fields=["content_type", "codename"],
        update_fields=["name"],
    )
    by_codename = {permission.codename: permission for permission in present}
    for role in all_roles():
        group, _ = Group.objects.get_or_create(name=role)
        own = {name.partition(".")[2] for name in _shop_roles.get(role, ())}
        codenames = by_codename.keys() & {*grants.get(role, ()), *own}
        wanted = {by_codename[codename] for codename in codenames}
        held = set(group.permissions.filter(content_type=content_type))
        group.permissions.remove(*held - wanted)
        group.permissions.add(*wanted - held)


def sync_scope(*, using: str, **_kwargs: object) -> None:
    """Let every role but Customer act for every customer (a post_migrate receiver)."""
    if using != DEFAULT_DB_ALIAS:
        return
    permission, _ = Permission.objects.get_or_create(
        content_type=ContentType.objects.get_for_model(User),
        codename=EVERY_CUSTOMER.partition(".")[2],
        defaults={"name": "Can act for every customer"},
    )
    for role in all_roles():
        group, _ = Group.objects.get_or_create(name=role)
        if role == Role.CUSTOMER:
            group.permissions.remove(permission)
        else:
            group.permissions.add(permission)


def customer_scope(user: User | AnonymousUser) -> UUID | None:
    """Return the only customer that ``user`` may act for; None for a user without a limit.

    A user who is limited but has no customer gets the nil UUID, which no customer has.
    """
    if user.has_perm(EVERY_CUSTOMER):
        return None
    return getattr(user, "customer_id", None) or UUID(int=0)


def is_customer(user: User | AnonymousUser) -> bool:
    """Return True if ``user`` is logged in and may act for one customer only."""
    return user.is_authenticated and customer_scope(user) not in (None, UUID(int=0))
