"""The permissions for queries, one for each family of queries, and the roles that have them."""

from collections.abc import Collection, Mapping

from django.apps import AppConfig
from django.contrib.auth.models import AnonymousUser
from django.db import DEFAULT_DB_ALIAS

from config.accounts.models import User
from config.accounts.roles import Role, sync_permissions
from config.fields.names import calling_module, check_name, taken

VIEW_ORDERS = "ordering_read.view_orders"
VIEW_HISTORY = "ordering_read.view_history"
READ_FEED = "ordering_read.read_feed"
VIEW_CUSTOMERS = "ordering_read.view_customers"
VIEW_INVENTORY = "ordering_read.view_inventory"
VIEW_STOCK_LEVELS = "ordering_read.view_stock_levels"
VIEW_REPORTS = "ordering_read.view_reports"
VIEW_PROJECTIONS = "ordering_read.view_projections"
REBUILD_PROJECTIONS = "ordering_read.rebuild_projections"
VIEW_METRICS = "ordering_read.view_metrics"
MANAGE_PARKED_EVENTS = "ordering_read.manage_parked_events"
VIEW_ADDRESSES = "ordering_read.view_addresses"
VIEW_PII = "ordering_read.view_pii"
EXPORT_LISTS = "ordering_read.export_lists"
VIEW_EXPORTS = "ordering_read.view_exports"
DOWNLOAD_EXPORTS = "ordering_read.download_exports"
VIEW_WEBHOOKS = "ordering_read.view_webhooks"
MANAGE_WEBHOOKS = "ordering_read.manage_webhooks"

SHARE_VIEWS = "ordering_read.share_views"

# The value of a field that the user may not see.
MASK = "***"

LABELS: dict[str, str] = {
    VIEW_ORDERS: "Can view orders",
    VIEW_HISTORY: "Can look back at orders and read their events",
    READ_FEED: "Can read the feed of all events",
    VIEW_CUSTOMERS: "Can view customers",
    VIEW_INVENTORY: "Can view products and what is available",
    VIEW_STOCK_LEVELS: "Can view what is on hand and reserved",
    VIEW_REPORTS: "Can view what is sold",
    VIEW_PROJECTIONS: "Can view projections",
    REBUILD_PROJECTIONS: "Can rebuild projections",
    VIEW_METRICS: "Can view metrics",
    MANAGE_PARKED_EVENTS: "Can retry and skip parked events",
    VIEW_ADDRESSES: "Can view where orders are sent",
    VIEW_PII: "Can view addresses and e-mail addresses",
    SHARE_VIEWS: "Can share saved views with everybody",
    EXPORT_LISTS: "Can export lists",
    VIEW_EXPORTS: "Can see who has exported what",
    DOWNLOAD_EXPORTS: "Can download the exports of others",
    VIEW_WEBHOOKS: "Can view webhook endpoints and deliveries",
    MANAGE_WEBHOOKS: "Can manage webhook endpoints and send deliveries again",
}

# The permissions of each role. Customers have VIEW_PII, because they see only their own data (see
# ``customer_scope``).
GRANTS: dict[str, tuple[str, ...]] = {
    Role.CUSTOMER: (VIEW_ORDERS, VIEW_CUSTOMERS, VIEW_INVENTORY, VIEW_PII),
    Role.CLERK: (
        VIEW_ORDERS,
        VIEW_CUSTOMERS,
        VIEW_INVENTORY,
        VIEW_STOCK_LEVELS,
        VIEW_REPORTS,
        VIEW_PROJECTIONS,
        VIEW_PII,
        EXPORT_LISTS,
    ),
    Role.WAREHOUSE: (
        VIEW_ORDERS,
        VIEW_INVENTORY,
        VIEW_STOCK_LEVELS,
        VIEW_PROJECTIONS,
        VIEW_ADDRESSES,
    ),
    Role.AUDITOR: (
        VIEW_ORDERS,
        VIEW_HISTORY,
        READ_FEED,
        VIEW_CUSTOMERS,
        VIEW_INVENTORY,
        VIEW_STOCK_LEVELS,
        VIEW_REPORTS,
        VIEW_PROJECTIONS,
        EXPORT_LISTS,
        VIEW_EXPORTS,
        VIEW_WEBHOOKS,
    ),
    Role.ADMIN: tuple(LABELS),
    Role.INTEGRATION: (
        VIEW_ORDERS,
        READ_FEED,
        VIEW_CUSTOMERS,
        VIEW_INVENTORY,
        VIEW_STOCK_LEVELS,
        VIEW_PII,
        EXPORT_LISTS,
    ),
    Role.MONITOR: (VIEW_METRICS,),
}


def register(name: str, *, label: str, roles: Collection[str]) -> str:
    """Add the permission ``name`` (``ordering_read.…``) of a shop's app; return its name.

    ``roles`` have it, and Admin. Raises RegistrationError for a name that is taken or breaks the
    rule of ``check_name``.
    """
    check_name("permission", name, module=calling_module())
    if name in LABELS:
        raise taken("permission", name, LABELS[name], label)
    LABELS[name] = label
    for role in {*roles, Role.ADMIN}:
        GRANTS[role] = (*GRANTS.get(role, ()), name)
    return name


def keep_permissions(sender: AppConfig, *, using: str, **_kwargs: object) -> None:
    """Create the permissions and grant them (receives ``post_migrate``)."""
    if using != DEFAULT_DB_ALIAS:
        return
    sync_permissions(
        sender,
        owner="Projection",
        permissions={_codename(name): label for name, label in LABELS.items()},
        grants={role: tuple(map(_codename, names)) for role, names in GRANTS.items()},
    )


def may_view_addresses(user: User | AnonymousUser) -> bool:
    """Return True if ``user`` may see the addresses of orders."""
    return user.has_perm(VIEW_ADDRESSES) or user.has_perm(VIEW_PII)


def masked_pairs(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return ``metadata`` with MASK in place of each value."""
    return dict.fromkeys(metadata, MASK)


def actor_label(user: User) -> str:
    """Return the name of ``user`` for records of who did what, such as a skipped event."""
    return f"{user.get_username()} (user {user.pk})"


def _codename(permission: str) -> str:
    return permission.partition(".")[2]
