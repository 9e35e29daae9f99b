"""The navigation of the admin site: sections by what people do, each with links to its lists."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from django.core.cache import cache
from django.http import HttpRequest
from django.urls import reverse

from config.accounts import saved_views
from config.accounts.models import User
from ordering_read import permissions
from ordering_read.admin import banner
from ordering_read.admin.base import user_of
from ordering_read.queries.base import get_query_bus
from ordering_read.queries.work import CountWork, Work, WorkView
from ordering_write import client
from ordering_write.client import commands as c

_CACHE_SECONDS = 5
# The section of lists that no section names.
_LAST = "System"
# The most saved views that the navigation shows; the list of orders shows all.
_MOST_VIEWS = 5


class Entry(NamedTuple):
    """A link to a list of the admin (``target`` is its model's class name) or to a screen.

    The name of a screen's URL begins with "screens:", and its users have ``permission``. The link
    shows the sum of the numbers of the ``work`` that the user may do. Pressing ``key`` follows it.
    """

    label: str
    target: str
    permission: str = ""
    work: Sequence[Work] = ()
    key: str = ""


SECTIONS: dict[str, tuple[Entry, ...]] = {
    "Orders": (
        Entry("Orders", "OrderSummary", work=(Work.TO_CONFIRM,)),
        Entry("New order", "screens:new-order", "ordering_write.create_order", key="n"),
        Entry("Bulk actions", "screens:bulk-actions", permission=permissions.VIEW_ORDERS),
        Entry("History", "TimelineEntry"),
        Entry("By status", "StatusCounter"),
    ),
    "Warehouse": (
        Entry("To pack and dispatch", "QueuedOrder", work=(Work.TO_PACK, Work.TO_DISPATCH)),
        Entry("Packing", "screens:packing", permission="ordering_write.create_shipment"),
        Entry("Dispatch", "screens:dispatch", permission="ordering_write.dispatch_shipment"),
        Entry("Stock", "InventoryLevel", work=(Work.LOW_STOCK,)),
        Entry("Stock movements", "StockMovement"),
        Entry("Stock of the log", "StockItem"),
    ),
    "Customers": (
        Entry("Customers", "CustomerSummary"),
        Entry("What they bought", "CustomerStats"),
    ),
    "Reports": (
        Entry("Sales report", "screens:reports", permission=permissions.VIEW_REPORTS),
        Entry("Sales by day", "SalesByDay"),
        Entry("Sales by product", "SalesByProduct"),
        Entry("Taxes by day", "TaxByDay"),
        Entry("Exports", "screens:exports", permission=permissions.VIEW_ORDERS),
    ),
    "Audit": (
        Entry("Event log", "OutboxEvent"),
        Entry("Commands", "CommandRecord"),
        Entry("Exports of everybody", "Export"),
        Entry("Refused attempts", "CommandRefusal"),
    ),
    "System": (
        Entry("System", "screens:system", permissions.VIEW_PROJECTIONS),
        Entry(
            "Given up by policies",
            "screens:given-up",
            permissions.VIEW_PROJECTIONS,
            work=(Work.GIVEN_UP,),
        ),
        Entry("Parked events", "ParkedEvent", work=(Work.PARKED,)),
        Entry("Projections", "Projection"),
        Entry("Webhooks", "WebhookEndpoint"),
        Entry("Webhook deliveries", "WebhookDelivery"),
        Entry("Users", "User"),
        Entry("Groups", "Group"),
    ),
}


# The command that does a kind of work, or the permission for it.
_ACTS: Mapping[Work, type[c.Command] | str] = {
    Work.TO_CONFIRM: c.ConfirmOrder,
    Work.TO_PACK: c.CreateShipment,
    Work.TO_DISPATCH: c.DispatchShipment,
    Work.ON_HOLD: c.ReleaseHold,
    Work.RETURNS: c.ReceiveReturn,
    Work.CREDIT_OWED: c.RequestRefund,
    Work.ATTENTION: c.ResolveAttention,
    Work.LOW_STOCK: c.ExpectStock,
    Work.GOODS_LATE: c.ReceiveStock,
    Work.PARKED: permissions.MANAGE_PARKED_EVENTS,
    Work.GIVEN_UP: permissions.MANAGE_PARKED_EVENTS,
}


def register(section: str, entry: Entry) -> None:
    """Add a link of a shop's app to ``section``, which is new at the end or one of ours."""
    SECTIONS[section] = (*SECTIONS.get(section, ()), entry)


class Link(NamedTuple):
    """A link of the navigation as a user sees it; ``waiting`` is 0 where nothing is to be done."""

    label: str
    url: str
    is_current: bool
    waiting: int
    key: str


class Section(NamedTuple):
    """A heading of the navigation, and the links below it."""

    label: str
    links: Sequence[Link]


def sections(
    request: HttpRequest, available_apps: Sequence[Mapping[str, Any]]
) -> Iterator[Section]:
    """Yield the sections with the links that the user may follow.

    ``available_apps`` are the lists of the admin that the user may see, as Django's pages know
    them. A list that SECTIONS doesn't name is in _LAST.
    """
    lists = {
        model["object_name"]: model
        for app in available_apps
        for model in app["models"]
        if model["admin_url"]
    }
    named = {entry.target for entries in SECTIONS.values() for entry in entries}
    others = [Entry(lists[name]["name"], name) for name in lists if name not in named]
    work = recent_work() if lists else None
    for label, entries in SECTIONS.items():
        links = [
            link
            for entry in (*entries, *(others if label == _LAST else ()))
            if (link := _link(request, entry, lists, work))
        ]
        if label == "Orders" and "OrderSummary" in lists:
            links = _with_views(request, links)
        if links:
            yield Section(label, links)


def _with_views(request: HttpRequest, links: Sequence[Link]) -> list[Link]:
    """Return ``links``, the list of orders first, followed by the first saved views."""
    orders, *others = links
    views = [
        Link(view.name, url, request.get_full_path() == url, 0, "")
        for view in saved_views.views_of(user_of(request))[:_MOST_VIEWS]
        for url in [f"{orders.url}?{view.query}"]
    ]
    shows_view = any(view.is_current for view in views)
    return [orders._replace(is_current=orders.is_current and not shows_view), *views, *others]


def place_of(object_name: str) -> tuple[str, str]:
    """Return the labels of the section and of the link of a list, by its model's class name.

    The label of the link is "" for a list that SECTIONS doesn't name.
    """
    for section, entries in SECTIONS.items():
        for entry in entries:
            if entry.target == object_name:
                return section, entry.label
    return _LAST, ""


def recent_work() -> WorkView:
    """Return the numbers of what is to be done, as of the last few seconds."""
    given_up = banner.recently_given_up()
    work: WorkView | None = cache.get(banner.WORK_KEY)
    if work is None:
        work = get_query_bus().dispatch(CountWork(given_up=given_up))
        cache.set(banner.WORK_KEY, work, _CACHE_SECONDS)
    return work


def may_do(user: User, kind: Work) -> bool:
    """Return True if ``user`` may do work of this kind."""
    act = _ACTS[kind]
    return user.has_perm(act) if isinstance(act, str) else client.may_dispatch(user, act)


def _link(
    request: HttpRequest,
    entry: Entry,
    lists: Mapping[str, Mapping[str, Any]],
    work: WorkView | None,
) -> Link | None:
    """Return the link of ``entry``; None if the user may not follow it."""
    if entry.target.startswith("screens:"):
        if entry.permission and not request.user.has_perm(entry.permission):
            return None
        url = reverse(entry.target)
        is_current = request.path == url
    elif entry.target in lists:
        url = lists[entry.target]["admin_url"]
        is_current = request.path.startswith(url)
    else:
        return None
    own_work = [kind for kind in entry.work if may_do(user_of(request), kind)]
    waiting = sum(work.kinds[kind].count for kind in own_work) if work else 0
    return Link(entry.label, url, is_current, waiting, entry.key)
