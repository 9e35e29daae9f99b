"""What code a projection's rows are made by, as a hash that is kept with the rows."""

import ast
import functools
import hashlib
import inspect

from django.db import connections

from ordering_read.engine.base import Projector, projector


@functools.cache
def definition(name: str) -> str:
    """A hash of the module of a projection and of the columns of its read models.

    Comments and layout don't count. Raises UnknownProjectionError.
    """
    kind = projector(name)
    return hashlib.sha256("\n".join([_source(kind), *_columns(kind)]).encode()).hexdigest()


def _source(kind: Projector) -> str:
    return ast.unparse(ast.parse(inspect.getsource(inspect.getmodule(kind) or type(kind))))


def _columns(kind: Projector) -> list[str]:
    return [
        f"{model._meta.db_table}.{field.column} {field.db_type(connections['read'])}"
        for model in kind.models
        for field in model._meta.concrete_fields
    ]
