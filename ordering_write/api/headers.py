"""The headers and parameters of all commands, as the OpenAPI document shows them."""

from drf_spectacular.utils import OpenApiParameter

from config.http.input import consistency
from config.http.openapi import idempotency

DOCUMENTED = [
    OpenApiParameter(
        "dry_run",
        enum=["true"],
        description="Do all that the command does, answer what it would do, and undo it.",
    ),
    *idempotency.DOCUMENTED,
    OpenApiParameter(
        "If-Match",
        {"type": "string", "maxLength": 1000, "examples": ['"3.full"', "*"]},
        "header",
        description="The ETag of what the command was decided on: when it has changed since, the "
        "answer is 412 and lists what has happened. Some commands are refused without it (428).",
    ),
    OpenApiParameter(
        consistency.HEADER,
        str,
        "header",
        description="Send it back with a read that is to show what this command did.",
        response=[200, 201],
    ),
    OpenApiParameter(
        "Location",
        {"type": "string", "format": "uri"},
        "header",
        description="Where what was made is found.",
        response=[201],
    ),
]
