"""Examples made of JSON schemas, for the OpenAPI document and the forms of the browsable pages.

A field's own example stands in its declaration (``Field(examples=[…])``).
"""

from collections.abc import Mapping
from typing import Any

SITE = "https://orders.example.com"
REQUEST_ID = "01900000000070008000000000000001"

_FORMATS = {
    "date": "2026-03-01",
    "date-time": "2026-03-01T12:00:00Z",
    "duration": "P2D",
    "uri": SITE,
    "uuid": "01900000-0000-7000-8000-000000000001",
}
_JSON_TYPES: Mapping[str, Any] = {
    "string": str,
    "integer": int,
    "number": int | float,
    "boolean": bool,
}


def request_example(
    schema: Mapping[str, Any], defs: Mapping[str, Any], values: Mapping[str, Any]
) -> Any:
    """Return an instance of ``schema`` in JSON types: required fields, and those with an example.

    ``values`` replace the examples of the fields with the same names. ``defs`` are the schemas that
    ``schema`` may refer to, by the last part of the reference.
    """
    return _Example(defs, values, is_whole=False).value("", schema)


def answer_example(
    schema: Mapping[str, Any], defs: Mapping[str, Any], *, path: str, recorded: Any = None
) -> Any:
    """Return an instance of ``schema``, the answer at ``path``, with all of its fields.

    The fields have the values of ``recorded``, an answer of the service, as far as it has them.
    ``defs`` are as in ``request_example``.
    """
    address = f"{SITE}{path}"
    values = {"self": address, "links": {"self": address}}
    example = _Example(defs, values, is_whole=True)
    return example.value("", schema) if recorded is None else example.completed(schema, recorded)


def parameter_example(name: str, schema: Mapping[str, Any]) -> Any:
    """Return a value for the parameter ``name``."""
    return _Example({}, {}, is_whole=False).value(name, schema)


class _Example:
    """Makes one example; ``is_whole`` includes the optional fields that have no example."""

    def __init__(
        self, defs: Mapping[str, Any], values: Mapping[str, Any], *, is_whole: bool
    ) -> None:
        self.defs = defs
        self.values = values
        self.is_whole = is_whole

    def value(self, name: str, schema: Mapping[str, Any]) -> Any:
        """Return the value of the field ``name``."""
        if "$ref" in schema:
            return self.value(name, self.defs[schema["$ref"].rpartition("/")[2]])
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            value = self.values.get(name)
            return value if value in schema["enum"] else schema["enum"][0]
        if name in self.values and _fits(self.values[name], schema):
            return self.values[name]
        choices = schema.get("anyOf", schema.get("allOf", ()))
        if schema.get("examples") and not (choices and name in self.values):
            return schema["examples"][0]
        for choice in choices:
            if choice.get("type") != "null" and self.values.get(name, choice) is not None:
                return self.value(name, choice)
        return self._typed(name, schema)

    def completed(self, schema: Mapping[str, Any], recorded: Any) -> Any:
        """Return ``recorded`` with the fields of ``schema`` that it lacks, and no others."""
        if "$ref" in schema:
            return self.completed(self.defs[schema["$ref"].rpartition("/")[2]], recorded)
        if isinstance(recorded, list) and "items" in schema:
            return [self.completed(schema["items"], item) for item in recorded]
        if not isinstance(recorded, dict):
            return recorded
        for choice in schema.get("anyOf", schema.get("allOf", ())):
            if choice.get("type") != "null":
                return self.completed(choice, recorded)
        fields: Mapping[str, Any] = schema.get("properties", {})
        if not fields:
            return recorded
        return {
            name: self.completed(part, recorded[name])
            if name in recorded
            else self.value(name, part)
            for name, part in fields.items()
        }

    def _typed(self, name: str, schema: Mapping[str, Any]) -> Any:
        match schema.get("type"):
            case "object":
                return self._object(name, schema)
            case "array":
                return [self.value(name, schema["items"])]
            case "integer" | "number":
                return max(schema.get("minimum", 1), 1)
            case "boolean":
                return False
            case "null":
                return None
        if schema.get("format") in _FORMATS:
            return _FORMATS[schema["format"]]
        return name.replace("_", " ").capitalize()

    def _object(self, name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
        fields = schema.get("properties", {})
        if not fields and isinstance(schema.get("additionalProperties"), Mapping):
            if isinstance(self.values.get(name), Mapping):
                return dict(self.values[name])
            key = self.value("", schema.get("propertyNames", {"type": "string"}))
            return {key or "name": self.value("", schema["additionalProperties"])}
        required = schema.get("required", ())
        return {
            field: self.value(field, part)
            for field, part in fields.items()
            if self.is_whole or field in required or field in self.values or _has_example(part)
        }


def _has_example(schema: Mapping[str, Any]) -> bool:
    return "examples" in schema or any(map(_has_example, schema.get("anyOf", ())))


def _fits(value: Any, schema: Mapping[str, Any]) -> bool:
    """Return True if ``value`` is of the type that ``schema`` asks for."""
    if "anyOf" in schema or "allOf" in schema:
        return False
    json_type = _JSON_TYPES.get(schema.get("type", ""))
    return isinstance(value, json_type) if json_type else value is None or "type" not in schema
