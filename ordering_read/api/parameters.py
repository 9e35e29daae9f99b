"""Makes the query parameters of the OpenAPI document from the fields of queries."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter
from pydantic import BaseModel

from config.http.input.query import parameter_schema
from ordering_read.api.headers import LINK
from ordering_read.queries.lists import ListQuery

NUMBER = OpenApiParameter(
    "number",
    {"type": "string", "examples": ["2026-000123"]},
    OpenApiParameter.PATH,
    description="The number of the order, in any spelling.",
)


def parameters_of(query: type[BaseModel]) -> list[OpenApiParameter]:
    """Return the query parameters of ``query``, and for a list also the header Link of answers."""
    schema = parameter_schema(query)
    parameters = [
        _parameter(name, field, schema.get("$defs", {}))
        for name, field in schema.get("properties", {}).items()
    ]
    return [*parameters, LINK] if issubclass(query, ListQuery) else parameters


def _parameter(name: str, field: dict[str, Any], defs: dict[str, Any]) -> OpenApiParameter:
    # An optional field may be null in Python. No request can send null.
    [shape] = [choice for choice in field.get("anyOf", [field]) if choice.get("type") != "null"]
    shape = _shape(shape, defs)
    if "items" in shape:
        shape["items"] = _shape(shape["items"], defs)
    # An empty list, the default of some filters, can't be sent.
    if field.get("default") not in (None, []):
        shape["default"] = field["default"]
    is_list = "items" in shape
    return OpenApiParameter(
        name,
        shape,
        description=field.get("description", ""),
        # Values are separated by commas.
        style="form" if is_list else None,
        explode=False if is_list else None,
    )


def _shape(shape: dict[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a parameter's values, without the keywords that the parameter has."""
    if "$ref" in shape:
        shape = defs[shape["$ref"].rpartition("/")[2]]
    omitted = ("title", "description", "default")
    # In the order of the shape, so that the document and its tag are the same in each process.
    return {keyword: value for keyword, value in shape.items() if keyword not in omitted}
