"""Examples of bodies that can be sent as they stand."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

_ID = "01900000-0000-7000-8000-000000000001"

# What stands in a field of this name, wherever it is; optional ones of them are shown too.
_VALUES: Mapping[str, Any] = {
    "amount": "19.90",
    "carrier": "Example Parcels",
    "city": "Sampleton",
    "country": "ES",
    "currency": "EUR",
    "assignee": "clerk",
    "line1": "1 Example Street",
    "list_price": "19.90",
    "name": "Robin Sample",
    "payment_id": "payment-1",
    "postal_code": "12345",
    "quantity": 1,
    "reason": "The customer changed their mind",
    "restock": 1,
    "text": "Call before delivery.",
    "tracking_number": "1Z999",
    "tracking_url": "https://carrier.example/1Z999",
}


def example_of(body: type[BaseModel], *, known: Mapping[str, Any]) -> dict[str, Any]:
    """An instance of ``body`` in JSON types, with what is ``known`` by the names of its fields.

    It holds the required fields and those optional ones that are worth showing.
    """
    schema = body.model_json_schema()
    return _object(schema, schema.get("$defs", {}), {**_VALUES, **known})


def _object(
    schema: Mapping[str, Any], defs: Mapping[str, Any], values: Mapping[str, Any]
) -> dict[str, Any]:
    required = schema.get("required", ())
    return {
        name: _value(name, part, defs, values)
        for name, part in schema.get("properties", {}).items()
        if name in required or name in values
    }


def _value(name: str, schema: Any, defs: Mapping[str, Any], values: Mapping[str, Any]) -> Any:
    if "$ref" in schema:
        schema = defs[schema["$ref"].rpartition("/")[2]]
    if "enum" in schema:
        return values[name] if values.get(name) in schema["enum"] else schema["enum"][0]
    if name in values:
        return values[name]
    if "examples" in schema:
        return schema["examples"][0]
    match schema.get("type"):
        case "object":
            return _object(schema, defs, values)
        case "array":
            return [_value("", schema["items"], defs, values)]
        case "integer":
            return max(schema.get("minimum", 1), 1)
        case "boolean":
            return False
    return _ID if schema.get("format") == "uuid" else name.replace("_", " ").capitalize()
