"""The questions that can be asked of the read models, and the bus that answers them."""

from functools import cache
from typing import Any

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
from ordering_read.queries.order_lists import (
    GetOrdersByCustomer,
    GetOrdersByCustomerHandler,
    ListOrders,
    ListOrdersHandler,
)
from ordering_read.queries.orders import (
    AddressView,
    GetOrderById,
    GetOrderByIdHandler,
    GetOrderByNumber,
    GetOrderByNumberHandler,
    OrderDetail,
    OrderLineView,
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
from ordering_read.queries.timeline import GetTimeline, GetTimelineHandler, TimelineEntryView

__all__ = [
    "AddressView",
    "AvailabilityView",
    "CustomerNotFoundError",
    "CustomerStatsView",
    "CustomerView",
    "GetCustomerById",
    "GetCustomerStats",
    "GetInventory",
    "GetOrderById",
    "GetOrderByIdHandler",
    "GetOrderByNumber",
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
    "SalesByDayView",
    "SalesByProductView",
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
    GetCustomerStats: GetCustomerStatsHandler,
    GetSalesByDay: GetSalesByDayHandler,
    GetSalesByProduct: GetSalesByProductHandler,
    GetStatusCounts: GetStatusCountsHandler,
    GetStockLedger: GetStockLedgerHandler,
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
