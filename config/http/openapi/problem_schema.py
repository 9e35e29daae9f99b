"""How the OpenAPI document describes problems."""

from typing import Any, NamedTuple

from config.http.answers import problems
from config.http.openapi.examples import REQUEST_ID, SITE

_TEXT = {"type": "string"}
_WHOLE = {"type": "integer"}
_VERSION = {"type": "integer", "minimum": 0}
_PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "An RFC 9457 problem. Members that aren't required come with some codes only.",
    "properties": {
        "type": _TEXT | {"format": "uri", "description": "A page that says what to do."},
        "title": _TEXT,
        "status": _WHOLE,
        "detail": _TEXT | {"description": "What happened this time, for people."},
        "instance": _TEXT | {"format": "uri-reference"},
        "code": _TEXT | {"description": "The name of the problem, for programs."},
        "request_id": _TEXT,
        "errors": {
            "type": "array",
            "description": "What is wrong with the body.",
            "items": {
                "type": "object",
                "properties": {
                    "pointer": _TEXT | {"examples": ["#/items/0/quantity"]},
                    "detail": _TEXT,
                    "code": _TEXT,
                },
                "required": ["pointer", "detail", "code"],
            },
        },
        "parameter": _TEXT | {"description": "The parameter or header that can't be used."},
        "needed_permission": _TEXT,
        "shortages": {
            "type": "array",
            "description": "The products of which there are too few.",
            "items": {
                "type": "object",
                "properties": {
                    "product_id": _TEXT | {"format": "uuid"},
                    "requested": _WHOLE,
                    "available": _WHOLE,
                },
                "required": ["product_id", "requested", "available"],
            },
        },
        "order_status": _TEXT | {"description": "The status that the order is in."},
        "allowed_transitions": {"type": "array", "items": _TEXT},
        "sent": _TEXT | {"description": "The price that was sent."},
        "expected": {"type": ["string", "null"], "description": "The list price, if there is one."},
        "current_version": _VERSION,
        "events_since": {
            "type": "array",
            "description": "What has happened since the version that was expected. Who did it is "
            "for the shop to know.",
            "items": {
                "type": "object",
                "properties": {
                    "type": _TEXT,
                    "version": _VERSION,
                    "timestamp": _TEXT | {"format": "date-time"},
                    "actor": {"type": "object"},
                },
                "required": ["type", "version", "timestamp"],
            },
        },
        "event": {
            "type": "object",
            "description": "The event of the log that can't be read.",
            "properties": {
                "event_id": _TEXT | {"format": "uuid"},
                "type": _TEXT,
                "stream": _TEXT,
                "version": _VERSION,
            },
            "required": ["event_id", "type", "stream", "version"],
        },
        "required_position": _VERSION,
        "projection_position": _VERSION,
    },
    "required": ["type", "title", "status", "detail", "instance", "code", "request_id"],
}


class Refusal(NamedTuple):
    """What answers of one status are called, and the problem that is their example."""

    description: str
    slug: str


# By status, all that our answers have.
REFUSALS = {
    "400": Refusal("Malformed request or unusable parameter", "malformed"),
    "401": Refusal("Authentication required", "authentication-required"),
    "403": Refusal("Permission denied", "permission-denied"),
    "404": Refusal("Not found", "not-found"),
    "406": Refusal("Not acceptable", "not-acceptable"),
    "409": Refusal("Not possible in the present state", "concurrent-update"),
    "412": Refusal("Changed in the meantime", "version-conflict"),
    "413": Refusal("Body too large", "too-large"),
    "415": Refusal("Unsupported media type", "unsupported-media-type"),
    "422": Refusal("Validation failed", "validation"),
    "428": Refusal("If-Match is missing", "precondition-required"),
    "429": Refusal("Too many requests", "rate-limited"),
    "500": Refusal("An event that is needed can't be read", "event-unreadable"),
    "503": Refusal("Unavailable; try again", "unavailable"),
}


def problem_schema() -> dict[str, Any]:
    """The schema of problems, with every code that there is."""
    codes: dict[int, list[str]] = {}
    for known in problems.known_problems():
        codes.setdefault(known.status, []).append(known.code)
    lines = [f"* {status}: {', '.join(codes[status])}" for status in sorted(codes)]
    known_codes = sorted(code for of_status in codes.values() for code in of_status)
    return _PROBLEM | {
        "description": "\n".join(
            [_PROBLEM["description"], "", "The codes of each status:", *lines]
        ),
        "properties": _PROBLEM["properties"]
        | {"code": _PROBLEM["properties"]["code"] | {"enum": known_codes}},
    }


def problem_examples() -> dict[str, Any]:
    """A problem of each status."""
    examples = {}
    for status, refusal in REFUSALS.items():
        problem = problems.by_slug(refusal.slug)
        # Those of an app whose problems aren't registered have no example.
        if problem is not None:
            examples[status] = {"summary": problem.title, "value": _example(problem)}
    return examples


def _example(problem: problems.Problem) -> dict[str, Any]:
    return {
        "type": f"{SITE}/problems/{problem.slug}",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.meaning,
        "instance": "/api/v1/orders",
        "code": problem.code,
        "request_id": REQUEST_ID,
    }
