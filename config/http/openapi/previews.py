"""The previews of commands in the OpenAPI document: operations of their own beside the commands.

So each operation has one answer of success, and a generated client needs no case distinction.
"""

from collections.abc import Mapping
from typing import Any

# The end of the addresses of previews.
PREVIEW = "/preview"
# Marks the operations that have a preview, until ``with_previews`` adds it.
MARK = "x-preview"
_RESPONSE = {"$ref": "#/components/responses/Preview"}
# Headers of every answer; the others of a command are about its effect.
_HEADERS = ("Request-Id", "RateLimit-Policy", "RateLimit")
# A preview takes no key: a repeat of it does no harm.
_WITHOUT = {"$ref": "#/components/parameters/Idempotency-Key"}


def with_previews(result: dict[str, Any], **_kwargs: Any) -> dict[str, Any]:
    """Return the document ``result`` with a preview of each marked operation, below its path.

    A hook of drf-spectacular, which passes more arguments; it comes after the hook that replaces
    shared parts by references.
    """
    paths: dict[str, Any] = {}
    for path, operations in result["paths"].items():
        marked = [method for method, each in operations.items() if each.pop(MARK, False)]
        paths[path] = operations
        if marked:
            paths[f"{path}{PREVIEW}"] = {method: _preview(operations[method]) for method in marked}
            result["components"]["responses"]["Preview"] = _response()
    return {**result, "paths": paths}


def _preview(operation: Mapping[str, Any]) -> dict[str, Any]:
    refusals = {key: value for key, value in operation["responses"].items() if key >= "400"}
    name = operation["operationId"]
    return {
        **operation,
        "operationId": f"preview_{name}",
        "summary": f"Preview: {operation['summary'].lower()}",
        "description": f"Checks `{name}` as if it were carried out, and returns its effects. "
        f"Nothing has happened then.\n\n{operation['description']}",
        "parameters": [part for part in operation["parameters"] if part != _WITHOUT],
        "responses": {"200": _RESPONSE, **refusals},
    }


def _response() -> dict[str, Any]:
    content = {
        "schema": {"$ref": "#/components/schemas/Preview"},
        "examples": {"Example": {"$ref": "#/components/examples/Preview"}},
    }
    return {
        "description": "The effects that the command would have",
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in _HEADERS},
        "content": {"application/json": content},
    }
