"""The headers of the read API: their values, and their description in the OpenAPI document."""

from drf_spectacular.utils import OpenApiParameter

from config.http.input import consistency, preferences
from ordering_read.engine.freshness import Freshness
from ordering_read.engine.gaps import GapReason

POSITION, LAG, BEHIND = "Projection-Position", "Projection-Lag", "Projection-Behind"
GAP = "Projection-Gap"


def freshness_headers(freshness: Freshness) -> dict[str, str]:
    """Return the headers with the position and the lag of an answer."""
    lag = freshness.lag_seconds
    # Only a lag of exactly zero is shown as zero.
    seconds = max(round(lag, 3), 0.001) if lag else 0.0
    return {POSITION: str(freshness.position), LAG: str(seconds)}


def _request_header(name: str, schema: object, description: str) -> OpenApiParameter:
    return OpenApiParameter(name, schema, "header", description=description)  # type: ignore[arg-type]


def _answer_header(
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
    _request_header(
        consistency.HEADER,
        str,
        "The value of this header in the answer of a command whose effect the read shall show.",
    ),
    _request_header(
        preferences.HEADER,
        {"type": "string", "examples": ["wait=2"]},
        "`wait=N`: with a Consistency-Token, wait up to N seconds for its effect, "
        f"{preferences.MAX_WAIT_SECONDS} at most. The answer then shows the effect or is a 503.",
    ),
    _answer_header(
        POSITION,
        {"type": "integer", "minimum": 0},
        "The position in the log up to which the answer shows all events: the position of the "
        "slowest projection behind the answer.",
        on=(200, 304, 404, 503),
    ),
    _answer_header(
        LAG,
        {"type": "number", "minimum": 0},
        "The age in seconds of the oldest event that the answer doesn't show, or the time since a "
        "projection behind the answer failed; 0.0 when the answer shows all events.",
        on=(200, 304, 404, 503),
    ),
    _answer_header(
        BEHIND,
        {"type": "boolean", "const": True},
        "`true` when the answer doesn't show the effect of the Consistency-Token yet.",
        on=(200, 304, 404),
    ),
    _answer_header(
        GAP,
        {"type": "string", "enum": list(GapReason)},
        "The reason why the answer, or a row of it, may lack events, as in `projection_gap`. "
        "Absent when it lacks none, or lags less than the service allows.",
        on=(200, 304, 404, 503),
    ),
    _answer_header(
        preferences.APPLIED,
        {"type": "string", "const": "wait"},
        "The answer shows the effect of the Consistency-Token.",
        on=(200, 304, 404),
    ),
    _answer_header(
        "Cache-Control",
        str,
        "Says who may store the answer, and how long it is valid without a new request.",
        on=(200, 304),
    ),
    _answer_header("Vary", str, "The request headers that the answer depends on.", on=(200, 304)),
]
_TAG = [
    _request_header(
        "If-None-Match", str, "The ETag of your copy: the answer is a 304 if the copy is current."
    ),
    _answer_header("ETag", str, "Identifies this answer, for If-None-Match.", on=(200, 304)),
]
_SINGLE = [
    _answer_header(
        "Last-Modified",
        {"type": "string"},
        "The time of the last event of the resource, as an HTTP date.",
        on=(200, 304),
    )
]
LINK = _answer_header(
    "Link",
    str,
    'The addresses of the pages `rel="first"`, `prev`, `next` and `last`, where they exist.',
    on=(200,),
)

FILE_NAME = _answer_header("Content-Disposition", str, "The name of the CSV file.", on=(200,))
NEXT = _answer_header("Link", str, 'The address of the next events: `rel="next"`.', on=(200,))


def documented(*, is_tagged: bool, is_single: bool) -> list[OpenApiParameter]:
    """Return the headers of an action; with ``is_single`` the action shows one resource."""
    return [
        *_FRESHNESS,
        *(_TAG if is_tagged else []),
        *(_SINGLE if is_tagged and is_single else []),
    ]
