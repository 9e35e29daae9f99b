"""How the OpenAPI document shows the keys that make a repeated request safe."""

from drf_spectacular.utils import OpenApiParameter

REPLAYED = "Idempotency-Replayed"

DOCUMENTED = [
    OpenApiParameter(
        "Idempotency-Key",
        {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!#-~]+$"},
        "header",
        description="Yours for this very command, such as a UUID. Sent again with the same key, it "
        "isn't done again, and its first answer is given. A refusal doesn't use the key up.",
    ),
    OpenApiParameter(
        REPLAYED,
        {"type": "string", "enum": ["true"]},
        "header",
        description="This is the answer of the first time.",
        response=[200, 201],
    ),
]
