"""The headers of a repeated command, as the OpenAPI document shows them."""

from drf_spectacular.utils import OpenApiParameter

from config.http.input.idempotency import HEADER, REPLAYED

DOCUMENTED = [
    OpenApiParameter(
        HEADER,
        {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!#-~]+$"},
        "header",
        description="A key of your own for this command, such as a UUID. A repeat with this key "
        "isn't carried out again: it gets the first answer. A refusal doesn't use up the key.",
    ),
    OpenApiParameter(
        REPLAYED,
        {"type": "string", "enum": ["true"]},
        "header",
        description="This is the stored answer to the first request with this key.",
        response=[200, 201],
    ),
]
