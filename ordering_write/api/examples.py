"""Examples of bodies that can be sent as they stand."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from config.http.openapi.examples import request_example


def example_of(body: type[BaseModel], *, known: Mapping[str, Any]) -> dict[str, Any]:
    """An instance of ``body`` in JSON types, with what is ``known`` by the names of its fields.

    It holds the required fields and those optional ones that are worth showing.
    """
    schema = body.model_json_schema()
    # As JSON has them: ids and amounts are texts there.
    values = to_jsonable_python(dict(known))
    example: dict[str, Any] = request_example(schema, schema.get("$defs", {}), values)
    return example
