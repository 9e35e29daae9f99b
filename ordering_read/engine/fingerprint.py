"""What code a projection's rows are made by, as a hash that is kept with the rows."""

import ast
import functools
import hashlib
import inspect
import re
import sys

from django.conf import settings
from django.db import connections

from ordering_read.projector import Projector, projector

# Whoever calls it books by the store's day.
_STORE_DAY = re.compile(r"(?<!def )store_day\(")


def code_fingerprint(name: str) -> str:
    """A hash of the code that makes the rows of a projection, of their columns and, where it books
    by day, of the store's time zone.

    Comments and layout don't count. Raises UnknownProjectionError.
    """
    code = _code(name)
    if _STORE_DAY.search(code):
        code += f"\n{settings.STORE_TIME_ZONE}"
    return hashlib.sha256(code.encode()).hexdigest()


@functools.cache
def _code(name: str) -> str:
    kind = projector(name)
    return "\n".join([_source(kind), *_columns(kind)])


def _source(kind: Projector) -> str:
    """The modules of a projection and of its read models, and what the first imports of its own
    package: of what several projections share, a change makes other rows in each of them."""
    package = f"{kind.__module__.rpartition('.')[0]}."
    left = [kind.__module__, *(model.__module__ for model in kind.models)]
    sources: dict[str, str] = {}
    while left:
        name = left.pop()
        if name in sources:
            continue
        tree = ast.parse(inspect.getsource(sys.modules[name]))
        sources[name] = ast.unparse(tree)
        imports = (node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))
        left += [each for each in imports if each and each.startswith(package)]
    return "\n".join(sources[name] for name in sorted(sources))


def _columns(kind: Projector) -> list[str]:
    return [
        f"{model._meta.db_table}.{field.column} {field.db_type(connections['read'])}"
        for model in kind.models
        for field in model._meta.concrete_fields
    ]
