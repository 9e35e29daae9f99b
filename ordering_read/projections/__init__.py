"""The projections of this project; a new projection is a file here and a line below."""

from ordering_read.projections.customer_stats import CustomerStatsProjection
from ordering_read.projections.customer_view import CustomerProjection
from ordering_read.projections.fulfilment_queue import FulfilmentQueueProjection
from ordering_read.projections.inventory_level import InventoryProjection
from ordering_read.projections.order_timeline import OrderTimelineProjection
from ordering_read.projections.order_view import OrderProjection
from ordering_read.projections.sales_by_day import SalesByDayProjection
from ordering_read.projections.sales_by_product import SalesByProductProjection
from ordering_read.projections.search import SearchProjection
from ordering_read.projections.status_counter import StatusCounterProjection
from ordering_read.projections.stock_ledger import StockLedgerProjection
from ordering_read.projections.tax_by_day import TaxByDayProjection
from ordering_read.projector import register

register(OrderProjection(), label="orders")
register(InventoryProjection(), label="stock levels")
register(CustomerProjection(), label="customers")
register(OrderTimelineProjection(), label="histories of orders")
register(CustomerStatsProjection(), label="figures of customers")
register(SalesByDayProjection(), label="sales by day")
register(SalesByProductProjection(), label="sales by product")
register(TaxByDayProjection(), label="taxes by day")
register(StatusCounterProjection(), label="numbers by status")
register(StockLedgerProjection(), label="stock movements")
register(FulfilmentQueueProjection(), label="orders to pack and dispatch")
register(SearchProjection(), label="search results")
