"""What code a projection's rows are made by, as a hash that is kept with the rows."""

import ast
import functools
import hashlib
import inspect

from django.conf import settings
from django.db import connections

from ordering_read.engine.base import Projector, projector

# Whoever calls it in its module books by the store's day.
_STORE_DAY = "store_day("


def definition(name: str) -> str:
    """A hash of the module of a projection, of the columns of its read models and, where it books
    by day, of the store's time zone.

    Comments and layout don't count. Raises UnknownProjectionError.
    """
    code = _code(name)
    if _STORE_DAY in code:
        code += f"\n{settings.STORE_TIME_ZONE}"
    return hashlib.sha256(code.encode()).hexdigest()


@functools.cache
def _code(name: str) -> str:
    kind = projector(name)
    return "\n".join([_source(kind), *_columns(kind)])


def _source(kind: Projector) -> str:
    return ast.unparse(ast.parse(inspect.getsource(inspect.getmodule(kind) or type(kind))))


def _columns(kind: Projector) -> list[str]:
    return [
        f"{model._meta.db_table}.{field.column} {field.db_type(connections['read'])}"
        for model in kind.models
        for field in model._meta.concrete_fields
    ]
