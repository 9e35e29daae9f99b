"""The examples of the OpenAPI document do what they say."""

import json
from typing import Any

import jsonschema
import pytest
from django.db import transaction
from rest_framework.test import APIClient

from config.accounts.models import User
from config.http.answers import problems
from tests.kit_contract import Operation, Subject, World, document, fill, operations

OPERATIONS = operations()


def check(instance: Any, schema: dict[str, Any]) -> None:
    """``instance`` is as ``schema``, which may refer to the rest of the document, says."""
    whole = {**schema, "components": document()["components"]}
    jsonschema.Draft202012Validator(
        whole, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    ).validate(instance)


def examples_of(content: dict[str, Any]) -> list[Any]:
    known = document()["components"]["examples"]
    named = content["examples"].values()
    return [
        (known[one["$ref"].rpartition("/")[2]] if "$ref" in one else one)["value"] for one in named
    ]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.name)
def test_every_example_is_as_its_schema_says(operation: Operation) -> None:
    described = [*operation.documented["responses"].values()]
    if "requestBody" in operation.documented:
        described.append(operation.documented["requestBody"])
    contents = [content for one in described for content in one.get("content", {}).values()]
    assert contents
    for content in contents:
        [example] = examples_of(content)
        check(example, content["schema"])
    for parameter in operation.parameters:
        assert parameter["in"] != "path" or "example" in parameter


@pytest.mark.usefixtures("db")
def test_every_example_is_carried_out(
    admin_user: User, clerk: User, subtests: pytest.Subtests, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, client = World(monkeypatch), APIClient()
    client.force_authenticate(admin_user)
    for operation in OPERATIONS:
        with subtests.test(operation.name):
            statuses = [call(client, operation, subject) for subject in world.subjects(operation)]
            assert operation.success in statuses


def call(client: APIClient, operation: Operation, subject: Subject) -> int:
    """Send the example to ``subject``; the status of the answer, which is a documented one."""
    path = operation.path.format_map(operation.in_path | dict(subject))
    body = operation.body
    with transaction.atomic("default"), transaction.atomic("read"):
        answer = client.generic(
            operation.method.upper(),
            path,
            "" if body is None else json.dumps(fill(body, subject)),
            content_type="application/json",
            headers={"If-Match": "*"},
        )
        transaction.set_rollback(True, "default")
        transaction.set_rollback(True, "read")
    documented = operation.documented["responses"][str(answer.status_code)]
    content = documented["content"][answer["Content-Type"].partition(";")[0]]
    check(answer.json(), content["schema"])
    [example] = examples_of(content)
    if answer.status_code < 300:
        assert answer.json().keys() == example.keys()
    return answer.status_code


def test_every_problem_that_is_documented_has_a_page_and_the_reverse(client: Any) -> None:
    codes = document()["components"]["schemas"]["CodeEnum"]["enum"]
    assert codes == sorted(one.code for one in problems.all_problems())
    named = [one["value"]["type"] for one in document()["components"]["examples"].values()]
    for slug in {code.replace("_", "-") for code in codes} | {
        address.rpartition("/")[2] for address in named
    }:
        assert client.get(f"/problems/{slug}").status_code == 200
