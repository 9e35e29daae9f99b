"""Addresses below /reports: sales by day and by product, taxes by day."""

from collections.abc import Callable
from datetime import timedelta
from typing import ClassVar, TypeVar

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from ordering_read import permissions
from ordering_read.api.base import QueryViewSet
from ordering_read.api.bodies import Linked, PageBody
from ordering_read.api.headers import FILE_NAME
from ordering_read.api.order_bodies import LineLinks
from ordering_read.api.parameters import parameters_of
from ordering_read.api.spreadsheets import MAX_ROWS, CSVRenderer, documented
from ordering_read.queries import View
from ordering_read.queries.reports import (
    GetSalesByDay,
    GetSalesByProduct,
    GetTaxesByDay,
    SalesByDayView,
    SalesByProductView,
    SalesQuery,
    TaxByDayView,
)

Item = TypeVar("Item", bound=View)


class ProductSalesBody(Linked, SalesByProductView):
    """The sales of a product on a day of the store, in one currency."""

    links: LineLinks


class SalesViewSet(QueryViewSet):
    """The base class of the reports by day."""

    about = "Sales and taxes by day, booked on the day of the event in the store's time zone."
    impersonal_actions = frozenset({"list"})
    renderer_classes = (*QueryViewSet.renderer_classes, CSVRenderer)
    # The type of the report's rows.
    row: ClassVar[type[View]]

    def report(
        self, query: SalesQuery[Item], body: Callable[[Item, Request], View] | None = None
    ) -> Response:
        """Answer with a page of ``query``, whose items ``body`` converts; as CSV with all rows."""
        self.keep_closed(query)
        if self.request.accepted_renderer.format == CSVRenderer.format:
            whole_list = {"page": 1, "page_size": MAX_ROWS, "cursor": None}
            answer = Response(self.ask(query.model_copy(update=whole_list)).items)
            name = self.get_view_name().lower().replace(" ", "-")
            answer["Content-Disposition"] = f'attachment; filename="{name}.csv"'
        else:
            answer = self.answer_list(query, body)
        return answer

    def keep_closed(self, query: SalesQuery[Item]) -> None:
        """Let the client cache a report of closed days, whose sales no event changes.

        A day is closed when the day is over and all its events are applied. A projection that is
        late leaves no gap in a closed day.
        """
        shown_until = timezone.now() - timedelta(seconds=self.freshness.lag_seconds)
        today = timezone.localdate(shown_until)
        is_late_at_most = all(projection.is_only_late for projection in self.incomplete)
        if is_late_at_most and query.last_day is not None and query.last_day < today:
            self.incomplete = ()
            self.set_gap_header(None)
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
        parameters=[*parameters_of(GetSalesByDay), FILE_NAME],
        responses=documented(PageBody[SalesByDayView]),
    )
    def list(self, request: Request) -> Response:
        """Lists the sales of each day of the store, by currency, newest day first.

        A cancellation counts on its own day, so that a past day never changes. As CSV the answer
        has all rows, at most 10,000, without pages.
        """
        return self.report(self.query(GetSalesByDay))


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
        parameters=[*parameters_of(GetSalesByProduct), FILE_NAME],
        responses=documented(PageBody[ProductSalesBody]),
    )
    def list(self, request: Request) -> Response:
        """Lists the sales of each product on each day of the store, newest day first.

        `gross` is the sum of the lines as they were ordered, without adjustments of the order. As
        CSV the answer has all rows, at most 10,000, without pages.
        """
        return self.report(self.query(GetSalesByProduct), ProductSalesBody.of)


class TaxesByDayViewSet(SalesViewSet):
    """GET /reports/taxes-by-day."""

    titles = ("Taxes by day", "Tax")
    row = TaxByDayView
    needed_permissions = {"list": permissions.VIEW_REPORTS}
    reads = {"list": ("tax_by_day",)}

    def get_view_name(self) -> str:
        return "Taxes by day"

    @extend_schema(
        operation_id="taxes_by_day",
        summary="Report taxes by day",
        parameters=[*parameters_of(GetTaxesByDay), FILE_NAME],
        responses=documented(PageBody[TaxByDayView]),
    )
    def list(self, request: Request) -> Response:
        """Lists each tax on each day of the store, by rate, newest day first.

        A cancellation counts on its own day, so that a past day never changes. As CSV the answer
        has all rows, at most 10,000, without pages.
        """
        return self.report(self.query(GetTaxesByDay))
