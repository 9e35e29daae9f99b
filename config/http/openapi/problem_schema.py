"""The schema of problems in the OpenAPI document, with an example for each status."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import TypeAdapter

from config.fields.members import BodyErrors, DetailedError
from config.http.answers import problems
from config.http.openapi.examples import REQUEST_ID, SITE

_TEXT = {"type": "string"}
_DESCRIPTION = "An RFC 9457 problem. Members that aren't required come with some codes only."
# The members of every problem; the error classes declare the others.
_COMMON_MEMBERS: dict[str, Any] = {
    "type": _TEXT | {"format": "uri", "description": "Address of a page that says what to do."},
    "title": _TEXT,
    "status": {"type": "integer"},
    "detail": _TEXT | {"description": "What happened this time, for people."},
    "instance": _TEXT | {"format": "uri-reference"},
    "code": _TEXT | {"description": "Name of the problem, for programs."},
    "request_id": _TEXT,
}

# Description of the answers of each status.
DESCRIPTIONS = {
    "400": "Malformed request or unusable parameter",
    "401": "Authentication required",
    "403": "Permission denied",
    "404": "Not found",
    "406": "Not acceptable",
    "409": "Not possible in the present state",
    "412": "Changed in the meantime",
    "413": "Body too large",
    "414": "Address too long",
    "415": "Unsupported media type",
    "422": "Validation failed",
    "428": "If-Match is missing",
    "429": "Too many requests",
    "431": "Headers too large",
    "500": "Stored data that the answer needs can't be read",
    "503": "Unavailable; try again",
}


def problem_schema() -> dict[str, Any]:
    """Return the schema of problems, with the registered codes and members."""
    codes: dict[int, list[str]] = {}
    for problem in problems.all_problems():
        codes.setdefault(problem.status, []).append(problem.code)
    lines = [f"* {status}: {', '.join(codes[status])}" for status in sorted(codes)]
    all_codes = sorted(code for codes_of_status in codes.values() for code in codes_of_status)
    code = _COMMON_MEMBERS["code"] | {"enum": all_codes}
    return {
        "type": "object",
        "description": "\n".join([_DESCRIPTION, "", "The codes of each status:", *lines]),
        "properties": _COMMON_MEMBERS | {"code": code} | _declared_members(),
        "required": list(_COMMON_MEMBERS),
    }


def problem_examples() -> dict[str, Any]:
    """Return an example for each status: the problem that was registered first."""
    examples = {}
    for status in DESCRIPTIONS:
        problem = problems.first_of_status(int(status))
        # None if only an app registers problems of this status, and the app isn't installed.
        if problem is not None:
            examples[status] = {"summary": problem.title, "value": _example(problem)}
    return examples


def _example(problem: problems.Problem) -> dict[str, Any]:
    return {
        "type": f"{SITE}/problems/{problem.slug}",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.meaning,
        "instance": "/api/v1/example",
        "code": problem.code,
        "request_id": REQUEST_ID,
    }


def _declared_members() -> dict[str, Any]:
    """Return the schemas of the members that error classes declare."""
    members = dict(_schemas(BodyErrors))
    for error in problems.registered_errors():
        if issubclass(error, DetailedError):
            members |= _schemas(error.Members)
    return members


# Cached, because every operation calls it: without the cache it took most of the document's time.
@cache
def _schemas(members: type) -> Mapping[str, Any]:
    schema = TypeAdapter(members).json_schema(mode="serialization")
    properties: dict[str, Any] = _inlined(schema["properties"], schema.get("$defs", {}))
    return properties


def _inlined(schema: Any, defs: Mapping[str, Any]) -> Any:
    """Return ``schema`` with each reference replaced by its schema, without pydantic's titles."""
    if isinstance(schema, list):
        return [_inlined(part, defs) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        target = _inlined(defs[schema["$ref"].rpartition("/")[2]], defs)
        return target | {name: part for name, part in schema.items() if name != "$ref"}
    is_title = isinstance(schema.get("title"), str)
    return {
        name: _inlined(part, defs)
        for name, part in schema.items()
        if not (is_title and name == "title")
    }
