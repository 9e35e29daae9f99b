"""A page for each command: what it asks for, who may give it, what comes of it."""

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from config.http.answers import problems
from config.reference import calls
from ordering_write.api import CustomerCommands, OrderCommands, StockCommands
from ordering_write.api.bodies import body_of
from ordering_write.bus.permissions import GRANTS
from ordering_write.domain.commands import Command
from ordering_write.handlers import HANDLERS

_HEAD = """\
# Commands

Written by `manage.py write_docs` from the classes. Over HTTP each takes `Idempotency-Key`,
`If-Match` and `?dry_run=true`; `manage.py command NAME --dry-run` is the same from a shell, and its
form is in the admin.

"""


def pages() -> dict[str, str]:
    """The pages by the names of their files: one for each command, and a list of them."""
    listed = [
        f"| [{command.__name__}]({command.__name__}.md) | {_first_line(command)} |"
        for command in HANDLERS
    ]
    index = _HEAD + "| command | what it does |\n|---|---|\n" + "\n".join(listed) + "\n"
    return {"README.md": index} | {f"{command.__name__}.md": _page(command) for command in HANDLERS}


def _page(command: type[Command]) -> str:
    found = calls.of_handler(HANDLERS[command])
    parts = [
        f"# {command.__name__}",
        re.sub(r"``", "`", (command.__doc__ or "").strip().replace("\n    ", "\n")),
        "## Fields\n\n" + _fields(command),
        "## Who may give it\n\n" + _permissions(command),
        "## Where\n\n" + _addresses(command),
        "## Events\n\n" + ", ".join(f"`{name}`" for name in sorted(found.events)) + ".",
        "## Refusals\n\n" + _refusals(found),
    ]
    return "\n\n".join(parts) + "\n"


def _first_line(command: type[Command]) -> str:
    return (command.__doc__ or "").strip().splitlines()[0]


# --- Fields ------------------------------------------------------------------------------------
def _fields(command: type[Command]) -> str:
    schema = body_of(command).model_json_schema()
    return _table(schema, schema.get("$defs", {})) or "None."


def _table(schema: Mapping[str, Any], defs: Mapping[str, Any]) -> str:
    rows: list[str] = []
    inner: dict[str, None] = {}
    for name, field in schema.get("properties", {}).items():
        needed = "yes" if name in schema.get("required", []) else "no"
        rows.append(f"| `{name}` | {_type(field, defs, inner)} | {needed} |")
    if not rows:
        return ""
    table = "| field | type | required |\n|---|---|---|\n" + "\n".join(rows)
    for title in inner:
        table += f"\n\n`{title}`:\n\n{_table(defs[title], defs)}"
    return table


def _type(field: Mapping[str, Any], defs: Mapping[str, Any], inner: dict[str, None]) -> str:
    if "$ref" in field:
        title = field["$ref"].rpartition("/")[2]
        if "enum" in defs[title]:
            return _one_of(defs[title]["enum"])
        inner[title] = None
        return f"`{title}`"
    if "anyOf" in field:
        kinds = [_type(kind, defs, inner) for kind in field["anyOf"] if kind != {"type": "null"}]
        return " or ".join(kinds)
    if "enum" in field:
        return _one_of(field["enum"])
    if field.get("type") == "array":
        most = f", {field.get('minItems', 0)} to {field['maxItems']}" if "maxItems" in field else ""
        return f"list of {_type(field['items'], defs, inner)}{most}"
    return _scalar(field)


def _one_of(values: list[str]) -> str:
    return "one of " + ", ".join(f"`{value}`" for value in values)


_BOUNDS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "exclusiveMinimum": "more than {}",
    "minLength": "{} characters or more",
    "maxLength": "{} characters at most",
    "pattern": "`{}`",
}


def _scalar(field: Mapping[str, Any]) -> str:
    kind = field.get("format") or field.get("type") or "value"
    bounds = [text.format(field[name]) for name, text in _BOUNDS.items() if field.get(name)]
    return ", ".join([kind, *bounds]).replace("|", r"\|")


# --- Who and where -----------------------------------------------------------------------------
def _permissions(command: type[Command]) -> str:
    lines = []
    for codename in command.permissions:
        roles = [role for role, held in GRANTS.items() if codename in held]
        lines.append(f"* `{codename}`: {', '.join([*roles, 'Admin'])}")
    return "\n".join(lines)


def _addresses(command: type[Command]) -> str:
    found = [f"* `{verb} {path}`" for verb, path in _routes()[command]]
    return "\n".join([*found, f"* `manage.py command {command.__name__}`"])


def _routes() -> Mapping[type[Command], list[tuple[str, str]]]:
    found: dict[type[Command], list[tuple[str, str]]] = defaultdict(list)
    for endpoint in (OrderCommands, StockCommands, CustomerCommands):
        for route in endpoint.routes:
            parts = [endpoint.address]
            if not route.makes_resource:
                parts.append(f"{{{endpoint.key}}}")
            if route.path:
                parts.append(route.path)
            found[route.command].append((route.verb, "/".join(parts)))
    return found


# --- Refusals ----------------------------------------------------------------------------------
_ANY = (
    "\nBeside those that any command may meet: a body that doesn't fit (422), nothing with such an "
    "id (404), no permission (403), somebody else's change (409, 412)."
)


def _refusals(found: calls.Found) -> str:
    rows = ["| refusal | status | problem | message |", "|---|---|---|---|"]
    for error in sorted(found.refusals, key=lambda each: each.__name__):
        problem = problems.problem_of(error)
        message = " ".join((error.__doc__ or "").split())
        rows.append(f"| `{error.__name__}` | {problem.status} | {problem.slug} | {message} |")
    rows.append(_ANY)
    return "\n".join(rows) if len(rows) > 3 else rows[-1].strip()
