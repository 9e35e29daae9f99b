"""Adds examples of every parameter, body and answer to the OpenAPI document."""

import re
from collections.abc import Mapping
from typing import Any

from config.http.answers.problems import CONTENT_TYPE
from config.http.openapi.examples import answer_example, parameter_example, request_example
from config.http.openapi.problem_schema import problem_examples

_NAME = "Example"


def with_examples(result: dict[str, Any], **_kwargs: Any) -> dict[str, Any]:
    """Return the document ``result`` with an example for each part that has none.

    A hook of drf-spectacular, which passes more arguments.
    """
    components = result["components"]
    components["examples"] = problem_examples()
    for path, operations in result["paths"].items():
        for operation in operations.values():
            _add(path, operation, components["schemas"])
    return result


def _add(path: str, operation: dict[str, Any], schemas: Mapping[str, Any]) -> None:
    path_values = {}
    for parameter in operation["parameters"]:
        if parameter["in"] == "path":
            example = parameter_example(parameter["name"], parameter["schema"])
            path_values[parameter["name"]] = parameter["example"] = example
    for content in operation.get("requestBody", {}).get("content", {}).values():
        body = request_example(content["schema"], schemas, {})
        content.setdefault("examples", {_NAME: {"value": body}})
    address = re.sub(r"{(\w+)}", lambda match: str(path_values[match[1]]), path)
    for status, response in operation["responses"].items():
        for media_type, content in response.get("content", {}).items():
            if media_type == CONTENT_TYPE:
                example = {"$ref": f"#/components/examples/{status}"}
            else:
                example = {"value": answer_example(content["schema"], schemas, path=address)}
            content.setdefault("examples", {_NAME: example})
