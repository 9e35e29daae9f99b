"""The examples of the OpenAPI document conform to it, and are carried out."""

import json
from typing import Any

import jsonschema
import pytest
from django.db import transaction
from rest_framework.test import APIClient

from config.accounts.models import User
from config.http.answers import problems
from tests import kit_answers
from tests.kit_answers import Records
from tests.kit_contract import Operation, Subject, World, document, fill, operations, tried
from tests.proof import IS_PROOF


@pytest.fixture(scope="module", autouse=True)
def _make_document() -> None:
    """Make the document before a test opens its transaction."""
    document()


def check(instance: Any, schema: dict[str, Any]) -> None:
    """Validate ``instance`` against ``schema``, which may refer to the rest of the document."""
    resolvable = {**schema, "components": document()["components"]}
    jsonschema.Draft202012Validator(
        resolvable, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    ).validate(instance)


def examples_of(content: dict[str, Any]) -> list[Any]:
    shared = document()["components"]["examples"]
    return [
        (shared[example["$ref"].rpartition("/")[2]] if "$ref" in example else example)["value"]
        for example in content["examples"].values()
    ]


def test_every_example_conforms_to_its_schema(subtests: pytest.Subtests) -> None:
    for operation in operations():
        with subtests.test(operation.name):
            check_examples(operation)


def check_examples(operation: Operation) -> None:
    bodies = [*operation.documented["responses"].values()]
    if "requestBody" in operation.documented:
        bodies.append(operation.documented["requestBody"])
    contents = [content for body in bodies for content in body.get("content", {}).values()]
    assert contents
    for content in contents:
        [example] = examples_of(content)
        check(example, content["schema"])
    for parameter in operation.parameters:
        assert parameter["in"] != "path" or "example" in parameter


@pytest.mark.proof
@pytest.mark.usefixtures("db")
def test_every_example_is_carried_out(
    admin_user: User, clerk: User, subtests: pytest.Subtests, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, client, records = World(monkeypatch), APIClient(), Records()
    client.force_authenticate(admin_user)
    for operation in operations() if kit_answers.IS_ON else tried():
        with subtests.test(operation.name):
            statuses = set()
            for subject in world.subjects(operation):
                statuses.add(call(client, operation, subject, records))
                if operation.success in statuses and not (IS_PROOF or kit_answers.IS_ON):
                    break
            assert operation.success in statuses
    if kit_answers.IS_ON:
        records.write()


def call(client: APIClient, operation: Operation, subject: Subject, records: Records) -> int:
    """Send the example to ``subject`` twice; check both answers; return the first status."""
    with transaction.atomic("default"), transaction.atomic("read"):
        first, _second = (send(client, operation, subject, records) for _ in range(2))
        transaction.set_rollback(True, "default")
        transaction.set_rollback(True, "read")
    return first


def send(client: APIClient, operation: Operation, subject: Subject, records: Records) -> int:
    """Send the example to ``subject``; check the answer against the document; return its status."""
    path = operation.path.format_map(operation.in_path | dict(subject))
    body = operation.body
    answer = client.generic(
        operation.method.upper(),
        path,
        "" if body is None else json.dumps(fill(body, subject)),
        content_type="application/json",
        headers={"If-Match": "*"},
    )
    documented = operation.documented["responses"][str(answer.status_code)]
    if answer.status_code == 204:
        assert not answer.content
        return answer.status_code
    records.add(operation, answer)
    content = documented["content"][answer["Content-Type"].partition(";")[0]]
    check(answer.json(), content["schema"])
    [example] = examples_of(content)
    if answer.status_code < 300:
        assert answer.json().keys() == example.keys()
        if kit_answers.IS_ON and operation.method == "get":
            for name in {"csv", "jsonl"} & set(formats_of(operation)):
                records.add(operation, client.get(path, {"format": name}))
    return answer.status_code


def formats_of(operation: Operation) -> list[str]:
    named = [part for part in operation.parameters if part["name"] == "format"]
    return named[0]["schema"]["enum"] if named else []


def test_the_documented_problems_are_those_with_a_page(client: Any) -> None:
    codes = document()["components"]["schemas"]["CodeEnum"]["enum"]
    assert codes == sorted(problem.code for problem in problems.all_problems())
    examples = document()["components"]["examples"]
    addresses = [example["value"]["type"] for name, example in examples.items() if name.isdigit()]
    for slug in {code.replace("_", "-") for code in codes} | {
        address.rpartition("/")[2] for address in addresses
    }:
        assert client.get(f"/problems/{slug}").status_code == 200
