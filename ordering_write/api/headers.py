"""The headers and parameters of all commands, as the OpenAPI document shows them."""

from drf_spectacular.utils import OpenApiParameter

from config.http.input import consistency
from config.http.openapi import idempotency

DOCUMENTED = [
    *idempotency.DOCUMENTED,
    OpenApiParameter(
        "If-Match",
        {"type": "string", "maxLength": 1000, "examples": ['"3.full"', "*"]},
        "header",
        description="The ETag of the version that you saw. If the resource has changed since, the "
        "answer is 412 and lists the events since then. Some commands require it (428).",
    ),
    OpenApiParameter(
        consistency.HEADER,
        str,
        "header",
        description="Send it with a read that must show the effect of this command.",
        response=[200, 201],
    ),
    OpenApiParameter(
        "Location",
        {"type": "string", "format": "uri"},
        "header",
        description="The URL of the new resource.",
        response=[201],
    ),
]
