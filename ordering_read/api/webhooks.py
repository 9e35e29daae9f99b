"""Addresses below /webhook-endpoints and /webhook-deliveries.

The unsafe methods change the configuration and the deliveries of webhooks, never the log.
"""

from collections.abc import Callable
from typing import Annotated, Any, cast

from drf_spectacular.utils import extend_schema
from pydantic import BaseModel, ConfigDict, Field
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from config.accounts.models import User
from config.http.input.ids import path_id
from config.http.input.query import Parameters, parse_query
from ordering_read import permissions
from ordering_read.api.base import QueryViewSet
from ordering_read.api.bodies import Linked, Links, LinkTo, PageBody
from ordering_read.api.idempotency import idempotent
from ordering_read.api.parameters import parameters_of
from ordering_read.queries import View
from ordering_read.queries.webhooks import (
    GetWebhookDelivery,
    GetWebhookEndpoint,
    ListWebhookDeliveries,
    ListWebhookEndpoints,
    WebhookDeliveryView,
    WebhookEndpointView,
)
from ordering_write.published import parked, webhooks

_endpoints = webhooks.endpoints
_deliveries = webhooks.delivery_log


class WebhookEndpointLinks(Links):
    """Addresses of the endpoint and of its commands."""

    self: Annotated[str, LinkTo("webhook-endpoint-detail", "id")]
    rotate_secret: Annotated[str, LinkTo("webhook-endpoint-rotate-secret", "id")]
    test: Annotated[str, LinkTo("webhook-endpoint-test", "id")]
    disable: Annotated[str, LinkTo("webhook-endpoint-disable", "id")]
    enable: Annotated[str, LinkTo("webhook-endpoint-enable", "id")]
    replay: Annotated[str, LinkTo("webhook-endpoint-replay", "id")]


class WebhookEndpointBody(Linked, WebhookEndpointView):
    """An address of another system that gets events."""

    links: WebhookEndpointLinks


class WebhookSecretBody(WebhookEndpointBody):
    """An endpoint with its new secret, which no later answer shows.

    The answer to a repeat with the same Idempotency-Key has null: secrets aren't stored for
    repeats. Who has lost the first answer rotates the secret.
    """

    secret: Annotated[str | None, Field(examples=["whsec_Wm9yayB0aGUgZmlyc3Qgc2VjcmV0"])]


class WebhookDeliveryLinks(Links):
    """Addresses of the delivery and of its commands."""

    self: Annotated[str, LinkTo("webhook-delivery-detail", "id")]
    send_again: Annotated[str, LinkTo("webhook-delivery-send-again", "id")]
    skip: Annotated[str, LinkTo("webhook-delivery-skip", "id")]


class WebhookDeliveryBody(Linked, WebhookDeliveryView):
    """One event for one endpoint, and what became of it."""

    links: WebhookDeliveryLinks


class WebhookTestBody(View):
    """The end of a test: the HTTP status of the answer, or null and the error."""

    delivered: bool
    status: int | None
    error: str


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NoFieldsBody(_Body):
    """The request has no fields."""


class RotateSecretBody(_Body):
    """The hours for which messages are signed by the former secret too; 0 ends it at once."""

    former_hours: Annotated[int, Field(ge=0, le=_endpoints.MOST_HOURS, examples=[24])] = 24


class DisableBody(_Body):
    """The reason why nothing is to be sent."""

    reason: Annotated[parked.Reason, Field(examples=["The receiver moves"])]


class ReplayBody(_Body):
    """The position before the first event that is sent again; 0 is the beginning of the log."""

    after: Annotated[int, Field(ge=0, le=10**18, examples=[0])]


class SkipDeliveryBody(_Body):
    """The reason why the receiver can do without the event."""

    reason: Annotated[parked.Reason, Field(examples=["The receiver can't read it"])]


class WebhookEndpointViewSet(QueryViewSet):
    """Addresses of other systems that get the events: register, test, disable, replay them."""

    id_name = "webhook_endpoint_id"
    titles = ("Webhook endpoints", "Webhook endpoint")
    needed_permissions = {
        "list": permissions.VIEW_WEBHOOKS,
        "retrieve": permissions.VIEW_WEBHOOKS,
    }
    needed_permission = permissions.MANAGE_WEBHOOKS

    @extend_schema(
        operation_id="webhook_endpoint_list",
        summary="List webhook endpoints",
        parameters=parameters_of(ListWebhookEndpoints),
        responses=PageBody[WebhookEndpointBody],
    )
    def list(self, request: Request) -> Response:
        """Lists the endpoints by name."""
        return self.answer_list(self.query(ListWebhookEndpoints), WebhookEndpointBody.of)

    @extend_schema(
        operation_id="webhook_endpoint_get",
        summary="Show a webhook endpoint",
        responses=WebhookEndpointBody,
    )
    def retrieve(self, request: Request, pk: str) -> Response:
        """Shows an endpoint, without its secret."""
        endpoint = self.ask(self.query(GetWebhookEndpoint, endpoint_id=pk))
        return self.answer(WebhookEndpointBody.of(endpoint, request))

    @extend_schema(
        operation_id="webhook_endpoint_create",
        summary="Register a webhook endpoint",
        request=_endpoints.NewEndpoint,
        responses={201: WebhookSecretBody, 409: None},
    )
    def create(self, request: Request) -> Response:
        """Registers an endpoint, which gets the events from now on.

        The answer has the secret by which messages are signed. No later answer shows it.
        """
        fields = _body(request, _endpoints.NewEndpoint)

        def register() -> WebhookSecretBody:
            return _with_secret(_endpoints.register(fields, by=_by(request)), request)

        return idempotent(request, register, status=201, unstored=["secret"])

    @extend_schema(
        operation_id="webhook_endpoint_change",
        summary="Change a webhook endpoint",
        request=_endpoints.EndpointChange,
        responses=WebhookEndpointBody,
    )
    def partial_update(self, request: Request, pk: str) -> Response:
        """Changes the address, the description or the event types; fields not given stay."""
        fields = _body(request, _endpoints.EndpointChange)
        return self._changed(
            request, pk, lambda name: _endpoints.change(name, fields, by=_by(request))
        )

    @extend_schema(
        operation_id="webhook_endpoint_remove",
        summary="Remove a webhook endpoint",
        responses={204: None},
    )
    def destroy(self, request: Request, pk: str) -> Response:
        """Removes an endpoint with its deliveries."""
        parse_query(request, Parameters)
        _endpoints.remove(_name(pk), by=_by(request))
        return Response(status=204)

    @extend_schema(
        operation_id="webhook_endpoint_rotate_secret",
        summary="Rotate the secret of a webhook endpoint",
        request=RotateSecretBody,
        responses=WebhookSecretBody,
    )
    @action(detail=True, methods=["post"], url_path="rotate-secret", url_name="rotate-secret")
    def rotate_secret(self, request: Request, pk: str) -> Response:
        """Gives the endpoint a new secret; messages are signed by the former one for a while."""
        body = _body(request, RotateSecretBody)

        def rotate() -> WebhookSecretBody:
            endpoint = _endpoints.rotate_secret(_name(pk), hours=body.former_hours, by=_by(request))
            return _with_secret(endpoint, request)

        return idempotent(request, rotate, unstored=["secret"])

    @extend_schema(
        operation_id="webhook_endpoint_test",
        summary="Test a webhook endpoint",
        request=NoFieldsBody,
        responses=WebhookTestBody,
    )
    @action(detail=True, methods=["post"])
    def test(self, request: Request, pk: str) -> Response:
        """Sends a message of the type WebhookTest, and tells how the endpoint answered."""
        _body(request, NoFieldsBody)

        # A repeat may send another message: a stored response would hold a transaction meanwhile.
        answer = _endpoints.send_test(_name(pk))
        return self.answer(
            WebhookTestBody(delivered=answer.is_success, status=answer.status, error=answer.error)
        )

    @extend_schema(
        operation_id="webhook_endpoint_disable",
        summary="Disable a webhook endpoint",
        request=DisableBody,
        responses=WebhookEndpointBody,
    )
    @action(detail=True, methods=["post"])
    def disable(self, request: Request, pk: str) -> Response:
        """Sends nothing until the endpoint is enabled. Its events wait."""
        body = _body(request, DisableBody)
        return self._changed(
            request, pk, lambda name: _endpoints.disable(name, reason=body.reason, by=_by(request))
        )

    @extend_schema(
        operation_id="webhook_endpoint_enable",
        summary="Enable a webhook endpoint",
        request=NoFieldsBody,
        responses=WebhookEndpointBody,
    )
    @action(detail=True, methods=["post"])
    def enable(self, request: Request, pk: str) -> Response:
        """Sends again, from the event on at which the endpoint was disabled."""
        _body(request, NoFieldsBody)
        return self._changed(request, pk, lambda name: _endpoints.enable(name, by=_by(request)))

    @extend_schema(
        operation_id="webhook_endpoint_replay",
        summary="Send events to a webhook endpoint again",
        request=ReplayBody,
        responses={200: WebhookEndpointBody, 409: None},
    )
    @action(detail=True, methods=["post"])
    def replay(self, request: Request, pk: str) -> Response:
        """Sends all events after a position again, in their order."""
        body = _body(request, ReplayBody)
        return self._changed(
            request, pk, lambda name: _endpoints.replay(name, after=body.after, by=_by(request))
        )

    def command_examples(self, request: Request) -> dict[str, dict[str, Any]]:
        """Return the initial JSON of the forms on browsable pages."""
        return {
            "create": {"name": "bookkeeping", "url": "https://books.example/orders"},
            "partial_update": {"description": "Invoices are made of these events"},
            "rotate_secret": {"former_hours": 24},
            "test": {},
            "disable": {"reason": "The receiver moves"},
            "enable": {},
            "replay": {"after": 0},
        }

    def _changed(
        self, request: Request, pk: str, change: Callable[[str], webhooks.WebhookEndpoint]
    ) -> Response:
        def act() -> WebhookEndpointBody:
            return WebhookEndpointBody.of(WebhookEndpointView.of_row(change(_name(pk))), request)

        return idempotent(request, act)


class WebhookDeliveryViewSet(QueryViewSet):
    """Events on their way to webhook endpoints: list them, send them again, skip them."""

    id_name = "webhook_delivery_id"
    titles = ("Webhook deliveries", "Webhook delivery")
    needed_permissions = {
        "list": permissions.VIEW_WEBHOOKS,
        "retrieve": permissions.VIEW_WEBHOOKS,
    }
    needed_permission = permissions.MANAGE_WEBHOOKS

    @extend_schema(
        operation_id="webhook_delivery_list",
        summary="List webhook deliveries",
        parameters=parameters_of(ListWebhookDeliveries),
        responses=PageBody[WebhookDeliveryBody],
    )
    def list(self, request: Request) -> Response:
        """Lists the deliveries, the newest events first."""
        return self.answer_list(self.query(ListWebhookDeliveries), WebhookDeliveryBody.of)

    @extend_schema(
        operation_id="webhook_delivery_get",
        summary="Show a webhook delivery",
        responses=WebhookDeliveryBody,
    )
    def retrieve(self, request: Request, pk: str) -> Response:
        """Shows a delivery, with the end of its last try."""
        delivery = self.ask(self.query(GetWebhookDelivery, delivery_id=pk))
        return self.answer(WebhookDeliveryBody.of(delivery, request))

    @extend_schema(
        operation_id="webhook_delivery_send_again",
        summary="Send a webhook delivery again",
        request=NoFieldsBody,
        responses={200: WebhookDeliveryBody, 409: None},
    )
    @action(detail=True, methods=["post"], url_path="send-again", url_name="send-again")
    def send_again(self, request: Request, pk: str) -> Response:
        """Tries a delivery at once, also one that was delivered; later events wait for it."""
        _body(request, NoFieldsBody)

        def act() -> WebhookDeliveryBody:
            delivery = _deliveries.send_again(_delivery_id(pk), by=_by(request))
            return WebhookDeliveryBody.of(WebhookDeliveryView.of_row(delivery), request)

        return idempotent(request, act)

    @extend_schema(
        operation_id="webhook_delivery_skip",
        summary="Skip a webhook delivery",
        request=SkipDeliveryBody,
        responses={200: WebhookDeliveryBody, 409: None},
    )
    @action(detail=True, methods=["post"])
    def skip(self, request: Request, pk: str) -> Response:
        """Never sends a delivery, so that later events of its stream follow."""
        body = _body(request, SkipDeliveryBody)

        def act() -> WebhookDeliveryBody:
            delivery = _deliveries.skip(_delivery_id(pk), reason=body.reason, by=_by(request))
            return WebhookDeliveryBody.of(WebhookDeliveryView.of_row(delivery), request)

        return idempotent(request, act)

    def command_examples(self, request: Request) -> dict[str, dict[str, Any]]:
        """Return the initial JSON of the forms on browsable pages."""
        return {"send_again": {}, "skip": {"reason": "The receiver can't read it"}}


def _body(request: Request, body: type[Any]) -> Any:
    """Return the body of ``request``, which takes no query parameters."""
    parse_query(request, Parameters)
    return body.model_validate(request.data)


def _with_secret(endpoint: webhooks.WebhookEndpoint, request: Request) -> WebhookSecretBody:
    view = WebhookEndpointView.of_row(endpoint)
    return WebhookSecretBody.of(view, request, secret=endpoint.secret)


def _name(pk: str) -> str:
    """Return the name of the endpoint with the id in the path. Raises EndpointNotFoundError."""
    return _endpoints.find_by_key(path_id(pk, _endpoints.EndpointNotFoundError)).name


def _delivery_id(pk: str) -> Any:
    return path_id(pk, _deliveries.DeliveryNotFoundError)


def _by(request: Request) -> str:
    # The permission check has refused anonymous users.
    return permissions.actor_label(cast(User, request.user))
