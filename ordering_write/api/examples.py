"""Example bodies that can be sent as they are."""

from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from config.http.openapi.examples import request_example


def example_of(body: type[BaseModel], *, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return an instance of ``body`` in JSON types, with ``values`` by the names of its fields.

    It has the required fields, and the optional fields that have a value by name.
    """
    schema = _schema(body)
    # In JSON, ids and amounts are texts.
    json_values = to_jsonable_python(dict(values))
    example: dict[str, Any] = request_example(schema, schema.get("$defs", {}), json_values)
    # The cached schema keeps its own lists and objects.
    return deepcopy(example)


@cache
def _schema(body: type[BaseModel]) -> dict[str, Any]:
    return body.model_json_schema()
