"""One handler per command: load aggregates, call one method on each, save them."""

# Importing a module registers its handlers.
from ordering_write.handlers import customer, stock
from ordering_write.handlers.base import CommandHandler, Permission, all_handlers, handler_of
from ordering_write.handlers.order import (
    adjusting,
    annotating,
    creating,
    editing,
    importing,
    paying,
    placing,
    returning,
    shipping,
)

__all__ = [
    "CommandHandler",
    "Permission",
    "adjusting",
    "all_handlers",
    "annotating",
    "creating",
    "customer",
    "editing",
    "handler_of",
    "importing",
    "paying",
    "placing",
    "returning",
    "shipping",
    "stock",
]
