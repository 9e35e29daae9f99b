"""The base of the command handlers, and the registry that ``@handles`` fills."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from config.fields.names import check_name, is_test, taken
from ordering_write.domain.commands import Command
from ordering_write.domain.errors import DomainError, DuplicateEmailError, NoHandlerFoundError
from ordering_write.domain.events import DomainEvent
from ordering_write.models import Aggregate

C = TypeVar("C", bound=Command)


@dataclass(frozen=True)
class Permission:
    """A permission to give commands, and the roles that have it. Admin has every permission."""

    codename: str
    roles: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The permission as Django writes it: ``ordering_write.cancel_order``."""
        return f"ordering_write.{self.codename}"

    @property
    def label(self) -> str:
        return f"Can {self.codename.replace('_', ' ')}"


class CommandHandler(ABC, Generic[C]):
    """Carries out one type of command.

    A handler declares the permission, the possible events and the possible refusals of its command.
    The bus, the API, the admin, `manage.py command` and the reference pages read the declarations.
    The tests fail for an undeclared event or refusal. Refusals that every command can get (a
    missing aggregate, another version) need no declaration.
    """

    # The aggregate that the command is about, and whether the command makes a new one.
    aggregate: ClassVar[type[Aggregate]]
    makes_new: ClassVar[bool] = False
    # False for a command that is given by `manage.py` only, without a route and a form.
    has_route: ClassVar[bool] = True
    permission: ClassVar[Permission]
    events: ClassVar[tuple[type[DomainEvent], ...]]
    refusals: ClassVar[tuple[type[DomainError], ...]] = ()

    @abstractmethod
    def handle(self, command: C) -> list[DomainEvent]:
        """Carry out ``command`` inside the transaction that the bus has opened.

        Returns the events in the order in which they happened. Raises a DomainError to refuse.
        """

    @property
    def permissions(self) -> tuple[Permission, ...]:
        """The permissions of which a user needs one to give some command of this type."""
        return (self.permission,)

    def needed_permission(self, command: C) -> Permission:
        """Return the permission that ``command`` needs, which may depend on its fields."""
        return self.permission

    @property
    def family(self) -> str:
        """The module of the handler, by which pages group commands: ``shipping``.

        The name of the package for a shop's module ``handlers``.
        """
        package, *_, module = type(self).__module__.split(".")
        return package if module == "handlers" else module


_handlers: dict[type[Command], CommandHandler[Any]] = {}
H = TypeVar("H", bound=type[CommandHandler[Any]])


def handles(command_type: type[Command]) -> Callable[[H], H]:
    """Register the decorated class as the handler of ``command_type``.

    Raises RegistrationError for a name that is taken or breaks the rule of ``check_name``.
    """

    def register(handler_type: H) -> H:
        name, module = command_type.__name__, handler_type.__module__
        check_name("command", name, module=module)
        for other, handler in _handlers.items():
            if other.__name__ == name and not is_test(module):
                raise taken("command", name, type(handler).__module__, module)
        handler = handler_type()
        for permission in handler.permissions:
            check_name("permission", permission.codename, module=module)
        _handlers[command_type] = handler
        return handler_type

    return register


def all_handlers() -> Mapping[type[Command], CommandHandler[Any]]:
    """Return the registered handlers by the type of their command."""
    return _handlers


def handler_of(command_type: type[Command]) -> CommandHandler[Any]:
    """Return the handler of ``command_type``. Raises NoHandlerFoundError."""
    if command_type not in _handlers:
        raise NoHandlerFoundError(f"No handler is registered for {command_type.__name__}.")
    return _handlers[command_type]


def duplicate_email(email: str | None) -> dict[str, DomainError]:
    """Return the errors for the constraints that another customer's ``email`` violates."""
    error = DuplicateEmailError(f"Another customer has the e-mail {email}.")
    return {"customer_email_unique": error, "identifier_unique": error}
