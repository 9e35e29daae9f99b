"""Rules of the OpenAPI document that linters and generators of clients ask for.

`make proof` runs the linters and the generators themselves: tests/acceptance/test_clients.py.
"""

import json
import re
from collections import Counter
from itertools import combinations
from typing import Any

import pytest

from config.version import VERSION
from tests import kit_answers
from tests.kit_contract import Operation, document, operations

# The tags of the operations that have previews.
SHOP = {"customers", "inventory", "orders"}
PREVIEW = {"$ref": "#/components/schemas/Preview"}
# The media types of success that a program gets without asking for another one.
JSON = "application/json"


@pytest.fixture(autouse=True)
def _make_document() -> None:
    document()


def success(operation: Operation) -> dict[str, Any]:
    """Return the schemas in JSON of the answers of success, by status."""
    answers = operation.documented["responses"]
    return {
        status: answer["content"][JSON]["schema"]
        for status, answer in answers.items()
        if status < "300" and "content" in answer
    }


def test_the_document_names_the_service_its_version_and_its_people() -> None:
    info = document()["info"]
    assert info["version"] == VERSION
    assert info["contact"]["name"]
    assert info["license"]["name"]
    assert document()["servers"][0]["url"] == "/"


def test_tags_operations_and_parameters_are_described() -> None:
    tags = {tag["name"] for tag in document()["tags"] if len(tag["description"]) > 20}
    names = Counter(operation.name for operation in operations())
    assert names.most_common(1)[0][1] == 1
    for operation in operations():
        assert set(operation.documented["tags"]) <= tags
        assert operation.documented["summary"]
        assert operation.documented["description"]
        undescribed = [part["name"] for part in operation.parameters if not part.get("description")]
        assert undescribed == [], operation.name


def test_no_path_can_be_taken_for_another() -> None:
    def is_ambiguous(one: str, other: str) -> bool:
        pairs = list(zip(one.split("/"), other.split("/"), strict=False))
        if one.count("/") != other.count("/"):
            return False
        if any(left != right and "{" not in left + right for left, right in pairs):
            return False
        fixed = [[not part.startswith("{") for part in pair] for pair in pairs]
        # Each path has a fixed part where the other one has a parameter.
        return [True, False] in fixed and [False, True] in fixed

    paths = document()["paths"]
    assert [pair for pair in combinations(paths, 2) if is_ambiguous(*pair)] == []


def test_success_and_preview_are_told_apart_by_the_operation() -> None:
    previews = [operation for operation in operations() if operation.is_preview]
    commands = {
        operation.name
        for operation in operations()
        if operation.method != "get" and SHOP & set(operation.documented["tags"])
    }
    for operation in operations():
        schemas = success(operation)
        if operation.is_preview:
            assert schemas == {"200": PREVIEW}
            assert operation.name.removeprefix("preview_") in commands
        else:
            assert PREVIEW not in schemas.values()
            assert all("$ref" in schema for schema in schemas.values()), operation.name
    # Parked events and webhooks, which aren't of the shop, have no previews.
    assert len(previews) * 2 == len(commands)


def test_an_id_has_one_name_everywhere() -> None:
    schemas = document()["components"]["schemas"]
    for operation in operations():
        assert "id" not in operation.in_path
    for name, schema in schemas.items():
        former = schema.get("properties", {}).get("id")
        # The id of a CloudEvent is that of its standard.
        if former and name != "CloudEvent":
            assert former["deprecated"], name
    assert {"order_id", "id"} <= schemas["OrderBody"]["properties"].keys()
    assert {"parked_event_id", "id"} <= schemas["ParkedEventBody"]["properties"].keys()


def test_the_examples_of_answers_are_recorded_ones() -> None:
    """A placeholder, such as the type "Type" of an event, would be an answer that nobody gets."""
    placeholders = []
    # An operation that is newer than the records has examples of its types until then.
    recorded = json.loads(kit_answers.PATH.read_text())
    for operation in operations():
        if operation.name not in recorded:
            continue
        for answer in operation.documented["responses"].values():
            for example in answer.get("content", {}).get(JSON, {}).get("examples", {}).values():
                if "value" in example:
                    placeholders += [
                        (operation.name, name, value)
                        for name, value in texts(example["value"])
                        if value == name.replace("_", " ").capitalize() != ""
                    ]
    assert placeholders == []


def texts(value: Any, name: str = "") -> list[tuple[str, str]]:
    """Return the names and values of the texts in an example."""
    match value:
        case dict():
            return [pair for key, part in value.items() for pair in texts(part, key)]
        case list():
            return [pair for part in value for pair in texts(part, name)]
        case str() if re.search(r"[A-Za-z]", value):
            return [(name, value)]
    return []
