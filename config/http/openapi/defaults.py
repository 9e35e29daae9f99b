"""Defaults of fields in the OpenAPI document, as every generator of clients understands them.

A field with the keyword ``default`` is optional for some generators and required for others. So a
request says a default in words, and an answer, which has all of its fields, requires them.
"""

import json
import re
from typing import Any

_REFERENCE = re.compile(r'"#/components/schemas/(\w+)"')


def with_plain_defaults(result: dict[str, Any], **_kwargs: Any) -> dict[str, Any]:
    """Return the document ``result`` without defaults in the fields of bodies.

    A hook of drf-spectacular, which passes more arguments.
    """
    schemas = result["components"]["schemas"]
    operations = [each for methods in result["paths"].values() for each in methods.values()]
    sent = _reachable(schemas, [operation.get("requestBody") for operation in operations])
    for name, schema in schemas.items():
        for field, part in schema.get("properties", {}).items():
            if "default" not in part:
                continue
            default = part.pop("default")
            if name not in sent:
                schema["required"] = [*schema.get("required", ()), field]
            elif default not in (None, "", [], {}):
                said = f"`{json.dumps(default)}` by default."
                part["description"] = f"{part.get('description', '')} {said}".strip()
    return result


def _reachable(schemas: dict[str, Any], parts: list[Any]) -> set[str]:
    """Return the names of the schemas that ``parts`` refer to, also by other schemas."""
    found: set[str] = set()
    while parts:
        names = set(_REFERENCE.findall(json.dumps(parts))) - found
        found |= names
        parts = [schemas[name] for name in names]
    return found
