"""Every text, list and number that a client sends has a bound."""

from collections.abc import Iterator
from typing import Any

from tests.kit_contract import document
from tests.kit_openapi import inlined

_BOUNDS = {
    "string": {"maxLength", "enum", "const", "format", "pattern"},
    "array": {"maxItems", "enum"},
    "integer": {"maximum"},
    "number": {"maximum"},
    "boolean": {"type"},
}


def parameters() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, operations in inlined(document())["paths"].items():
        for method, operation in operations.items():
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "query":
                    yield f"{method} {path}?{parameter['name']}", parameter["schema"]


def is_bounded(schema: dict[str, Any]) -> bool:
    bounds = _BOUNDS[schema["type"]] & schema.keys()
    if schema["type"] == "array":
        # A list of choices: the server limits the length of the whole text.
        return bool(bounds) or is_bounded(schema["items"])
    return bool(bounds)


def test_every_parameter_of_a_query_has_a_bound() -> None:
    schemas = dict(parameters())
    assert len(schemas) > 20
    assert [name for name, schema in schemas.items() if not is_bounded(schema)] == []


def test_every_text_and_list_of_a_body_has_a_bound() -> None:
    schemas = document()["components"]["schemas"]
    bodies = {name: body for name, body in schemas.items() if name.endswith("Request")}
    assert len(bodies) > 5

    def unbounded(schema: Any, place: str) -> Iterator[str]:
        for part in (schema, *schema.get("anyOf", ())):
            if part.get("type") in ("string", "array", "integer"):
                bounds = _BOUNDS[part["type"]]
                if not bounds & part.keys():
                    yield place
            if part.get("type") == "array":
                yield from unbounded(part["items"], f"{place}[]")
            for name, field in part.get("properties", {}).items():
                yield from unbounded(field, f"{place}.{name}")

    assert [place for name, body in bodies.items() for place in unbounded(body, name)] == []
