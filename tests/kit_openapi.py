"""The OpenAPI document, with the parts that its operations share put in their places."""

import copy
from typing import Any


def inlined(document: dict[str, Any]) -> dict[str, Any]:
    """Return ``document`` with the parameters and responses that its operations refer to."""
    whole = copy.deepcopy(document)
    for described in whole["paths"].values():
        for operation in described.values():
            operation["parameters"] = [_part(whole, part) for part in operation["parameters"]]
            operation["responses"] = {
                status: _part(whole, part) for status, part in operation["responses"].items()
            }
    return whole


def _part(document: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in part:
        return part
    _, components, section, name = part["$ref"].split("/")
    shared: dict[str, Any] = document[components][section][name]
    return shared
