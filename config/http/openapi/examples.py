"""Examples made of JSON schemas, for the OpenAPI document and the forms of the browsable pages."""

from collections.abc import Mapping
from typing import Any

_ID = "01900000-0000-7000-8000-000000000001"
SITE = "https://orders.example.com"
REQUEST_ID = "01900000000070008000000000000001"

# What stands in a field of this name, wherever it is.
VALUES: Mapping[str, Any] = {
    "amount": "19.90",
    "assignee": "clerk",
    "carrier": "Example Parcels",
    "city": "Sampleton",
    "country": "ES",
    "currency": "EUR",
    # The first one of the demo, like the product and its price.
    "customer_id": "a59311dc-9125-5fe6-8875-7eca2e6d52c1",
    "line1": "1 Example Street",
    "list_price": "39.90",
    "name": "Robin Sample",
    "payment_id": "payment-1",
    "postal_code": "12345",
    "product_id": "f70de883-4b93-5701-bdd3-2042cdefb4d0",
    "quantity": 1,
    "reason": "The customer changed their mind",
    "restock": 1,
    "text": "Call before delivery.",
    "tracking_number": "1Z999",
    "tracking_url": "https://carrier.example/1Z999",
    "unit_price": "39.90",
}
# The same for what only answers hold.
_ANSWERED: Mapping[str, Any] = {
    "customer_name": "Robin Sample",
    "email": "robin.sample@example.com",
    "next": None,
    "next_cursor": None,
    "order_number": "2026-000123",
    "previous": None,
    "sku": "LAMP-1",
    "stream": f"order-{_ID}",
    "version": 3,
}
# The same for parameters.
_SENT: Mapping[str, Any] = {"number": "2026-000123", "tag": "gift"}
_FORMATS = {
    "date": "2026-03-01",
    "date-time": "2026-03-01T12:00:00Z",
    "duration": "P2D",
    "uri": SITE,
    "uuid": _ID,
}


def request_example(
    schema: Mapping[str, Any], defs: Mapping[str, Any], known: Mapping[str, Any]
) -> Any:
    """An instance of ``schema`` in JSON types, with what is ``known`` by the names of its fields.

    It holds the required fields and those optional ones that are worth showing. ``defs`` are the
    schemas that it may refer to, by the last part of the reference.
    """
    return _Example(defs, {**VALUES, **known}, is_whole=False).of("", schema)


def answer_example(schema: Mapping[str, Any], defs: Mapping[str, Any], *, path: str) -> Any:
    """What is answered at ``path``: an instance of ``schema`` with all of its fields.

    ``defs`` are as in ``request_example``.
    """
    known = {**VALUES, **_ANSWERED, "self": f"{SITE}{path}", "links": {"self": f"{SITE}{path}"}}
    return _Example(defs, known, is_whole=True).of("", schema)


def parameter_example(name: str, schema: Mapping[str, Any]) -> Any:
    """A value for the parameter ``name``."""
    return _Example({}, {**VALUES, **_SENT}, is_whole=False).of(name, schema)


class _Example:
    """Makes one example; ``is_whole`` says whether it has the fields that may be left out."""

    def __init__(
        self, defs: Mapping[str, Any], values: Mapping[str, Any], *, is_whole: bool
    ) -> None:
        self.defs = defs
        self.values = values
        self.is_whole = is_whole

    def of(self, name: str, schema: Mapping[str, Any]) -> Any:
        """What stands in the field ``name``."""
        if "$ref" in schema:
            return self.of(name, self.defs[schema["$ref"].rpartition("/")[2]])
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            known = self.values.get(name)
            return known if known in schema["enum"] else schema["enum"][0]
        for choice in schema.get("anyOf", schema.get("allOf", ())):
            if choice.get("type") != "null" and self.values.get(name, choice) is not None:
                return self.of(name, choice)
        if name in self.values and _fits(self.values[name], schema):
            return self.values[name]
        if schema.get("examples"):
            return schema["examples"][0]
        return self._typed(name, schema)

    def _typed(self, name: str, schema: Mapping[str, Any]) -> Any:
        match schema.get("type"):
            case "object":
                return self._object(name, schema)
            case "array":
                return [self.of(name, schema["items"])]
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
        named = schema.get("properties", {})
        if not named and isinstance(schema.get("additionalProperties"), Mapping):
            if isinstance(self.values.get(name), Mapping):
                return dict(self.values[name])
            key = self.of("", schema.get("propertyNames", {"type": "string"}))
            return {key or "name": self.of("", schema["additionalProperties"])}
        shown = {*schema.get("required", ()), *(named if self.is_whole else self.values)}
        return {name: self.of(name, part) for name, part in named.items() if name in shown}


def _fits(value: Any, schema: Mapping[str, Any]) -> bool:
    """Whether ``value`` is of the type of ``schema``."""
    known = {"string": str, "integer": int, "number": int | float, "boolean": bool}
    kind = known.get(schema.get("type", ""))
    return isinstance(value, kind) if kind else value is None or "type" not in schema
