"""What screens and scripts may import: the commands, and how a user gives one."""

from collections.abc import Sequence

from config.accounts.models import User
from ordering_write.bus import Answering, NotYetVisibleError, Outcome, get_command_bus
from ordering_write.bus.actions import Action, actions_of
from ordering_write.bus.permissions import authorize, envelope, may_give
from ordering_write.bus.preview import Preview
from ordering_write.domain import commands
from ordering_write.domain.commands import *  # noqa: F403  # All that there are.
from ordering_write.domain.errors import DomainError
from ordering_write.domain.events import WHOLE_ORDER_MOVES, OrderStatus

__all__ = [
    "WHOLE_ORDER_MOVES",
    "Action",
    "DomainError",
    "NotYetVisibleError",
    "OrderStatus",
    "Outcome",
    "Preview",
    "actions_of",
    "dispatch",
    "envelope",
    "may_give",
    "preview",
]
__all__ += commands.__all__


def dispatch(
    command: commands.Command,
    *,
    user: User,
    answering: Answering | None = None,
    wait_for: Sequence[str] | None = None,
    timeout: float = 2.0,
) -> Outcome:
    """Carry out ``command`` for ``user``; see ``CommandBus.dispatch``.

    Raises NotPermittedError before anything else happens when the user may not give it.
    """
    authorize(user, command)
    return get_command_bus().dispatch(
        command, answering=answering, wait_for=wait_for, timeout=timeout
    )


def preview(command: commands.Command, *, user: User) -> Preview:
    """What ``dispatch`` would do for ``user``, of which nothing stays; see ``CommandBus.preview``.

    Raises NotPermittedError when the user may not give it.
    """
    authorize(user, command)
    return get_command_bus().preview(command)
