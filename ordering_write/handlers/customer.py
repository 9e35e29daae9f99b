"""Handlers of the commands about customers; erasing one is in ``erasing``."""

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from uuid_utils.compat import uuid7

from ordering_write.domain import events as e
from ordering_write.domain.commands import (
    BlockCustomer,
    ChangeCustomerDetails,
    RegisterCustomer,
    UnblockCustomer,
)
from ordering_write.domain.errors import DuplicateCustomerError, DuplicateEmailError
from ordering_write.domain.events import DomainEvent
from ordering_write.handlers.base import CommandHandler, unique
from ordering_write.models import Customer, save


class RegisterCustomerHandler(CommandHandler[RegisterCustomer]):
    """Make a customer known."""

    def handle(self, command: RegisterCustomer) -> list[DomainEvent]:
        customer_id = command.customer_id or uuid7()
        customer = Customer.register(
            e.CustomerRegistered(
                timestamp=command.timestamp,
                customer_id=customer_id,
                name=command.name,
                email=command.email,
                phone=command.phone,
            )
        )
        id_taken = DuplicateCustomerError(f"Customer {customer_id} is registered already.")
        with _unique_email(command.email), unique({"ordering_write_customer_pkey": id_taken}):
            return save([customer], caused_by=command)


@contextmanager
def _unique_email(email: str | None) -> Iterator[None]:
    taken = DuplicateEmailError(f"Another customer has the e-mail {email}.")
    with unique({"customer_email_unique": taken}):
        yield


C = TypeVar("C", ChangeCustomerDetails, BlockCustomer, UnblockCustomer)


class _KnownCustomerHandler(CommandHandler[C]):
    """The base of the handlers that change a customer who is there."""

    def handle(self, command: C) -> list[DomainEvent]:
        customer = Customer.load(command.customer_id, customer_scope=command.customer_scope)
        customer.expect(command.expected_version)
        self.change(customer, command)
        return save([customer], caused_by=command)

    @abstractmethod
    def change(self, customer: Customer, command: C) -> None:
        """Do to ``customer`` what ``command`` asks for."""


class ChangeCustomerDetailsHandler(_KnownCustomerHandler[ChangeCustomerDetails]):
    """Change what a customer is called and how to reach them."""

    def handle(self, command: ChangeCustomerDetails) -> list[DomainEvent]:
        with _unique_email(command.email):
            return super().handle(command)

    def change(self, customer: Customer, command: ChangeCustomerDetails) -> None:
        customer.change_details(
            name=command.name, email=command.email, phone=command.phone, now=command.timestamp
        )


class BlockCustomerHandler(_KnownCustomerHandler[BlockCustomer]):
    """Keep a customer from ordering."""

    def change(self, customer: Customer, command: BlockCustomer) -> None:
        customer.block(command.reason, now=command.timestamp)


class UnblockCustomerHandler(_KnownCustomerHandler[UnblockCustomer]):
    """Let a blocked customer order again."""

    def change(self, customer: Customer, command: UnblockCustomer) -> None:
        customer.unblock(command.reason, now=command.timestamp)
