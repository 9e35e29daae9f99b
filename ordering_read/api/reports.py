"""Reading what was sold."""

from datetime import timedelta

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

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


class SalesViewSet(QueryViewSet):
    """The base of the reports by day."""

    def keep_closed(self, asked: SalesParameters) -> None:
        """Let the client keep a report whose days are over: nothing is booked on them any more.

        The day is over when every event of it has been applied.
        """
        shown_until = timezone.now() - timedelta(seconds=self.freshness.lag_seconds)
        today = timezone.localdate(shown_until)
        is_whole = self.freshness.state is not None
        if is_whole and asked.last_day is not None and asked.last_day < today:
            self.headers["Cache-Control"] = "private, max-age=3600"


class SalesByDayViewSet(SalesViewSet):
    """GET /reports/sales-by-day."""

    titles = ("Sales by day", "Day")
    needed_permissions = {"list": permissions.VIEW_REPORTS}
    reads = {"list": ("sales_by_day",)}

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
        asked = parse_query(request, SalesParameters)
        page = self.ask(GetSalesByDay(**dict(asked)))
        self.keep_closed(asked)
        return self.answer_page(page)


class SalesByProductViewSet(SalesViewSet):
    """GET /reports/sales-by-product."""

    titles = ("Sales by product", "Product")
    needed_permissions = {"list": permissions.VIEW_REPORTS}
    reads = {"list": ("sales_by_product", "inventory_level")}

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
        asked = parse_query(request, ProductSalesParameters)
        page = self.ask(GetSalesByProduct(**dict(asked)))
        self.keep_closed(asked)
        results = [ProductSalesBody.of(sales, request) for sales in page.items]
        return self.answer_page(page, results)
