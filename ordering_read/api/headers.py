"""The headers of the read API: how they are written, and how the OpenAPI document shows them."""

from drf_spectacular.utils import OpenApiParameter

from config.http.input import consistency, preferences
from ordering_read.engine.freshness import Freshness

POSITION, LAG, BEHIND = "Projection-Position", "Projection-Lag", "Projection-Behind"


def freshness(known: Freshness) -> dict[str, str]:
    """The headers that say how far behind the log an answer is."""
    lag = known.lag_seconds
    # What is behind by less than a millisecond is behind.
    seconds = max(round(lag, 3), 0.001) if lag else 0.0
    return {POSITION: str(known.position), LAG: str(seconds)}


def _sent(name: str, schema: object, description: str) -> OpenApiParameter:
    return OpenApiParameter(name, schema, "header", description=description)  # type: ignore[arg-type]


def _answered(
    name: str, schema: object, description: str, *, on: tuple[int, ...]
) -> OpenApiParameter:
    return OpenApiParameter(
        name,
        schema,  # type: ignore[arg-type]
        "header",
        description=description,
        response=list(on),
    )


_FRESHNESS = [
    _sent(
        consistency.HEADER,
        str,
        "What a command answered in the header of this name: the read is to show its effect.",
    ),
    _sent(
        preferences.HEADER,
        {"type": "string", "examples": ["wait=2"]},
        "`wait=N`: with a Consistency-Token, wait so many seconds for it, "
        f"{preferences.MAX_WAIT_SECONDS} at most; then the answer shows it or is a 503.",
    ),
    _answered(
        POSITION,
        {"type": "integer", "minimum": 0},
        "The position in the log up to which the answer shows everything: that of the slowest "
        "projection it is made of.",
        on=(200, 304, 404, 503),
    ),
    _answered(
        LAG,
        {"type": "number", "minimum": 0},
        "How long ago, in seconds, the first event was recorded that the answer doesn't show, or "
        "since when a projection of it can't go on; 0.0 when it shows all.",
        on=(200, 304, 404, 503),
    ),
    _answered(
        BEHIND,
        {"type": "boolean", "const": True},
        "`true` when the answer doesn't show yet what the Consistency-Token names.",
        on=(200, 304, 404),
    ),
    _answered(
        preferences.APPLIED,
        {"type": "string", "const": "wait"},
        "The answer shows what the Consistency-Token names.",
        on=(200, 304, 404),
    ),
    _answered(
        "Cache-Control",
        str,
        "Who may keep the answer, and for how long without asking us again.",
        on=(200, 304),
    ),
    _answered("Vary", str, "The headers that the answer depends on.", on=(200, 304)),
]
_TAG = [
    _sent("If-None-Match", str, "The ETag of what you have: when that is still so, a 304 says it."),
    _answered("ETag", str, "Names this answer, for If-None-Match.", on=(200, 304)),
]
_ONE = [
    _answered(
        "Last-Modified",
        {"type": "string"},
        "When its last event happened, as HTTP writes dates.",
        on=(200, 304),
    )
]
LINK = _answered(
    "Link",
    str,
    'Where the pages `rel="first"`, `prev`, `next` and `last` are, as far as there are such.',
    on=(200,),
)

FILE_NAME = _answered("Content-Disposition", str, "Of CSV: the name of the file.", on=(200,))
NEXT = _answered("Link", str, 'Where it goes on: `rel="next"`.', on=(200,))


def documented(*, is_tagged: bool, is_one: bool) -> list[OpenApiParameter]:
    """The headers of an action: one whose answer has a tag, and shows one resource."""
    return [*_FRESHNESS, *(_TAG if is_tagged else []), *(_ONE if is_tagged and is_one else [])]
