"""Adds examples of every parameter, body and answer to the OpenAPI document."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings

from config.http.answers.problems import CONTENT_TYPE
from config.http.openapi.examples import answer_example, parameter_example, request_example
from config.http.openapi.previews import MARK
from config.http.openapi.problem_schema import problem_examples

_NAME = "Example"
# The recorded answers by operation, and the preview of one command by this name.
Answers = Mapping[str, Any]


def with_examples(result: dict[str, Any], **_kwargs: Any) -> dict[str, Any]:
    """Return the document ``result`` with an example for each part that has none.

    The examples of answers are recorded ones; a field that is newer than the records has the
    example of its type. A hook of drf-spectacular, which passes more arguments.
    """
    components = result["components"]
    schemas = components["schemas"]
    answers = _recorded(settings.SPECTACULAR_SETTINGS["ANSWERS"])
    components["examples"] = problem_examples()
    for path, operations in result["paths"].items():
        for operation in operations.values():
            _add(path, operation, schemas, answers)
            if operation.get(MARK) and "Preview" not in components["examples"]:
                preview = answer_example(
                    schemas["Preview"], schemas, path=path, recorded=answers.get("preview")
                )
                components["examples"]["Preview"] = {"value": preview}
    return result


def _recorded(path: Path) -> Answers:
    answers: Answers = json.loads(path.read_text()) if path.exists() else {}
    return answers


def _add(
    path: str, operation: dict[str, Any], schemas: Mapping[str, Any], answers: Answers
) -> None:
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
                recorded = answers.get(operation["operationId"], {}).get(f"{status} {media_type}")
                value = answer_example(content["schema"], schemas, path=address, recorded=recorded)
                example = {"value": value}
            content.setdefault("examples", {_NAME: example})
