"""Reading what the warehouse has to do."""

from typing import Self

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from config.http.answers.pagination import PageParameters
from config.http.input.query import parse_query
from ordering_read import permissions
from ordering_read.api.base import QueryViewSet
from ordering_read.api.bodies import MASK, PageBody
from ordering_read.api.parameters import PAGE, documented
from ordering_read.queries import GetFulfilmentQueue, QueuedOrderView, View
from ordering_read.queries.fulfilment import QueueFilters


class QueueParameters(QueueFilters, PageParameters):
    """A page of the queue."""


class QueuedOrderLinks(View):
    """Where the order is."""

    order: str


class QueuedOrderBody(QueuedOrderView):
    """An order of which units are left to be packed or dispatched."""

    links: QueuedOrderLinks

    @classmethod
    def of(cls, queued: QueuedOrderView, request: Request, *, with_addresses: bool) -> Self:
        fields = dict(queued)
        if not with_addresses:
            fields["postal_code"] = MASK
        order = reverse("order-detail", kwargs={"pk": queued.order_id}, request=request)
        return cls(**fields, links=QueuedOrderLinks(order=order))


class QueuePageBody(PageBody[QueuedOrderBody]):
    """A page of the queue."""


class FulfilmentQueueViewSet(QueryViewSet):
    """GET /fulfilment-queue."""

    titles = ("Fulfilment queue", "Order")
    needed_permissions = {"list": permissions.VIEW_STOCK_LEVELS}
    reads = {"list": ("fulfilment_queue", "inventory_level")}

    @extend_schema(
        operation_id="fulfilment_queue",
        summary="List what is to be packed and dispatched",
        parameters=[*documented(QueueFilters), *PAGE],
        responses=QueuePageBody,
    )
    def list(self, request: Request) -> Response:
        """The orders of which units are left to be packed or dispatched, the oldest first.

        Who may not see addresses gets `***` for postal codes.
        """
        page = self.ask(GetFulfilmentQueue(**dict(parse_query(request, QueueParameters))))
        with_addresses = permissions.may_view_addresses(request.user)
        results = [
            QueuedOrderBody.of(queued, request, with_addresses=with_addresses)
            for queued in page.items
        ]
        return self.answer_page(page, results)
