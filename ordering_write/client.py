"""The interface for screens and scripts: the commands, and functions to give them as a user."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from config.accounts.models import User
from ordering_write import bulk
from ordering_write.bus import (
    CommandResult,
    NotYetVisibleError,
    ResponseRecorder,
    get_command_bus,
)
from ordering_write.bus import refusals as kept_refusals
from ordering_write.bus.actions import Action, actions_of
from ordering_write.bus.permissions import authorize, envelope, may_dispatch
from ordering_write.bus.preview import Preview
from ordering_write.domain import commands
from ordering_write.domain.commands import *
from ordering_write.domain.errors import DomainError, NotPermittedError, VersionConflictError
from ordering_write.domain.events import WHOLE_ORDER_MOVES, OrderStatus
from ordering_write.handlers import all_handlers

__all__ = [
    "WHOLE_ORDER_MOVES",
    "Action",
    "CommandResult",
    "DomainError",
    "NotYetVisibleError",
    "OrderStatus",
    "Preview",
    "VersionConflictError",
    "actions_of",
    "bulk",
    "commands_about",
    "commands_making",
    "dispatch",
    "envelope",
    "may_dispatch",
    "preview",
    "refusals_of",
]


def commands_about(aggregate: str) -> Mapping[str, Sequence[type[commands.Command]]]:
    """Return the commands with a form about an existing aggregate, by their family (``shipping``).

    ``aggregate`` is the prefix of its streams: ``order``, ``stock`` or ``customer``.
    """
    families: dict[str, list[type[commands.Command]]] = defaultdict(list)
    for command_type, handler in all_handlers().items():
        is_about = handler.aggregate.stream_prefix == aggregate
        if is_about and handler.has_route and not handler.makes_new:
            families[handler.family].append(command_type)
    return families


def commands_making(aggregate: str) -> Sequence[type[commands.Command]]:
    """Return the commands that make a new aggregate; see ``commands_about``."""
    return [
        command_type
        for command_type, handler in all_handlers().items()
        if handler.aggregate.stream_prefix == aggregate and handler.has_route and handler.makes_new
    ]


def refusals_of(stream: str, *, most: int) -> int:
    """Return the number of kept refusals about ``stream``; counts no more than ``most``."""
    return kept_refusals.count(stream, most=most)


def dispatch(
    command: commands.Command,
    *,
    user: User,
    record_response: ResponseRecorder | None = None,
    wait_for: Sequence[str] | None = None,
    timeout: float = 2.0,
) -> CommandResult:
    """Carry out ``command`` for ``user``; see ``CommandBus.dispatch``.

    Raises NotPermittedError, before anything else happens, when ``user`` may not give the command.
    """
    try:
        authorize(user, command)
    except NotPermittedError as error:
        kept_refusals.keep(kept_refusals.Attempt.of(command), error)
        raise
    return get_command_bus().dispatch(
        command, record_response=record_response, wait_for=wait_for, timeout=timeout
    )


def preview(command: commands.Command, *, user: User) -> Preview:
    """Return what ``dispatch`` would do for ``user``, and undo it; see ``CommandBus.preview``.

    Raises NotPermittedError when ``user`` may not give the command.
    """
    authorize(user, command)
    return get_command_bus().preview(command)
