"""The pages that the benchmark of the screens fetches, and the browsers that fetch them."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from django.core.cache import cache
from django.db import connections
from django.test import Client
from django.test.utils import CaptureQueriesContext

from config.accounts.models import User
from ordering_read.models import CustomerSummary, InventoryLevel, OrderSummary
from ordering_read.models.fulfilment import QueuedOrder
from ordering_write.management.demo import ADMIN, CUSTOMER
from ordering_write.models import OutboxEvent
from tests.benchmarks.large_shop import LONG, OLD, THREE_LINES, long_order
from tests.benchmarks.meter import Cost, cost

ALIASES = ("default", "read")
_READ, _WRITE = "/admin/ordering_read", "/admin/ordering_write"
_ORDERS, _STOCK_ORDERS = f"{_READ}/ordersummary/", "/admin/shop/shoporder/"
# Every filter of the list of orders, by kind and value.
_ORDER_FILTERS = (
    *(f"work={work}" for work in ("to_confirm", "on_hold", "returns", "credit_owed", "attention")),
    "status=pending",
    "status=pending,confirmed",
    "payment_status=paid",
    "fulfilment_status=fulfilled",
    "return_status=requested",
    "on_hold=false",
    "balance=owed",
    "needs_attention=true",
    "placed_after=2024-01-01",
    "currency=USD",
    "sku=LAMP-1-77",
    "tag=gift",
    "assigned_to=admin",
    "metadata=erp",
    "q=robin",
    "q=desk+lamp",
)
# The search is for: number, name, part of a name, e-mail, SKU, reference, text without a match.
_TERMS = ("2026-1077012", "12", "robin sample 77", "rob", "robin.sample.77@example.com",
    "LAMP-1-77", "lamp", "LONG", "Track", "nothing-like-this")  # fmt: skip
_OTHER_LISTS = (
    (_READ, "customersummary", ("", "?q=robin", "?q=robin.sample.77")),
    (_READ, "inventorylevel", ("", "?q=lamp", "?work=low_stock", "?work=goods_late")),
    (_READ, "queuedorder", ("", "?work=to_pack", "?work=to_dispatch")),
    (_READ, "timelineentry", ("",)),
    (_READ, "stockmovement", ("",)),
    (_READ, "customerstats", ("",)),
    (_READ, "salesbyday", ("",)),
    (_READ, "salesbyproduct", ("",)),
    (_READ, "taxbyday", ("",)),
    (_READ, "statuscounter", ("",)),
    (_READ, "parkedevent", ("",)),
    (_READ, "projection", ("",)),
    (_WRITE, "outboxevent", ("", "?q=OrderCreated")),
    (_WRITE, "commandrecord", ("",)),
    (_WRITE, "commandrefusal", ("",)),
    (_WRITE, "stockitem", ("",)),
    ("/admin/exports", "export", ("",)),
    ("/admin/accounts", "user", ("",)),
)


class Page(NamedTuple):
    """A page by its name; ``peer`` is the page of the stock admin beside it.

    With ``data``, the page is the answer to a form. ``is_public`` pages are those of customers.
    """

    name: str
    path: str
    peer: str = ""
    data: Mapping[str, Any] | None = None
    is_public: bool = False


def all_pages() -> Iterator[Page]:
    """Yield every page with its addresses in the shop of Django's databases."""
    yield Page("Today", "/admin/")
    yield Page("Orders", _ORDERS, peer=_STOCK_ORDERS)
    peers = {
        "status=pending": "status__exact=pending",
        "payment_status=paid": "payment_status__exact=paid",
        "fulfilment_status=fulfilled": "fulfilment_status__exact=fulfilled",
        "currency=USD": "currency__exact=USD",
        "q=robin": "q=robin",
    }
    for query in _ORDER_FILTERS:
        peer = f"{_STOCK_ORDERS}?{peers[query]}" if query in peers else ""
        yield Page(f"Orders, {query}", f"{_ORDERS}?{query}", peer=peer)
    for app, name, queries in _OTHER_LISTS:
        for query in queries:
            yield Page(f"List {name}{query}", f"{app}/{name}/{query}")
    for term in _TERMS:
        yield Page(f"Search {term}", f"/admin/search/?q={quote(term)}")
    yield from _pages_of_orders()
    yield from _pages_of_work()
    yield from _pages_of_customers()


def _pages_of_orders() -> Iterator[Page]:
    for label, reference in (("3 lines", THREE_LINES), ("200 lines", LONG), ("1,900 events", OLD)):
        order_id = long_order(reference)
        event = OutboxEvent.objects.get(stream=f"order-{order_id}", version=1)
        change = f"{order_id}/change/"
        history = f"/admin/orders/{order_id}/history/"
        yield Page(f"Order of {label}", _ORDERS + change, peer=_STOCK_ORDERS + change)
        yield Page(f"History of the order of {label}", history)
        yield Page(f"Causes of the order of {label}", f"/admin/causes/{event.correlation_id}/")
        form = f"{_ORDERS}{order_id}/commands/cancel_order_items/"
        yield Page(f"Form to cancel lines of {label}", form)
    yield Page("History, in the middle", f"{history}?version=950&compared=100")
    customer = CustomerSummary.live.order_by("pk")[100]
    yield Page("Customer", f"{_READ}/customersummary/{customer.customer_id}/change/")
    product = InventoryLevel.live.order_by("pk")[100]
    yield Page("Product", f"{_READ}/inventorylevel/{product.product_id}/change/")
    yield Page("Event", f"{_WRITE}/outboxevent/{event.pk}/change/")


def _pages_of_work() -> Iterator[Page]:
    packable = QueuedOrder.live.filter(open_units__gt=0, hold_reason="", status="confirmed")
    numbers = [row.order_number for row in packable.order_by("placed_at")[:20]]
    orders = "orders=" + ",".join(numbers)
    yield Page("Packing", "/admin/packing/")
    yield Page("Packing, 20 orders", f"/admin/packing/?{orders}")
    yield Page("Pick list, 20 orders", f"/admin/packing/pick-list/?{orders}")
    yield Page("Packing slips, 20 orders", f"/admin/packing/slips/?{orders}")
    yield Page("Dispatch", "/admin/dispatch/")
    yield Page("Phone order", "/admin/orders/new/")
    yield Page("Phone order, customers", "/admin/suggest/customers/?q=robin")
    yield Page("Phone order, products", "/admin/suggest/products/?q=lamp")
    newest = OrderSummary.live.order_by("-created_at")[:100]
    question = {"action": "place_hold", "_selected_action": [str(row.pk) for row in newest]}
    yield Page("Bulk question, 100 orders", _ORDERS, data=question)
    yield Page("Bulk actions", "/admin/bulk/")
    for query in ("", "?part=sellers", "?by=month", "?by=product", "?by=week&table=products"):
        yield Page(f"Reports{query}", f"/admin/reports/{query}")
    yield Page("Saved views", "/admin/views/")
    yield Page("Exports", "/admin/exports/")
    yield Page("System", "/admin/system/")
    yield Page("System, its live part", "/admin/system/?part=system")
    yield Page("Given up", "/admin/system/given-up/")


def _pages_of_customers() -> Iterator[Page]:
    yield Page("My orders", "/my/orders/", is_public=True)
    newest = OrderSummary.live.filter(customer_id=CUSTOMER.customer_id).order_by("-created_at")
    delivered = newest.filter(status__in=("delivered", "completed"))[0].order_number
    for name, path in (("My order", ""), ("Return", "return/"), ("Order again", "again/")):
        yield Page(name, f"/my/orders/{delivered}/{path}", is_public=True)
    pending = newest[0].order_number
    yield Page("Cancel", f"/my/orders/{pending}/cancel/", is_public=True)


class Browsers:
    """The browsers of an administrator and of a customer, both logged in."""

    def __init__(self) -> None:
        self._clients = {}
        for login in (ADMIN, CUSTOMER):
            client = Client(SERVER_NAME="localhost", headers={"accept-encoding": "gzip"})
            client.force_login(User.objects.get(username=login.username))
            self._clients[login] = client

    def cost(self, page: Page) -> Cost:
        return cost(lambda: self._fetch(page), ALIASES)

    def statements(self, page: Page, *, is_cold: bool) -> int:
        """Return the statements of a page; ``is_cold`` of a process that has just started.

        Such a process has read the content types, as the first round has.
        """
        if is_cold:
            cache.clear()
        with (
            CaptureQueriesContext(connections["default"]) as write,
            CaptureQueriesContext(connections["read"]) as read,
        ):
            self._fetch(page)
        return len(write) + len(read)

    def _fetch(self, page: Page) -> bytes:
        client = self._clients[CUSTOMER if page.is_public else ADMIN]
        answer = client.get(page.path) if page.data is None else client.post(page.path, page.data)
        if answer.status_code == 302 and "search" in page.path:
            return answer.content
        assert answer.status_code == 200, (page.path, answer.status_code)
        return answer.content
