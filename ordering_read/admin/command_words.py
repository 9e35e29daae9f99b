"""What commands, their fields and their effects are called on the pages of the admin."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.utils.timezone import localtime

from ordering_read.admin.base import uuid_in
from ordering_write.client import Command


def slug_of(kind: type[Command]) -> str:
    """The name of a command in addresses: ``cancel_order``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()


def title_of(kind: type[Command]) -> str:
    """What a command is called on a button: ``Cancel order``."""
    return in_words(kind.__name__)


def in_words(name: str) -> str:
    """The name of a class as people read it: ``Order cancelled``."""
    return re.sub(r"(?<!^)(?=[A-Z])", " ", name).capitalize()


def words(name: str) -> str:
    """The name of a field as people read it: ``Shipping address``."""
    text = name.removesuffix("_id").replace("_", " ")
    return text[:1].upper() + text[1:]


def told_changes(changes: Iterable[Any], names: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """What a preview says would change, in words: what it is, and what it was and would be.

    ``names`` are those of ids; what has none is left out, since it says nothing to people.
    """
    told = [
        (
            ", ".join(filter(None, (_step(step, names) for step in change.path.split("/")[1:]))),
            _text(change.before, names),
            _text(change.after, names),
        )
        for change in changes
    ]
    return [(what, before, after) for what, before, after in told if before != after]


def _step(step: str, names: Mapping[str, str]) -> str:
    return names.get(step) or ("" if uuid_in(step) else words(step))


def _text(value: Any, names: Mapping[str, str]) -> str:
    match value:
        case None | "":
            return ""
        case {"amount": amount, "currency": currency}:
            return f"{amount} {currency}"
        case Mapping():
            parts = {_step(key, names): _text(part, names) for key, part in value.items() if part}
            told = (f"{name}: {text}" if name else text for name, text in parts.items() if text)
            return ", ".join(told)
        case list() | tuple():
            return "; ".join(_text(part, names) for part in value)
        case datetime():
            return f"{localtime(value):%Y-%m-%d %H:%M}"
    text = str(value)
    return names.get(text) or ("" if uuid_in(text) else text)
