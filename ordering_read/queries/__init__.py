"""The questions that can be asked of the read models, and the bus that answers them."""

from functools import cache
from typing import Any

from ordering_read.documents import AddressView, NoteView
from ordering_read.queries.base import Page, Query, QueryBus, QueryHandler, View
from ordering_read.queries.customers import (
    CustomerNotFoundError,
    CustomerStatsView,
    CustomerView,
    GetCustomerById,
    GetCustomerByIdHandler,
    GetCustomerStats,
    GetCustomerStatsHandler,
    ListCustomers,
    ListCustomersHandler,
)
from ordering_read.queries.events import (
    EventView,
    FeedView,
    GetOrderEvents,
    GetOrderEventsHandler,
    ReadFeed,
    ReadFeedHandler,
)
from ordering_read.queries.fulfilment import (
    GetFulfilmentQueue,
    GetFulfilmentQueueHandler,
    QueuedLineView,
    QueuedOrderView,
)
from ordering_read.queries.inventory import (
    AvailabilityView,
    GetInventory,
    GetInventoryHandler,
    GetProduct,
    GetProductHandler,
    GetStockLedger,
    GetStockLedgerHandler,
    ProductNotFoundError,
    ProductView,
    StockMovementView,
)
from ordering_read.queries.order_diff import GetOrderDiff, GetOrderDiffHandler
from ordering_read.queries.order_lines import OrderLineView
from ordering_read.queries.order_lists import (
    GetOrdersByCustomer,
    GetOrdersByCustomerHandler,
    ListOrders,
    ListOrdersHandler,
)
from ordering_read.queries.orders import (
    GetOrderById,
    GetOrderByIdHandler,
    GetOrderByNumber,
    GetOrderByNumberHandler,
    OrderDetail,
    OrderNotFoundError,
    OrderView,
)
from ordering_read.queries.parked_events import (
    GetParkedEvent,
    GetParkedEventHandler,
    ListParkedEvents,
    ListParkedEventsHandler,
    ParkedEventDetail,
    ParkedEventView,
    parked_event_view,
)
from ordering_read.queries.projections import (
    GetProjectionStatus,
    GetProjectionStatusHandler,
    ProjectionView,
)
from ordering_read.queries.reports import (
    GetSalesByDay,
    GetSalesByDayHandler,
    GetSalesByProduct,
    GetSalesByProductHandler,
    GetStatusCounts,
    GetStatusCountsHandler,
    SalesByDayView,
    SalesByProductView,
    StatusCountsView,
)
from ordering_read.queries.search import SearchOrders, SearchOrdersHandler, SearchView
from ordering_read.queries.timeline import GetTimeline, GetTimelineHandler, TimelineEntryView

__all__ = [
    "AddressView",
    "AvailabilityView",
    "CustomerNotFoundError",
    "CustomerStatsView",
    "CustomerView",
    "EventView",
    "FeedView",
    "GetCustomerById",
    "GetCustomerStats",
    "GetFulfilmentQueue",
    "GetInventory",
    "GetOrderById",
    "GetOrderByIdHandler",
    "GetOrderByNumber",
    "GetOrderDiff",
    "GetOrderEvents",
    "GetOrdersByCustomer",
    "GetParkedEvent",
    "GetProduct",
    "GetProjectionStatus",
    "GetSalesByDay",
    "GetSalesByProduct",
    "GetStatusCounts",
    "GetStockLedger",
    "GetTimeline",
    "ListCustomers",
    "ListOrders",
    "ListParkedEvents",
    "NoteView",
    "OrderDetail",
    "OrderLineView",
    "OrderNotFoundError",
    "OrderView",
    "Page",
    "ParkedEventDetail",
    "ParkedEventView",
    "ProductNotFoundError",
    "ProductView",
    "ProjectionView",
    "Query",
    "QueryBus",
    "QueryHandler",
    "QueuedLineView",
    "QueuedOrderView",
    "ReadFeed",
    "SalesByDayView",
    "SalesByProductView",
    "SearchOrders",
    "SearchView",
    "StatusCountsView",
    "StockMovementView",
    "TimelineEntryView",
    "View",
    "get_query_bus",
    "parked_event_view",
]

HANDLERS: dict[type[Query[Any]], type[QueryHandler[Any, Any]]] = {
    GetOrderById: GetOrderByIdHandler,
    GetOrderByNumber: GetOrderByNumberHandler,
    ListOrders: ListOrdersHandler,
    GetOrdersByCustomer: GetOrdersByCustomerHandler,
    GetProduct: GetProductHandler,
    GetInventory: GetInventoryHandler,
    GetCustomerById: GetCustomerByIdHandler,
    ListCustomers: ListCustomersHandler,
    GetProjectionStatus: GetProjectionStatusHandler,
    GetTimeline: GetTimelineHandler,
    GetOrderDiff: GetOrderDiffHandler,
    GetOrderEvents: GetOrderEventsHandler,
    ReadFeed: ReadFeedHandler,
    GetCustomerStats: GetCustomerStatsHandler,
    GetSalesByDay: GetSalesByDayHandler,
    GetSalesByProduct: GetSalesByProductHandler,
    GetStatusCounts: GetStatusCountsHandler,
    GetStockLedger: GetStockLedgerHandler,
    GetFulfilmentQueue: GetFulfilmentQueueHandler,
    SearchOrders: SearchOrdersHandler,
    GetParkedEvent: GetParkedEventHandler,
    ListParkedEvents: ListParkedEventsHandler,
}


@cache
def get_query_bus() -> QueryBus:
    """The bus of this process, with every handler registered."""
    bus = QueryBus()
    for query_type, handler in HANDLERS.items():
        bus.register(query_type, handler())
    return bus
