"""Example bodies that can be sent as they are."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from config.http.openapi.examples import request_example


def example_of(body: type[BaseModel], *, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return an instance of ``body`` in JSON types, with ``values`` by the names of its fields.

    It has the required fields, and the optional fields that have a value by name.
    """
    schema = body.model_json_schema()
    # In JSON, ids and amounts are texts.
    json_values = to_jsonable_python(dict(values))
    example: dict[str, Any] = request_example(schema, schema.get("$defs", {}), json_values)
    return example
