"""What commands, their fields and their effects are called on the pages of the admin."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.utils.timezone import localtime

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
    """What a preview says would change, in words: what it is, and what it was and would be."""
    return [
        (
            ", ".join(names.get(step) or words(step) for step in change.path.split("/")[1:]),
            _text(change.before, names),
            _text(change.after, names),
        )
        for change in changes
    ]


def _text(value: Any, names: Mapping[str, str]) -> str:
    match value:
        case None | "" | () | []:
            return ""
        case Mapping():
            told = {words(key): _text(part, names) for key, part in value.items()}
            return ", ".join(f"{key}: {text}" for key, text in told.items() if text)
        case list() | tuple():
            return "; ".join(_text(part, names) for part in value)
        case datetime():
            return f"{localtime(value):%Y-%m-%d %H:%M}"
        case _:
            return names.get(str(value)) or str(value)
