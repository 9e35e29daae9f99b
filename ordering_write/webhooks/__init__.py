"""Webhooks: other systems get the events of the log as signed messages over HTTP.

Each endpoint follows the log as a subscriber. An event becomes a delivery in the transaction that
moves the endpoint's checkpoint, and the delivery is sent at least once, in the order of its stream.
"""

from ordering_write.webhooks import delivery_log, endpoints
from ordering_write.webhooks.models import WebhookDelivery, WebhookEndpoint
from ordering_write.webhooks.sending import Answer
from ordering_write.webhooks.subscription import SUBSCRIPTION

__all__ = [
    "SUBSCRIPTION",
    "Answer",
    "WebhookDelivery",
    "WebhookEndpoint",
    "delivery_log",
    "endpoints",
]
