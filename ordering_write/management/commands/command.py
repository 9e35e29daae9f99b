"""`manage.py command`: gives any command, with its fields as options or as JSON."""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Mapping
from functools import cache
from inspect import cleandoc
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid5

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.db.models import Model
from pydantic import ValidationError
from rest_framework.exceptions import ParseError

from config import processes
from config.accounts.models import User
from config.commands import ServiceCommand
from config.http.answers.encoding import JSONEncoder
from config.http.input.strict_json import loads
from config.http.input.validation import errors_of
from ordering_write import client
from ordering_write.bus import get_command_bus
from ordering_write.domain import commands
from ordering_write.domain.errors import DomainError
from ordering_write.domain.order_numbers import spelled_order_number
from ordering_write.domain.values import Actor
from ordering_write.log import DetachedEventsError, UndecodableEventError
from ordering_write.models import Identifier, Order, StockItem

# The models and columns by which people name orders and products in place of an id.
_NAMES: Mapping[str, tuple[type[Model], str]] = {
    "order_id": (Order, "order_number"),
    "replaces_order_id": (Order, "order_number"),
    "product_id": (StockItem, "sku"),
}
# A prefix that keeps fields apart from other options.
_FIELD = "field:"


class Command(ServiceCommand):
    help = """Give a command, as yourself (cli:<your login>) with every right, or --as a user with
    their rights. `command NAME --help` lists its fields. Orders may be named by their number,
    products by their SKU. Prints the events; a refusal is printed with its reason and ends with
    status 1."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        subparsers = parser.add_subparsers(
            dest="command_name", metavar="NAME", required=True, parser_class=_CommandParser
        )
        for name, command_type in sorted(_command_types().items()):
            about = cleandoc(command_type.__doc__ or "")
            summary = about.partition("\n\n")[0]
            command_parser = subparsers.add_parser(name, help=summary, description=about)
            command_parser.command_type = command_type

    def handle(self, *args: Any, **options: Any) -> None:
        command_type = _command_types()[options["command_name"]]
        try:
            payload = _with_ids(_payload(command_type, options))
            command = command_type.model_validate({**payload, **_envelope(options["as"])})
            self._give(command, options)
        except ValidationError as error:
            mistakes = [
                f"{mistake['pointer']}: {mistake['detail']}" for mistake in errors_of(error)
            ]
            raise CommandError("\n".join(mistakes)) from error
        except (ParseError, DomainError, UndecodableEventError, DetachedEventsError) as error:
            raise CommandError(str(error)) from error

    def _give(self, command: commands.Command, options: Mapping[str, Any]) -> None:
        user = options["as"] and _user(options["as"])
        bus = get_command_bus()
        if options["dry_run"]:
            preview = client.preview(command, user=user) if user else bus.preview(command)
            self.stdout.write(json.dumps(preview, cls=JSONEncoder, indent=2, ensure_ascii=False))
            return
        seconds = options["wait"]
        wait: dict[str, Any] = {} if seconds is None else {"wait_for": (), "timeout": seconds}
        because = ""
        try:
            if user:
                result = client.dispatch(command, user=user, **wait)
            else:
                result = bus.dispatch(command, **wait)
        except client.NotYetVisibleError as error:
            result, because = error.result, error.because
        for event in result:
            envelope = event.recorded
            self.stdout.write(f"{event.type}: {envelope.stream}, version {envelope.version}")
        if not result:
            self.stdout.write("Nothing had to be done.")
        if because:
            self.stdout.write(f"Accepted, not shown yet, because {because}.")


def _command_types() -> dict[str, type[commands.Command]]:
    return {command_type.__name__: command_type for command_type in get_command_bus().commands}


# --- Options -----------------------------------------------------------------------------------
class _CommandParser(CommandParser):
    """Adds the options of its command when it is used: the schemas of all commands take a while."""

    command_type: type[commands.Command] | None = None

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        self._add_options()
        return super().parse_known_args(args, namespace)

    def format_help(self) -> str:
        self._add_options()
        return super().format_help()

    def _add_options(self) -> None:
        if self.command_type:
            _add_options(self, self.command_type)
            self.command_type = None


@cache
def _schema_of(command_type: type[commands.Command]) -> dict[str, Any]:
    return command_type.model_json_schema()


def _add_options(parser: ArgumentParser, command_type: type[commands.Command]) -> None:
    schema = _schema_of(command_type)
    for name in _fields(command_type):
        text = _type_text(schema["properties"][name], schema["$defs"])
        if name in _NAMES:
            text += f" or {_column_text(_NAMES[name][1])}"
        if name in schema["required"]:
            text = f"required, {text}"
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            dest=f"{_FIELD}{name}",
            metavar="VALUE",
            help=text.replace("%", "%%"),
        )
    parser.add_argument("--json", metavar="FILE", help="a JSON object of fields; -: standard input")
    parser.add_argument("--as", metavar="USERNAME", help="the user who gives it, with their rights")
    parser.add_argument(
        "--wait", metavar="SECONDS", type=float, help="wait until all projections show the effect"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="print what the command would do, and undo it"
    )


def _column_text(column: str) -> str:
    return "SKU" if column == "sku" else column.replace("_", " ")


def _fields(command_type: type[commands.Command]) -> list[str]:
    return [name for name in command_type.model_fields if name not in commands.Command.model_fields]


def _type_text(schema: Mapping[str, Any], defs: Mapping[str, Any]) -> str:
    """Return a short text for the type of a field."""
    parts = [part for part in _alternatives(schema, defs) if part.get("type") != "null"]
    return " or ".join(dict.fromkeys(_part_text(part) for part in parts))


def _part_text(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return "one of " + ", ".join(schema["enum"])
    json_type = schema.get("type", "")
    if json_type in ("array", "object"):
        return f"JSON {json_type}"
    words = [schema.get("format", {"string": "text"}.get(json_type, json_type))]
    if "minimum" in schema or "maximum" in schema:
        words.append(f"{schema.get('minimum', '')}..{schema.get('maximum', '')}")
    if "maxLength" in schema:
        words.append(f"of at most {schema['maxLength']} characters")
    if "examples" in schema:
        words.append(f"such as {schema['examples'][0]}")
    return " ".join(words)


def _alternatives(schema: Mapping[str, Any], defs: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    if "$ref" in schema:
        return [defs[schema["$ref"].rpartition("/")[2]]]
    parts = schema.get("anyOf", ())
    return [schema for part in parts for schema in _alternatives(part, defs)] or [schema]


# --- Fields ------------------------------------------------------------------------------------
def _payload(command_type: type[commands.Command], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of the options and of the JSON; an option takes precedence."""
    schema = _schema_of(command_type)
    payload = _read(options["json"]) if options["json"] else {}
    for name in sorted(payload.keys() & commands.Command.model_fields.keys()):
        raise CommandError(f"#/{name}: There is no such field.")
    for name in _fields(command_type):
        text = options[f"{_FIELD}{name}"]
        if text is not None:
            parts = _alternatives(schema["properties"][name], schema["$defs"])
            is_text = any(part.get("type") == "string" for part in parts)
            payload[name] = text if is_text else _parse(name, text)
    return payload


def _read(path: str) -> dict[str, Any]:
    try:
        body = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}.") from error
    if len(body) > settings.MAX_BODY_BYTES:
        raise CommandError(f"{path} is larger than {settings.MAX_BODY_BYTES} bytes.")
    return loads(body)


def _parse(name: str, text: str) -> Any:
    try:
        return loads(f'{{"value": {text}}}'.encode())["value"]
    except ParseError as error:
        raise CommandError(f"#/{name}: {text} is not JSON.") from error


def _with_ids(value: Any) -> Any:
    """Return ``value`` with ids in place of order numbers and SKUs."""
    if isinstance(value, list):
        return [_with_ids(part) for part in value]
    if not isinstance(value, dict):
        return value
    return {
        name: _id(name, part) if name in _NAMES and isinstance(part, str) else _with_ids(part)
        for name, part in value.items()
    }


def _id(field: str, text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        pass
    model, column = _NAMES[field]
    spelled = text if model is StockItem else spelled_order_number(text)
    key = model._default_manager.filter(**{column: spelled}).values_list("pk", flat=True).first()
    if key is None and model is StockItem:
        key = Identifier.owner_of(Identifier.Kind.SKU, text)
    if key is None:
        raise CommandError(f"#/{field}: There is no {_column_text(column)} {text}.")
    return key


def _envelope(username: str | None) -> dict[str, Any]:
    if username:
        return client.envelope(_user(username), channel="cli")
    login = processes.login()
    return {
        "user_id": uuid5(NAMESPACE_OID, f"cli:{login}"),
        "actor": Actor(type="cli", id=login),
        "channel": "cli",
    }


def _user(username: str) -> User:
    user = User.objects.filter(username=username, is_active=True).first()
    if user is None:
        raise CommandError(f"There is no user {username}.")
    return user
