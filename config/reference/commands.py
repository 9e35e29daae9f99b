"""A page for each command: its fields, permissions, addresses, events and refusals."""

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from config import shop_apps
from config.http.answers import problems
from ordering_write.api import CustomerCommands, OrderCommands, StockCommands
from ordering_write.api.bodies import body_of
from ordering_write.api.routes import CommandRoutes
from ordering_write.domain.commands import Command
from ordering_write.handlers import CommandHandler, all_handlers, handler_of

_HEAD = """\
# Commands

`manage.py write_docs` writes these pages from the code. Over HTTP every command takes
`Idempotency-Key`, `If-Match` and `?dry_run=true`. In a shell the same is
`manage.py command NAME --dry-run`, and the admin has a form for each command that has an address.

"""


def pages(package: str) -> dict[str, str]:
    """Return the pages by the names of their files: one for each command, and a list of them.

    ``package`` has the handlers of the commands.
    """
    commands = [command for command in _addresses() if _package_of(command) == package]
    rows = [
        f"| [{command.__name__}]({command.__name__}.md) | {_first_line(command)} |"
        for command in commands
    ]
    index = _HEAD + "| command | what it does |\n|---|---|\n" + "\n".join(rows) + "\n"
    return {"README.md": index} | {f"{command.__name__}.md": _page(command) for command in commands}


def _page(command: type[Command]) -> str:
    handler = handler_of(command)
    # Our pages are the same beside every shop, whose events an erasure can raise too.
    own = ("ordering_write", _package_of(command))
    events = sorted(e.__name__ for e in handler.events if e.__module__.partition(".")[0] in own)
    addresses = [f"* `{verb} {path}`" for verb, path in _addresses()[command]]
    parts = [
        f"# {command.__name__}",
        re.sub(r"``", "`", (command.__doc__ or "").strip().replace("\n    ", "\n")),
        "## Fields\n\n" + _fields(command),
        "## Permission\n\n" + _permissions(handler),
        "## Where\n\n" + "\n".join([*addresses, f"* `manage.py command {command.__name__}`"]),
        "## Events\n\n" + ", ".join(f"`{name}`" for name in events) + ".",
        "## Refusals\n\n" + _refusals(handler),
    ]
    return "\n\n".join(parts) + "\n"


def _package_of(command: type[Command]) -> str:
    return type(handler_of(command)).__module__.partition(".")[0]


def _first_line(command: type[Command]) -> str:
    return (command.__doc__ or "").strip().splitlines()[0]


# --- Fields ------------------------------------------------------------------------------------
def _fields(command: type[Command]) -> str:
    schema = body_of(command).model_json_schema()
    return _tables(schema) or "None."


def _tables(schema: Mapping[str, Any]) -> str:
    """Return the table of the fields of ``schema``, and one table for each kind of object in it."""
    defs, titles = schema.get("$defs", {}), list[str]()
    tables = [_table(schema, defs, titles)]
    # The list grows by the titles in the tables.
    for title in titles:
        tables.append(f"`{title}`:\n\n{_table(defs[title], defs, titles)}")
    return "\n\n".join(tables)


def _table(schema: Mapping[str, Any], defs: Mapping[str, Any], titles: list[str]) -> str:
    """Return the table of the fields of an object; add the titles of objects to ``titles``."""
    rows: list[str] = []
    for name, field in schema.get("properties", {}).items():
        required = "yes" if name in schema.get("required", []) else "no"
        rows.append(f"| `{name}` | {_type(field, defs, titles)} | {required} |")
    if not rows:
        return ""
    return "| field | type | required |\n|---|---|---|\n" + "\n".join(rows)


def _type(field: Mapping[str, Any], defs: Mapping[str, Any], titles: list[str]) -> str:
    """Return the type of a field as text; add the titles of objects to ``titles``."""
    if "$ref" in field:
        title = field["$ref"].rpartition("/")[2]
        if "enum" in defs[title]:
            return _one_of(defs[title]["enum"])
        if title not in titles:
            titles.append(title)
        return f"`{title}`"
    if "anyOf" in field:
        types = [_type(part, defs, titles) for part in field["anyOf"] if part != {"type": "null"}]
        return " or ".join(types)
    if "enum" in field:
        return _one_of(field["enum"])
    if field.get("type") == "array":
        size = f", {field.get('minItems', 0)} to {field['maxItems']}" if "maxItems" in field else ""
        return f"list of {_type(field['items'], defs, titles)}{size}"
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
    type_ = field.get("format") or field.get("type") or "value"
    bounds = [text.format(field[name]) for name, text in _BOUNDS.items() if field.get(name)]
    return ", ".join([type_, *bounds]).replace("|", r"\|")


# --- Permission and addresses ------------------------------------------------------------------
def _permissions(handler: CommandHandler[Any]) -> str:
    return "\n".join(
        f"* `{permission.codename}`: {', '.join([*permission.roles, 'Admin'])}"
        for permission in handler.permissions
    )


def _addresses() -> Mapping[type[Command], list[tuple[str, str]]]:
    """Return the verbs and paths of each command, in the order of the route tables.

    Commands without a route come last.
    """
    addresses: dict[type[Command], list[tuple[str, str]]] = defaultdict(list)
    shop_apps.load("routes")
    ours: list[type[CommandRoutes]] = [OrderCommands, StockCommands, CustomerCommands]
    for endpoint in [*ours, *(table for table in CommandRoutes.tables if table not in ours)]:
        for route in endpoint.routes:
            parts = [endpoint.address]
            if not route.makes_resource:
                parts.append(f"{{{endpoint.id_name}}}")
            if route.path:
                parts.append(route.path)
            addresses[route.command].append((route.verb, "/".join(parts)))
    for command, handler in all_handlers().items():
        if not handler.has_route:
            addresses[command] = []
    return addresses


# --- Refusals ----------------------------------------------------------------------------------
_ANY = (
    "Every command can also be refused for a body that doesn't fit (422), an id that names nothing "
    "(404), a missing permission (403) or a change by somebody else (409, 412)."
)


def _refusals(handler: CommandHandler[Any]) -> str:
    if not handler.refusals:
        return _ANY
    rows = ["| refusal | status | problem | message |", "|---|---|---|---|"]
    for error in sorted(handler.refusals, key=lambda error: error.__name__):
        problem = problems.problem_of(error)
        message = " ".join((error.__doc__ or "").split())
        rows.append(f"| `{error.__name__}` | {problem.status} | {problem.slug} | {message} |")
    return "\n".join([*rows, "", _ANY])
