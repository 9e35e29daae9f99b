"""Addresses below /orders: orders, and their timeline, versions and events."""

from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from config.http.errors import PermissionMissingError
from ordering_read import permissions
from ordering_read.api.bodies import PageBody
from ordering_read.api.event_bodies import DIFF_EXAMPLE, EVENTS_EXAMPLE, OrderDiffBody
from ordering_read.api.headers import FILE_NAME
from ordering_read.api.list_files import FileViewSet, documented
from ordering_read.api.order_bodies import (
    OrderBody,
    OrderDetailBody,
    StatusCountsBody,
    TimelineEntryBody,
    masked,
    masked_entry,
    order_body,
)
from ordering_read.api.parameters import NUMBER, parameters_of
from ordering_read.queries.events import EventView, GetOrderEvents
from ordering_read.queries.order_diff import GetOrderDiff
from ordering_read.queries.order_lists import ListOrders
from ordering_read.queries.orders import GetOrderById, GetOrderByNumber, OrderDetail
from ordering_read.queries.reports import GetStatusCounts
from ordering_read.queries.timeline import GetTimeline


class OrderViewSet(FileViewSet):
    """The safe methods of /orders."""

    titles = ("Orders", "Order")
    stream_prefix = "order"
    single_actions = frozenset({"retrieve", "by_number"})
    log_actions = frozenset({"diff", "events"})
    impersonal_actions = frozenset({"status_counts"})
    needed_permissions = {
        "list": permissions.VIEW_ORDERS,
        "retrieve": permissions.VIEW_ORDERS,
        "by_number": permissions.VIEW_ORDERS,
        "status_counts": permissions.VIEW_ORDERS,
        "timeline": permissions.VIEW_ORDERS,
        "diff": permissions.VIEW_HISTORY,
        "events": permissions.VIEW_HISTORY,
    }
    files = {"list": "orders", "timeline": "timeline"}
    reads = {
        "list": ("order_view",),
        # The backorders of an order depend on the stock of its products.
        "retrieve": ("order_view", "inventory_level"),
        "by_number": ("order_view", "inventory_level"),
        "status_counts": ("status_counter", "order_view"),
        "timeline": ("order_timeline", "order_view"),
    }

    @extend_schema(
        operation_id="order_list",
        summary="List orders",
        parameters=[*parameters_of(ListOrders), FILE_NAME],
        responses=documented(PageBody[OrderBody]),
    )
    def list(self, request: Request) -> Response:
        """Lists the orders, by default the newest first.

        As a file (`format=csv` or `format=jsonl`) the list has the columns of its export in the
        admin and all rows, at most 10,000, without pages. Files need the permission
        `ordering_read.export_lists`.
        """
        return self.answer_list(self.query(ListOrders), order_body)

    @extend_schema(
        operation_id="order_get",
        summary="Show an order",
        parameters=[*parameters_of(GetOrderById)],
        responses={200: OrderDetailBody, 500: None},
    )
    def retrieve(self, request: Request, pk: str) -> Response:
        """Shows a whole order: its lines with their units, its money, parcels, returns and notes.

        Users who may not see addresses get `***` for all of an address but city and country. With
        `consistency=strong` the answer is never behind. `version` and `as_of` show a past state and
        need the permission `ordering_read.view_history`; texts erased since then read `[erased]`.
        """
        query = self.query(GetOrderById, order_id=pk)
        if query.looks_back and not request.user.has_perm(permissions.VIEW_HISTORY):
            raise PermissionMissingError(permissions.VIEW_HISTORY)
        return self._answer_order(self.ask(query))

    def reads_log(self) -> bool:
        names = self.request.query_params.keys() & GetOrderById.LOG_PARAMETERS
        return super().reads_log() or (self.action == "retrieve" and bool(names))

    @extend_schema(
        operation_id="order_get_by_number",
        summary="Show the order of a number",
        tags=["orders"],
        parameters=[NUMBER],
        responses=OrderDetailBody,
    )
    def by_number(self, request: Request, number: str) -> Response:
        """Shows the whole order with this order number, in any spelling."""
        return self._answer_order(self.ask(self.query(GetOrderByNumber, order_number=number)))

    def _answer_order(self, order: OrderDetail) -> Response:
        body = OrderDetailBody.of(masked(order, self.request), self.request)
        return self.answer_one(body, order)

    @extend_schema(
        operation_id="order_status_counts",
        summary="Count orders by their facets",
        responses=StatusCountsBody,
    )
    @action(detail=False, url_path="status-counts")
    def status_counts(self, request: Request) -> Response:
        """Counts the orders in each status, and with each value of the other facets."""
        counts = self.ask(self.query(GetStatusCounts))
        return self.answer_whole(StatusCountsBody(**vars(counts)))

    @extend_schema(
        operation_id="order_timeline",
        summary="List the timeline of an order",
        parameters=[*parameters_of(GetTimeline), FILE_NAME],
        responses=documented(PageBody[TimelineEntryBody]),
    )
    @action(detail=True)
    def timeline(self, request: Request, pk: str) -> Response:
        """Lists a sentence for each event of an order, oldest first.

        As a file (`format=csv` or `format=jsonl`) the list has the columns of its export in the
        admin and all rows, at most 10,000, without pages. Files need the permission
        `ordering_read.export_lists`.
        """
        query = self.query(GetTimeline, order_id=pk)
        streams = {"order_timeline": [f"order-{query.order_id}"]}
        return self.answer_list(query, masked_entry, streams=streams)

    @extend_schema(
        operation_id="order_diff",
        summary="Compare two versions of an order",
        parameters=[*parameters_of(GetOrderDiff)],
        responses={200: OrderDiffBody, 500: None},
        examples=[DIFF_EXAMPLE],
    )
    @action(detail=True)
    def diff(self, request: Request, pk: str) -> Response:
        """Lists the fields of an order that changed from one version to another.

        A path names lines, shipments, refunds, returns and notes by their ids, payments,
        adjustments, charges and taxes by their positions. A field that you may not see never
        changes.
        """
        states = self.ask(self.query(GetOrderDiff, order_id=pk))
        before = states.before and masked(states.before, request)
        return self.answer(OrderDiffBody.of(before, masked(states.after, request)))

    @extend_schema(
        operation_id="order_events",
        summary="List the events of an order",
        parameters=[*parameters_of(GetOrderEvents)],
        responses=PageBody[EventView],
        examples=[EVENTS_EXAMPLE],
    )
    @action(detail=True)
    def events(self, request: Request, pk: str) -> Response:
        """Lists the events of an order as the log stores them, oldest first."""
        return self.answer_list(self.query(GetOrderEvents, order_id=pk))
