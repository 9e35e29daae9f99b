"""The names of the public surface, which shops import, as the last release has them.

    .venv/bin/python -m tests.names_of_surface

stores the names of today. Do it for a release: a name that is stored stays.
"""

import ast
import json
import os
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import django

from config.management import public_surface

FILE = Path(__file__).parent / "data" / "public_surface.json"


def names() -> dict[str, list[str]]:
    """Return the public names of each module of the surface."""
    modules = {module for part in public_surface.BY_PART.values() for module in part}
    return {module: sorted(set(_names_of(module))) for module in sorted(modules)}


def _names_of(name: str) -> Iterator[str]:
    """Yield the names in ``__all__``, or those that the module defines or takes over whole."""
    module = import_module(name)
    if hasattr(module, "__all__"):
        yield from module.__all__
        return
    for node in ast.parse(Path(str(module.__file__)).read_text()).body:
        match node:
            case ast.ImportFrom(module=str(source), names=[ast.alias(name="*")]):
                yield from _names_of(source)
            case ast.ClassDef() | ast.FunctionDef():
                yield from _public(node.name)
            case ast.Assign(targets=[ast.Name(id=text)]) | ast.AnnAssign(target=ast.Name(id=text)):
                yield from _public(text)


def _public(name: str) -> list[str]:
    # A name of one letter is a type variable.
    return [] if name.startswith("_") or len(name) == 1 else [name]


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    FILE.write_text(json.dumps(names(), indent=1) + "\n")
