"""Reading what was sold."""

from collections.abc import Callable
from datetime import timedelta
from typing import ClassVar, TypeVar

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from config.http.input.query import parse_query
from ordering_read import permissions
from ordering_read.api.base import QueryViewSet
from ordering_read.api.bodies import ProductSalesBody, ProductSalesPageBody, SalesByDayPageBody
from ordering_read.api.headers import FILE_NAME
from ordering_read.api.parameters import (
    GROUP,
    PAGE,
    PRODUCT,
    SALES,
    ProductSalesParameters,
    SalesByDayParameters,
    SalesParameters,
)
from ordering_read.api.spreadsheets import MAX_ROWS, CSVRenderer, documented
from ordering_read.queries import (
    GetSalesByDay,
    GetSalesByProduct,
    SalesByDayView,
    SalesByProductView,
    View,
)
from ordering_read.queries.reports import SalesQuery

Item = TypeVar("Item", bound=View)


class SalesViewSet(QueryViewSet):
    """The base of the reports by day."""

    renderer_classes = (*QueryViewSet.renderer_classes, CSVRenderer)
    # What a row of it is.
    row: ClassVar[type[View]]

    def report(
        self,
        query: SalesQuery[Item],
        asked: SalesParameters,
        *,
        body: Callable[[Item], View] = lambda row: row,
    ) -> Response:
        """A page of what ``query`` finds, each row shown by ``body``; as CSV, all of it."""
        if self.request.accepted_renderer.format == CSVRenderer.format:
            chosen = {"page": 1, "page_size": MAX_ROWS, "cursor": None}
            answer = Response(self.ask(query.model_copy(update=chosen)).items)
            name = self.get_view_name().lower().replace(" ", "-")
            answer["Content-Disposition"] = f'attachment; filename="{name}.csv"'
        else:
            page = self.ask(query)
            answer = self.answer_page(page, [body(row) for row in page.items])
        self.keep_closed(asked)
        return answer

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
    row = SalesByDayView
    needed_permissions = {"list": permissions.VIEW_REPORTS}
    reads = {"list": ("sales_by_day",)}

    def get_view_name(self) -> str:
        return "Sales by day"

    @extend_schema(
        operation_id="sales_by_day",
        summary="Report sales by day",
        parameters=[*SALES, GROUP, *PAGE, FILE_NAME],
        responses=documented(SalesByDayPageBody),
    )
    def list(self, request: Request) -> Response:
        """What was sold on each day of the store, by currency, newest day first.

        A cancellation is booked on its own day, so that a day that is over never changes. As CSV
        the answer has all rows, 10,000 at most, whatever the page.
        """
        asked = parse_query(request, SalesByDayParameters)
        return self.report(GetSalesByDay(**dict(asked)), asked)


class SalesByProductViewSet(SalesViewSet):
    """GET /reports/sales-by-product."""

    titles = ("Sales by product", "Product")
    row = SalesByProductView
    needed_permissions = {"list": permissions.VIEW_REPORTS}
    reads = {"list": ("sales_by_product", "inventory_level")}

    def get_view_name(self) -> str:
        return "Sales by product"

    @extend_schema(
        operation_id="sales_by_product",
        summary="Report sales by product",
        parameters=[*SALES, PRODUCT, *PAGE, FILE_NAME],
        responses=documented(ProductSalesPageBody),
    )
    def list(self, request: Request) -> Response:
        """What was ordered of each product on each day of the store, newest day first.

        `gross` are the lines as they were ordered, without what was added to the whole order. As
        CSV the answer has all rows, 10,000 at most, whatever the page.
        """
        asked = parse_query(request, ProductSalesParameters)
        return self.report(
            GetSalesByProduct(**dict(asked)),
            asked,
            body=lambda sales: ProductSalesBody.of(sales, request),
        )
