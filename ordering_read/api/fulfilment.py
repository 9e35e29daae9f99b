"""The address /fulfilment-queue: the orders that the warehouse has to pack and dispatch."""

from typing import Annotated, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from ordering_read import permissions
from ordering_read.api.bodies import Linked, Links, LinkTo, PageBody, Row
from ordering_read.api.headers import FILE_NAME
from ordering_read.api.list_files import FileViewSet, documented
from ordering_read.api.parameters import parameters_of
from ordering_read.engine.gaps import Streams
from ordering_read.permissions import MASK
from ordering_read.queries.fulfilment import GetFulfilmentQueue, QueuedOrderView


class QueuedOrderLinks(Links):
    """The address of the order."""

    order: Annotated[str, LinkTo("order-detail", "order_id")]


class QueuedOrderBody(Linked, QueuedOrderView, Row):
    """An order with units to be packed or dispatched."""

    list_name: ClassVar = "Queue"

    links: QueuedOrderLinks

    def streams(self) -> Streams:
        return {
            "fulfilment_queue": [f"order-{self.order_id}"],
            # The readiness of an order depends on the stock of its products.
            "inventory_level": [f"stock-{line.product_id}" for line in self.lines],
        }


def _body(queued_order: QueuedOrderView, request: Request) -> QueuedOrderBody:
    masks = {} if permissions.may_view_addresses(request.user) else {"postal_code": MASK}
    return QueuedOrderBody.of(queued_order, request, **masks)


class FulfilmentQueueViewSet(FileViewSet):
    """The orders that the warehouse has to pack and dispatch."""

    titles = ("Fulfilment queue", "Order")
    needed_permissions = {"list": permissions.VIEW_STOCK_LEVELS}
    files = {"list": "fulfilment-queue"}
    reads = {"list": ("fulfilment_queue", "inventory_level")}

    @extend_schema(
        operation_id="fulfilment_queue",
        summary="List the orders to pack and dispatch",
        parameters=[*parameters_of(GetFulfilmentQueue), FILE_NAME],
        responses=documented(PageBody[QueuedOrderBody]),
    )
    def list(self, request: Request) -> Response:
        """Lists the orders with units to be packed or dispatched, by default the oldest first.

        Users who may not see addresses get `***` for postal codes.

        As a file (`format=csv` or `format=jsonl`) the list has the columns of its export in the
        admin and all rows, at most 10,000, without pages. Files need the permission
        `ordering_read.view_stock_levels`.
        """
        return self.answer_list(self.query(GetFulfilmentQueue), _body)
