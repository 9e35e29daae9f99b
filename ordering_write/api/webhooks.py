"""The endpoint for the webhooks of the payment gateway."""

from datetime import UTC, datetime
from uuid import NAMESPACE_OID, uuid5

from django.core.exceptions import RequestDataTooBig
from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from config.http.views import ApiView
from ordering_write.bus import get_command_bus
from ordering_write.domain.values import Actor
from ordering_write.ports import payment_port
from ordering_write.ports.payment import WebhookGateway

# The largest message: gateways send a few kilobytes.
MOST_BYTES = 64_000


class PaymentWebhookView(ApiView):
    """Records the facts that the payment gateway reports.

    The signature of a message takes the place of a login. A message that comes again changes
    nothing, because facts are known by their references.
    """

    public = True
    authentication_classes = ()

    @extend_schema(exclude=True)
    def post(self, request: Request) -> Response:
        gateway = payment_port()
        if not isinstance(gateway, WebhookGateway):
            raise Http404
        if len(request.body) > MOST_BYTES:
            raise RequestDataTooBig
        now = datetime.now(UTC)
        reports = gateway.read_webhook(headers=request.headers, body=request.body, now=now)
        envelope = {
            "user_id": uuid5(NAMESPACE_OID, "gateway:payment"),
            "actor": Actor(type="gateway", id="payment", label="payment gateway"),
            "channel": "webhook",
            "correlation_id": request.correlation_id,  # type: ignore[attr-defined]
        }
        commands = [
            report.command.model_validate({**report.payload, **envelope}) for report in reports
        ]
        recorded = sum(len(get_command_bus().dispatch(command)) for command in commands)
        return Response({"recorded": recorded})
