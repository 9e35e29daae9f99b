"""Fingerprints the code that makes the rows of a projection; the hash is kept with the rows."""

import ast
import dataclasses
import functools
import hashlib
import inspect
import re
import sys
from collections.abc import Iterator
from enum import Enum
from typing import Annotated, Any, NamedTuple, get_args, get_origin

from django.conf import settings
from django.db import connections
from pydantic import BaseModel

from ordering_read.models import ReadModel
from ordering_read.projector import Projector, projector
from ordering_write.published import DomainEvent

# Code that calls the function books by the store's day.
_STORE_DAY = re.compile(r"(?<!def )store_day\(")


def code_fingerprint(name: str) -> str:
    """Return a hash of the code that makes the rows of a projection.

    The hash covers the modules of the projection and of its read models, the columns, the fields of
    the events that the projection reads, of the documents that its rows embed and of all values in
    these fields, and, where rows are booked by day, the store's time zone. Comments, docstrings and
    layout don't count. Raises UnknownProjectionError.
    """
    code = _code(name)
    digest = code.digest.copy()
    if code.is_by_day:
        digest.update(f"\n{settings.STORE_TIME_ZONE}".encode())
    return digest.hexdigest()


class _Code(NamedTuple):
    """The digest of the code of a projection, and True if the code books rows by day."""

    digest: "hashlib._Hash"
    is_by_day: bool


@functools.cache
def _code(name: str) -> _Code:
    # Cached with its digest: /readyz asks for the fingerprints of all projections.
    projection = projector(name)
    code = "\n".join([*_sources(projection), *_columns(projection), *_fields(projection)])
    return _Code(hashlib.sha256(code.encode()), bool(_STORE_DAY.search(code)))


# --- Modules -----------------------------------------------------------------------------------
def _sources(projection: Projector) -> list[str]:
    """Return the code of the modules of a projection and of its read models.

    Modules of the package of projections that these import are included: a change of code that
    several projections share makes other rows in each of them. So are modules that are named after
    the importing one, such as ``search_words`` after ``search``.
    """
    package = f"{projection.__module__.rpartition('.')[0]}."
    pending = [projection.__module__, *(model.__module__ for model in projection.models)]
    sources: dict[str, str] = {}
    while pending:
        name = pending.pop()
        if name in sources:
            continue
        module = _module(inspect.getsource(sys.modules[name]))
        sources[name] = module.code
        prefixes = (package, f"{name}_")
        pending += [imported for imported in module.imports if imported.startswith(prefixes)]
    return [sources[name] for name in sorted(sources)]


class _Module(NamedTuple):
    """The code of a module without comments, docstrings and layout, and what it imports from."""

    code: str
    imports: tuple[str, ...]


@functools.cache
def _module(source: str) -> _Module:
    # Cached: most modules of models belong to several projections.
    tree = ast.parse(source)
    code = ast.unparse(_without_docstrings(tree))
    imports = (node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))
    return _Module(code, tuple(filter(None, imports)))


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if not isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
            continue
        if ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return tree


# --- Columns and fields ------------------------------------------------------------------------
def _columns(projection: Projector) -> list[str]:
    return [
        f"{model._meta.db_table}.{field.column} {field.db_type(connections['read'])}"
        for model in projection.models
        for field in model._meta.concrete_fields
    ]


def _fields(projection: Projector) -> list[str]:
    """Return a line for each field of the events, the embedded documents and their values."""
    # No projection of ours reads the fields of an event that a shop's app has added to our streams.
    packages = {"ordering_write", _package(projection)}
    pending: list[Any] = [
        event_type
        for event_type in DomainEvent.types.values()
        if issubclass(event_type, projection.events)
        if _package(event_type) in packages or event_type in projection.events
    ]
    for model in projection.models:
        if issubclass(model, ReadModel):
            pending += model.documents.values()
    classes: set[type] = set()
    while pending:
        for cls in _classes(pending.pop()):
            if cls not in classes:
                classes.add(cls)
                pending += _fields_of_class(cls).values
    return sorted(line for cls in classes for line in _fields_of_class(cls).lines)


def _package(thing: Any) -> str:
    return str(thing.__module__).partition(".")[0]


class _Fields(NamedTuple):
    """A line for each field of a class, and the classes of the values in these fields."""

    lines: tuple[str, ...]
    values: frozenset[type]


@functools.cache
def _fields_of_class(cls: type) -> _Fields:
    # Cached: most events and values belong to several projections.
    fields = list(_fields_of(cls))
    lines = (
        f"{cls.__qualname__}.{name}: {_text(annotation)} = {default}"
        for name, annotation, default in fields
    )
    values = (value for _, annotation, _ in fields for value in _classes(annotation))
    return _Fields(tuple(lines), frozenset(values))


def _classes(annotation: Any) -> Iterator[type]:
    """Yield the classes with fields that an annotation names."""
    if isinstance(annotation, type) and (
        issubclass(annotation, (BaseModel, Enum)) or dataclasses.is_dataclass(annotation)
    ):
        yield annotation
    for argument in get_args(annotation):
        yield from _classes(argument)


def _fields_of(cls: Any) -> Iterator[tuple[str, Any, str]]:
    """Yield the name, the annotation and the default of each field, or member of an enum."""
    if issubclass(cls, Enum):
        for member in cls:
            yield member.name, type(member.value), repr(member.value)
    elif dataclasses.is_dataclass(cls):
        for field in dataclasses.fields(cls):
            is_required = field.default is dataclasses.MISSING
            yield field.name, field.type, "required" if is_required else repr(field.default)
    else:
        for name, field in cls.model_fields.items():
            default = field.default_factory or field.get_default()
            yield name, field.annotation, "required" if field.is_required() else repr(default)
    if issubclass(cls, DomainEvent):
        # An upcaster that makes another payload of stored events comes with a new version.
        yield "schema_version", int, repr(cls.schema_version)


def _text(annotation: Any) -> str:
    """Return an annotation as text, without the metadata of ``Annotated``."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _text(arguments[0])
    if arguments:
        return f"{_text(origin)}[{', '.join(map(_text, arguments))}]"
    return annotation.__qualname__ if isinstance(annotation, type) else repr(annotation)
