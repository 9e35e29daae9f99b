"""Reading orders."""

from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from config.http.answers.pagination import PageParameters
from config.http.errors import PermissionMissingError
from config.http.input.ids import path_id
from config.http.input.query import Parameters, parse_query
from ordering_read import permissions
from ordering_read.api.base import QueryViewSet
from ordering_read.api.bodies import (
    OrderBody,
    OrderDetailBody,
    OrderPageBody,
    TimelineEntryBody,
    TimelinePageBody,
    masked,
)
from ordering_read.api.event_bodies import (
    DIFF_EXAMPLE,
    EVENTS_EXAMPLE,
    EventPageBody,
    OrderDiffBody,
)
from ordering_read.api.parameters import (
    ID,
    NUMBER,
    PAGE,
    VISIBILITY,
    DiffParameters,
    LookBackParameters,
    OrderParameters,
    TimelineParameters,
    documented,
)
from ordering_read.queries import (
    GetOrderById,
    GetOrderByNumber,
    GetOrderDiff,
    GetOrderEvents,
    GetStatusCounts,
    GetTimeline,
    ListOrders,
    OrderDetail,
    OrderNotFoundError,
    OrderView,
    Page,
    StatusCountsView,
)
from ordering_read.queries.order_lists import AllOrderFilters


def order_bodies(request: Request, page: Page[OrderView]) -> list[OrderBody]:
    """The orders of ``page``."""
    return [OrderBody.of(item, request) for item in page.items]


class OrderViewSet(QueryViewSet):
    """The safe methods of /orders."""

    titles = ("Orders", "Order")
    of_one = frozenset({"retrieve", "by_number"})
    of_log = frozenset({"diff", "events"})
    needed_permissions = {
        "list": permissions.VIEW_ORDERS,
        "retrieve": permissions.VIEW_ORDERS,
        "by_number": permissions.VIEW_ORDERS,
        "status_counts": permissions.VIEW_ORDERS,
        "timeline": permissions.VIEW_ORDERS,
        "diff": permissions.VIEW_HISTORY,
        "events": permissions.VIEW_HISTORY,
    }
    reads = {
        "list": ("order_view",),
        "retrieve": ("order_view",),
        "by_number": ("order_view",),
        "status_counts": ("status_counter", "order_view"),
        "timeline": ("order_timeline", "order_view"),
    }

    @extend_schema(
        operation_id="order_list",
        summary="List orders",
        parameters=[*documented(AllOrderFilters), *PAGE],
        responses=OrderPageBody,
    )
    def list(self, request: Request) -> Response:
        """The orders, newest first unless asked for otherwise."""
        asked = parse_query(request, OrderParameters)
        page = self.ask(ListOrders(**dict(asked)))
        return self.answer_page(page, order_bodies(request, page))

    @extend_schema(
        operation_id="order_get",
        summary="Show an order",
        parameters=[ID, *documented(LookBackParameters)],
        responses={200: OrderDetailBody, 500: None},
    )
    def retrieve(self, request: Request, pk: str) -> Response:
        """An order, whole: its lines with their units, its money, parcels, returns and notes.

        Who may not see where it goes gets `***` for all of an address but city and country. With
        `consistency=strong` it is never behind. As it was, by `version` or `as_of`, it is for those
        who may look back (`ordering_read.view_history`); what was erased since reads `[erased]`.
        """
        asked = parse_query(request, LookBackParameters)
        if asked.looks_back and not request.user.has_perm(permissions.VIEW_HISTORY):
            raise PermissionMissingError(permissions.VIEW_HISTORY)
        query = GetOrderById(
            order_id=path_id(pk, OrderNotFoundError),
            strong=asked.consistency is not None,
            version=asked.version,
            as_of=asked.as_of,
        )
        return self._answer_whole(request, self.ask(query))

    def reads_log(self) -> bool:
        asked = self.request.query_params.keys() & LookBackParameters.model_fields.keys()
        return super().reads_log() or (self.action == "retrieve" and bool(asked))

    @extend_schema(
        operation_id="order_get_by_number",
        summary="Show the order of a number",
        parameters=[NUMBER],
        responses=OrderDetailBody,
    )
    @action(detail=False, url_path="by-number/(?P<number>[^/]+)", url_name="by-number")
    def by_number(self, request: Request, number: str) -> Response:
        """The order that people know by this number, whole."""
        parse_query(request, Parameters)
        return self._answer_whole(request, self.ask(GetOrderByNumber(order_number=number)))

    def _answer_whole(self, request: Request, order: OrderDetail) -> Response:
        return self.answer_one(OrderDetailBody.of(self._masked(order), request), order)

    def _masked(self, order: OrderDetail) -> OrderDetail:
        user = self.request.user
        return masked(
            order,
            with_addresses=permissions.may_view_addresses(user),
            with_notes=user.has_perm(permissions.VIEW_PII),
        )

    @extend_schema(
        operation_id="order_status_counts",
        summary="Count orders by their facets",
        responses=StatusCountsView,
    )
    @action(detail=False, url_path="status-counts")
    def status_counts(self, request: Request) -> Response:
        """How many orders there are in each status, and with each value of the other facets."""
        parse_query(request, Parameters)
        return self.answer(self.ask(GetStatusCounts()))

    @extend_schema(
        operation_id="order_timeline",
        summary="Tell what has happened to an order",
        parameters=[ID, VISIBILITY, *PAGE],
        responses=TimelinePageBody,
    )
    @action(detail=True)
    def timeline(self, request: Request, pk: str) -> Response:
        """One sentence for each event of an order, as they happened."""
        asked = parse_query(request, TimelineParameters)
        order_id = path_id(pk, OrderNotFoundError)
        page = self.ask(GetTimeline(order_id=order_id, **dict(asked)))
        with_notes = request.user.has_perm(permissions.VIEW_PII)
        results = [TimelineEntryBody.of(entry, with_notes=with_notes) for entry in page.items]
        return self.answer_page(page, results)

    @extend_schema(
        operation_id="order_diff",
        summary="Compare two versions of an order",
        parameters=[ID, *documented(DiffParameters)],
        responses={200: OrderDiffBody, 500: None},
        examples=[DIFF_EXAMPLE],
    )
    @action(detail=True)
    def diff(self, request: Request, pk: str) -> Response:
        """What changed of an order from one version to another, by part and field.

        Lines, shipments, refunds, returns and notes are told by their ids, payments and adjustments
        by their places. What you may not see is the same before and after.
        """
        asked = parse_query(request, DiffParameters)
        order_id = path_id(pk, OrderNotFoundError)
        states = self.ask(GetOrderDiff(order_id=order_id, **dict(asked)))
        before = states.before and self._masked(states.before)
        return self.answer(OrderDiffBody.of(before, self._masked(states.after)))

    @extend_schema(
        operation_id="order_events",
        summary="List the events of an order",
        parameters=[ID, *PAGE],
        responses=EventPageBody,
        examples=[EVENTS_EXAMPLE],
    )
    @action(detail=True)
    def events(self, request: Request, pk: str) -> Response:
        """The log of an order as it is stored, oldest first."""
        asked = parse_query(request, PageParameters)
        order_id = path_id(pk, OrderNotFoundError)
        return self.answer_page(self.ask(GetOrderEvents(order_id=order_id, **dict(asked))))
