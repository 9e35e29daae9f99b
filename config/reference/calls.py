"""What a handler may raise and emit, read off its code and that of what it calls."""

import ast
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from textwrap import dedent
from types import FunctionType, ModuleType
from typing import Any

from ordering_write.domain.errors import DomainError
from ordering_write.domain.events import DomainEvent
from ordering_write.handlers import CommandHandler
from ordering_write.handlers.order import base as order_handlers
from ordering_write.models import Customer, Order, StockItem

# What variables of these names are.
_KNOWN: dict[str, type] = {
    "order": Order,
    "customer": Customer,
    "product": StockItem,
    "item": StockItem,
    "stock": StockItem,
}


@dataclass
class Found:
    """The events and refusals that some code names, by their names."""

    events: set[str] = field(default_factory=set)
    refusals: set[type[DomainError]] = field(default_factory=set)


def of_handler(handler: type[CommandHandler[Any]]) -> Found:
    """What ``handler`` may emit and refuse with, what it does to the stock included."""
    found = Found()
    seen: set[Any] = set()
    if not issubclass(handler, order_handlers.OrderHandler):
        for owner in handler.__mro__:
            for method in filter(inspect.isfunction, vars(owner).values()):
                _follow(method, handler, found, seen)
        return found
    _follow(handler.act, handler, found, seen)
    for event, move in _stock_moves():
        if event in found.events:
            _follow(move, StockItem, found, seen)
    return found


def _follow(function: Callable[..., Any], owner: type, found: Found, seen: set[Any]) -> None:
    """Note what ``function``, a method of ``owner``, names, and go on into what it calls."""
    function = inspect.unwrap(getattr(function, "__func__", function))
    if not isinstance(function, FunctionType) or (function, owner) in seen:
        return
    seen.add((function, owner))
    # Nor what dataclasses make, which has no source.
    is_ours = function.__module__.startswith("ordering_write.")
    if not is_ours or function.__code__.co_filename.startswith("<"):
        return
    names = {**function.__globals__, **_KNOWN, "self": owner, "cls": owner}
    for node in _named(ast.parse(dedent(inspect.getsource(function)))):
        value = _value(node, names)
        if isinstance(value, type) and issubclass(value, DomainError):
            found.refusals.add(value)
        elif isinstance(value, type) and value in DomainEvent.types.values():
            found.events.add(value.__name__)
        elif isinstance(value, type) and value.__module__.startswith("ordering_write.handlers"):
            for method in filter(inspect.isfunction, vars(value).values()):
                _follow(method, value, found, seen)
        elif isinstance(value, FunctionType):
            of = _value(node.value, names) if isinstance(node, ast.Attribute) else None
            _follow(value, of if isinstance(of, type) else owner, found, seen)
        elif isinstance(value, property) and value.fget:
            _follow(value.fget, owner, found, seen)


def _named(tree: ast.AST) -> Iterator[ast.Name | ast.Attribute]:
    """The names in ``tree``, but for those that only ask what something is, or annotate it."""
    for node in ast.iter_child_nodes(tree):
        match node:
            case ast.MatchClass() | ast.arguments() | ast.ExceptHandler(type=None):
                continue
            case ast.Call(func=ast.Name(id="isinstance")):
                continue
            case ast.Name() | ast.Attribute():
                yield node
        if isinstance(node, ast.FunctionDef):
            # Not what it says that it returns.
            for inner in node.body:
                yield from _named(inner)
            continue
        yield from _named(node)


def _value(node: ast.AST, names: dict[str, Any]) -> Any:
    """What a name stands for, None when that can't be told."""
    match node:
        case ast.Name(id=name):
            return names.get(name)
        case ast.Subscript(value=value):
            return _value(value, names)
        case ast.Attribute(value=value, attr=attr):
            owner = _value(value, names)
            if isinstance(owner, ModuleType):
                return getattr(owner, attr, None)
            if isinstance(owner, type):
                return inspect.getattr_static(owner, attr, None)
        case ast.Call(func=ast.Name(id="super")):
            return None
    return None


@cache
def _stock_moves() -> tuple[tuple[str, Callable[..., Any]], ...]:
    """The events of an order that move stock, each with the method of StockItem that does it."""
    tree = ast.parse(dedent(inspect.getsource(order_handlers._moves)))
    moves = []
    for case in ast.walk(tree):
        if not isinstance(case, ast.match_case):
            continue
        patterns = [node for node in ast.walk(case.pattern) if isinstance(node, ast.MatchClass)]
        events = [node.cls.attr for node in patterns if isinstance(node.cls, ast.Attribute)]
        methods = [
            node.attr
            for node in ast.walk(ast.Module(body=case.body, type_ignores=[]))
            if isinstance(node, ast.Attribute) and _value(node.value, {"StockItem": StockItem})
        ]
        moves += [(event, getattr(StockItem, method)) for event in events for method in methods]
    return tuple(moves)
