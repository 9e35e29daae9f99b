"""Reading what was sold."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from config.http.pagination import page_body
from config.http.query import parse_query
from ordering_read import permissions
from ordering_read.api.base import QueryViewSet
from ordering_read.api.bodies import ProductSalesBody, ProductSalesPageBody, SalesByDayPageBody
from ordering_read.api.parameters import (
    PAGE,
    PRODUCT,
    SALES,
    ProductSalesParameters,
    SalesParameters,
)
from ordering_read.queries import GetSalesByDay, GetSalesByProduct


class SalesByDayViewSet(QueryViewSet):
    """GET /reports/sales-by-day."""

    titles = ("Sales by day", "Day")
    needed_permissions = {"list": permissions.VIEW_REPORTS}

    def get_view_name(self) -> str:
        return "Sales by day"

    @extend_schema(
        operation_id="sales_by_day",
        summary="Report sales by day",
        parameters=[*SALES, *PAGE],
        responses=SalesByDayPageBody,
    )
    def list(self, request: Request) -> Response:
        """What was sold on each day of the store, by currency, newest day first.

        A cancellation is booked on its own day, so that a day that is over never changes.
        """
        page = self.ask(GetSalesByDay(**dict(parse_query(request, SalesParameters))))
        return self.answer(page_body(request, page))


class SalesByProductViewSet(QueryViewSet):
    """GET /reports/sales-by-product."""

    titles = ("Sales by product", "Product")
    needed_permissions = {"list": permissions.VIEW_REPORTS}

    def get_view_name(self) -> str:
        return "Sales by product"

    @extend_schema(
        operation_id="sales_by_product",
        summary="Report sales by product",
        parameters=[*SALES, PRODUCT, *PAGE],
        responses=ProductSalesPageBody,
    )
    def list(self, request: Request) -> Response:
        """What was ordered of each product on each day of the store, newest day first.

        `gross` are the lines as they were ordered, without what was added to the whole order.
        """
        page = self.ask(GetSalesByProduct(**dict(parse_query(request, ProductSalesParameters))))
        results = [ProductSalesBody.of(sales, request) for sales in page.items]
        return self.answer(page_body(request, page, results=results))
