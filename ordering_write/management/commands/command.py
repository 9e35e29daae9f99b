"""`manage.py command`: gives any command, its fields as options or as JSON."""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Mapping
from inspect import cleandoc
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid5

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db.models import Model
from pydantic import ValidationError
from rest_framework.exceptions import ParseError

from config import processes
from config.accounts.models import User
from config.http.answers.encoding import JSONEncoder
from config.http.input.strict_json import loads
from config.http.input.validation import errors_of
from ordering_write import client
from ordering_write.bus import bus
from ordering_write.domain import commands
from ordering_write.domain.errors import DomainError
from ordering_write.domain.values import Actor
from ordering_write.log import UndecodableEventError
from ordering_write.models import Order, StockItem

# What people call orders and products by, in place of an id.
_NAMES: Mapping[str, tuple[type[Model], str]] = {
    "order_id": (Order, "order_number"),
    "replaces_order_id": (Order, "order_number"),
    "product_id": (StockItem, "sku"),
}
# So that no field is taken for an option of ours.
_FIELD = "field:"


class Command(BaseCommand):
    help = """Give a command, as yourself (cli:<your login>) with every right, or --as a user with
    theirs. `command NAME --help` lists its fields. Orders may be named by their number, products by
    their SKU. What it caused is printed; a refusal says why, and ends with status 1."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        kinds = parser.add_subparsers(dest="kind", metavar="NAME", required=True)
        for kind in sorted(bus.get_command_bus().commands, key=lambda each: each.__name__):
            about = cleandoc(kind.__doc__ or "")
            summary = about.partition("\n\n")[0]
            _add_options(kinds.add_parser(kind.__name__, help=summary, description=about), kind)

    def handle(self, *args: Any, **options: Any) -> None:
        kinds = {kind.__name__: kind for kind in bus.get_command_bus().commands}
        kind = kinds[options["kind"]]
        try:
            command = kind.model_validate(
                {**_named(_payload(kind, options)), **_envelope(options["as"])}
            )
            self._give(command, options)
        except ValidationError as error:
            complaints = [f"{each['pointer']}: {each['detail']}" for each in errors_of(error)]
            raise CommandError("\n".join(complaints)) from error
        except (ParseError, DomainError, UndecodableEventError) as error:
            raise CommandError(str(error)) from error

    def _give(self, command: commands.Command, options: Mapping[str, Any]) -> None:
        user = options["as"] and _user(options["as"])
        if options["dry_run"]:
            preview = (
                client.preview(command, user=user)
                if user
                else bus.get_command_bus().preview(command)
            )
            self.stdout.write(json.dumps(preview, cls=JSONEncoder, indent=2, ensure_ascii=False))
            return
        outcome = (
            client.dispatch(command, user=user) if user else bus.get_command_bus().dispatch(command)
        )
        for event in outcome:
            known = event.recorded
            self.stdout.write(f"{event.type}: {known.stream}, version {known.version}")
        if not outcome:
            self.stdout.write("Nothing had to be done.")


def _add_options(parser: ArgumentParser, kind: type[commands.Command]) -> None:
    schema = kind.model_json_schema()
    for name in _fields(kind):
        field = schema["properties"][name]
        told = _told(field, schema["$defs"])
        if name in _NAMES:
            told += f" or {_words(_NAMES[name][1])}"
        if name in schema["required"]:
            told = f"required, {told}"
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            dest=f"{_FIELD}{name}",
            metavar="VALUE",
            help=told.replace("%", "%%"),
        )
    parser.add_argument("--json", metavar="FILE", help="a JSON object of fields; -: standard input")
    parser.add_argument("--as", metavar="USERNAME", help="who gives it, whose rights apply")
    parser.add_argument(
        "--dry-run", action="store_true", help="print what it would do, and do nothing"
    )


def _words(column: str) -> str:
    return "SKU" if column == "sku" else column.replace("_", " ")


def _fields(kind: type[commands.Command]) -> list[str]:
    return [name for name in kind.model_fields if name not in commands.Command.model_fields]


def _told(schema: Mapping[str, Any], defs: Mapping[str, Any]) -> str:
    """The type of a field, in a few words."""
    parts = [part for part in _alternatives(schema, defs) if part.get("type") != "null"]
    return " or ".join(dict.fromkeys(_told_one(part) for part in parts))


def _told_one(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return "one of " + ", ".join(schema["enum"])
    kind = schema.get("type", "")
    if kind in ("array", "object"):
        return f"JSON {kind}"
    words = [schema.get("format", {"string": "text"}.get(kind, kind))]
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
    return [one for part in schema.get("anyOf", ()) for one in _alternatives(part, defs)] or [
        schema
    ]


def _payload(kind: type[commands.Command], options: Mapping[str, Any]) -> dict[str, Any]:
    """What the options and the JSON say, the options first."""
    schema = kind.model_json_schema()
    payload = _read(options["json"]) if options["json"] else {}
    for name in sorted(payload.keys() & commands.Command.model_fields.keys()):
        raise CommandError(f"#/{name}: There is no such field.")
    for name in _fields(kind):
        text = options[f"{_FIELD}{name}"]
        if text is not None:
            parts = _alternatives(schema["properties"][name], schema["$defs"])
            is_text = any(part.get("type") == "string" for part in parts)
            payload[name] = text if is_text else _parsed(name, text)
    return payload


def _read(path: str) -> dict[str, Any]:
    try:
        body = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}.") from error
    if len(body) > settings.MAX_BODY_BYTES:
        raise CommandError(f"{path} is larger than {settings.MAX_BODY_BYTES} bytes.")
    return loads(body)


def _parsed(name: str, text: str) -> Any:
    try:
        return loads(f'{{"value": {text}}}'.encode())["value"]
    except ParseError as error:
        raise CommandError(f"#/{name}: {text} is not JSON.") from error


def _named(value: Any) -> Any:
    """``value`` with ids in place of order numbers and SKUs."""
    if isinstance(value, list):
        return [_named(part) for part in value]
    if not isinstance(value, dict):
        return value
    return {
        name: _id_of(name, part) if name in _NAMES and isinstance(part, str) else _named(part)
        for name, part in value.items()
    }


def _id_of(field: str, written: str) -> UUID:
    try:
        return UUID(written)
    except ValueError:
        pass
    model, column = _NAMES[field]
    found = model._default_manager.filter(**{column: written}).values_list("pk", flat=True).first()
    if found is None:
        raise CommandError(f"#/{field}: There is no {_words(column)} {written}.")
    return found


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
