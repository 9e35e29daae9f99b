"""Queries for webhook endpoints and for the deliveries to them."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AliasPath, Field

from config.http.input.ids import PathId
from ordering_read.fields import StreamName
from ordering_read.queries.base import Query, QueryHandler, handles
from ordering_read.queries.lists import ListQuery
from ordering_read.queries.views import FORMER_NAME, Page, View
from ordering_write.published import webhooks

# The names of WebhookDelivery.State.
DeliveryState = Literal["waiting", "delivered", "parked", "skipped"]


class WebhookEndpointView(View):
    """An address of another system that gets events.

    Without `event_types` it gets all events. `position` is the last event that has become a
    delivery. `failing_since` is null after a success; `paused_until` is the time of the next try.
    Nothing is sent while `disabled_at` is set: the events wait.
    """

    webhook_endpoint_id: UUID = Field(validation_alias="key")
    id: UUID = Field(validation_alias="key", json_schema_extra=FORMER_NAME)
    name: Annotated[str, Field(examples=["bookkeeping"])]
    url: Annotated[str, Field(examples=["https://books.example/orders"])]
    description: str
    event_types: list[str]
    created_at: datetime
    created_by: str
    position: int
    succeeded_at: datetime | None
    failures: int
    failing_since: datetime | None
    paused_until: datetime | None
    disabled_at: datetime | None
    disabled_reason: str
    former_secret_until: datetime | None


class WebhookDeliveryView(View):
    """One event for one endpoint, and what became of it.

    `state` is `waiting`, `delivered`, `parked` after three days of failed tries, or `skipped`.
    Later events of the `stream` wait for a delivery that waits or is parked. `status` is the HTTP
    status of the last answer, null without one.
    """

    webhook_delivery_id: UUID = Field(validation_alias="id")
    id: UUID = Field(json_schema_extra=FORMER_NAME)
    endpoint: str = Field(validation_alias=AliasPath("endpoint", "name"))
    position: int
    event_id: UUID
    stream: StreamName
    type: Annotated[str, Field(examples=["OrderCreated"])]
    state: DeliveryState
    due_at: datetime
    tries: int
    tried_at: datetime | None
    status: int | None
    error: str
    done_at: datetime | None
    skipped_by: str
    skip_reason: str


class ListWebhookEndpoints(ListQuery[WebhookEndpointView]):
    """List the webhook endpoints by name."""


class GetWebhookEndpoint(Query[WebhookEndpointView]):
    """Get one webhook endpoint."""

    endpoint_id: PathId


class ListWebhookDeliveries(ListQuery[WebhookDeliveryView]):
    """List the deliveries to webhook endpoints, the newest events first."""

    endpoint: str | None = Field(
        None, max_length=40, description="Deliveries to the endpoint with this name only."
    )
    state: DeliveryState | None = Field(None, description="Deliveries in this state only.")


class GetWebhookDelivery(Query[WebhookDeliveryView]):
    """Get one delivery."""

    delivery_id: PathId


@handles(ListWebhookEndpoints)
class ListWebhookEndpointsHandler(QueryHandler[ListWebhookEndpoints, Page[WebhookEndpointView]]):
    """Reads a page, in one statement."""

    def handle(self, query: ListWebhookEndpoints) -> Page[WebhookEndpointView]:
        return query.page_of(webhooks.endpoints.all_endpoints(), WebhookEndpointView.of_row)


@handles(GetWebhookEndpoint)
class GetWebhookEndpointHandler(QueryHandler[GetWebhookEndpoint, WebhookEndpointView]):
    """Reads one row."""

    def handle(self, query: GetWebhookEndpoint) -> WebhookEndpointView:
        return WebhookEndpointView.of_row(webhooks.endpoints.find_by_key(query.endpoint_id))


@handles(ListWebhookDeliveries)
class ListWebhookDeliveriesHandler(QueryHandler[ListWebhookDeliveries, Page[WebhookDeliveryView]]):
    """Reads a page, in one statement."""

    def handle(self, query: ListWebhookDeliveries) -> Page[WebhookDeliveryView]:
        rows = webhooks.delivery_log.deliveries(
            endpoint=query.endpoint or "", state=query.state or ""
        )
        return query.page_of(rows, WebhookDeliveryView.of_row)


@handles(GetWebhookDelivery)
class GetWebhookDeliveryHandler(QueryHandler[GetWebhookDelivery, WebhookDeliveryView]):
    """Reads one row."""

    def handle(self, query: GetWebhookDelivery) -> WebhookDeliveryView:
        return WebhookDeliveryView.of_row(webhooks.delivery_log.find(query.delivery_id))
