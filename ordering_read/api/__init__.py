"""The read API: the safe methods of every resource, answered by queries."""

from ordering_read.api.customers import CustomerViewSet
from ordering_read.api.feed import FeedViewSet
from ordering_read.api.fulfilment import FulfilmentQueueViewSet
from ordering_read.api.inventory import InventoryViewSet
from ordering_read.api.orders import OrderViewSet
from ordering_read.api.parked_events import ParkedEventViewSet
from ordering_read.api.projections import ProjectionViewSet
from ordering_read.api.reports import SalesByDayViewSet, SalesByProductViewSet
from ordering_read.api.search import SearchViewSet

__all__ = [
    "CustomerViewSet",
    "FeedViewSet",
    "FulfilmentQueueViewSet",
    "InventoryViewSet",
    "OrderViewSet",
    "ParkedEventViewSet",
    "ProjectionViewSet",
    "SalesByDayViewSet",
    "SalesByProductViewSet",
    "SearchViewSet",
]
