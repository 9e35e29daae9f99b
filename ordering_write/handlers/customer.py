"""Handlers of the commands about customers."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, TypeVar
from uuid import UUID

from uuid_utils.compat import uuid7

from config.accounts.erasure import erase_accounts_of
from config.accounts.roles import Role
from ordering_write.domain import commands as c
from ordering_write.domain import errors
from ordering_write.domain import events as e
from ordering_write.domain.events import DomainEvent
from ordering_write.domain.values import ERASED
from ordering_write.handlers.base import CommandHandler, Permission, duplicate_email, handles
from ordering_write.models import (
    Aggregate,
    CommandRecord,
    CommandRefusal,
    Customer,
    Order,
    OutboxEvent,
    PersonalData,
    Timer,
    aggregate_types,
    save,
)


@handles(c.RegisterCustomer)
class RegisterCustomerHandler(CommandHandler[c.RegisterCustomer]):
    aggregate = Customer
    makes_new = True
    permission = Permission("register_customer", (Role.CLERK, Role.INTEGRATION))
    events = (e.CustomerRegistered, e.CustomerMetadataChanged)
    refusals = (errors.DuplicateCustomerError, errors.DuplicateEmailError)

    def handle(self, command: c.RegisterCustomer) -> list[DomainEvent]:
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
        customer.set_metadata(command.metadata, now=command.timestamp)
        duplicate = errors.DuplicateCustomerError(f"Customer {customer_id} is registered already.")
        return save(
            [customer],
            caused_by=command,
            duplicates={
                **duplicate_email(command.email),
                "ordering_write_customer_pkey": duplicate,
                "event_stream_version_unique": duplicate,
            },
        )


C = TypeVar("C", c.ChangeCustomerDetails, c.SetCustomerMetadata, c.BlockCustomer, c.UnblockCustomer)


class CustomerHandler(CommandHandler[C]):
    """Loads a customer, calls ``act`` and saves the customer."""

    aggregate = Customer
    refusals: ClassVar[tuple[type[errors.DomainError], ...]] = (errors.CustomerErasedError,)

    def handle(self, command: C) -> list[DomainEvent]:
        customer = Customer.load(command.customer_id, customer_scope=command.customer_scope)
        customer.expect(command.expected_version)
        self.act(customer, command)
        return save([customer], caused_by=command, duplicates=duplicate_email(customer.email))

    @abstractmethod
    def act(self, customer: Customer, command: C) -> None:
        """Call the method of ``customer`` that ``command`` asks for."""


@handles(c.ChangeCustomerDetails)
class ChangeCustomerDetailsHandler(CustomerHandler[c.ChangeCustomerDetails]):
    permission = Permission("change_customer_details", (Role.CLERK, Role.INTEGRATION))
    events = (e.CustomerDetailsChanged,)
    refusals = (errors.CustomerErasedError, errors.DuplicateEmailError)

    def act(self, customer: Customer, command: c.ChangeCustomerDetails) -> None:
        customer.change_details(
            name=command.name, email=command.email, phone=command.phone, now=command.timestamp
        )


@handles(c.SetCustomerMetadata)
class SetCustomerMetadataHandler(CustomerHandler[c.SetCustomerMetadata]):
    permission = Permission("set_customer_metadata", (Role.CLERK, Role.INTEGRATION))
    events = (e.CustomerMetadataChanged,)
    refusals = (errors.CustomerErasedError, errors.TooManyPairsError)

    def act(self, customer: Customer, command: c.SetCustomerMetadata) -> None:
        customer.set_metadata(command.metadata, now=command.timestamp)


@handles(c.BlockCustomer)
class BlockCustomerHandler(CustomerHandler[c.BlockCustomer]):
    permission = Permission("block_customer", (Role.CLERK,))
    events = (e.CustomerBlocked,)

    def act(self, customer: Customer, command: c.BlockCustomer) -> None:
        customer.block(command.reason, now=command.timestamp)


@handles(c.UnblockCustomer)
class UnblockCustomerHandler(CustomerHandler[c.UnblockCustomer]):
    permission = Permission("unblock_customer", (Role.CLERK,))
    events = (e.CustomerUnblocked,)

    def act(self, customer: Customer, command: c.UnblockCustomer) -> None:
        customer.unblock(command.reason, now=command.timestamp)


# --- Erasure -------------------------------------------------------------------------------------
@handles(c.EraseCustomer)
class EraseCustomerHandler(CommandHandler[c.EraseCustomer]):
    """Erases the personal data of a customer in one transaction; the sales stay in the books.

    The log never held personal fields: they are in rows beside it. Without those rows the events
    read as erased, now and whenever they are read again. CustomerErased counts what was erased, and
    each order and each aggregate of a shop's app that belongs to the customer gets the event of
    its ``anonymized_by``, so that readers correct their copies.
    """

    aggregate = Customer
    permission = Permission("erase_customer")
    refusals = (errors.CustomerErasedError, errors.HasOpenOrdersError)

    @property
    def events(self) -> tuple[type[DomainEvent], ...]:  # type: ignore[override]
        others = (aggregate_type.anonymized_by for aggregate_type in _other_types())
        return (e.CustomerErased, e.OrderAnonymized, *filter(None, others))

    def handle(self, command: c.EraseCustomer) -> list[DomainEvent]:
        # This lock waits for orders that are being placed: they hold the row of their customer.
        customer = Customer.load(command.customer_id, customer_scope=command.customer_scope)
        customer.expect(command.expected_version)
        customer.refuse_if_erased()
        orders = Order.load_all_of(customer.pk)
        _refuse_open(orders)
        others = [row for each in _other_types() for row in _locked(each, customer.pk)]
        counts = _erase(customer, orders, others)
        for aggregate in (*orders, *others):
            aggregate.anonymize(now=command.timestamp)
        customer.erase(command.reason, erased=counts, now=command.timestamp)
        return save([customer, *orders, *others], caused_by=command)


def _other_types() -> list[type[Aggregate]]:
    """Return the aggregates of shops' apps whose events have personal fields of a customer."""
    return [
        aggregate_type
        for aggregate_type in aggregate_types().values()
        if aggregate_type.anonymized_by and aggregate_type not in (Customer, Order)
    ]


def _locked(aggregate_type: type[Aggregate], customer_id: UUID) -> Sequence[Aggregate]:
    key = aggregate_type._meta.pk.column
    return aggregate_type.lock(f"customer_id = %s ORDER BY {key}", [customer_id])


def _refuse_open(orders: Sequence[Order]) -> None:
    if numbers := [order.order_number for order in orders if not order.is_settled]:
        first_numbers = ", ".join(numbers[:5]) + (" and others" if len(numbers) > 5 else "")
        raise errors.HasOpenOrdersError(
            f"The customer has {len(numbers)} open order{'s' if len(numbers) > 1 else ''}, returns"
            f" and refunds included: {first_numbers}. Close them first."
        )


def _erase(
    customer: Customer, orders: Sequence[Order], others: Sequence[Aggregate]
) -> dict[str, int]:
    """Delete the personal data of ``customer``; return the number of each kind."""
    personal_fields, _ = PersonalData.objects.filter(customer_id=customer.pk).delete()
    # The fingerprint of a command is a digest of its payload, from which a phone number can be
    # guessed. A repeated command is still refused: by its events.
    streams = [aggregate.stream for aggregate in (customer, *orders, *others)]
    events = OutboxEvent.objects.filter(stream__in=streams)
    commands, _ = CommandRecord.objects.filter(pk__in=events.values("command_id")).delete()
    refusals, _ = CommandRefusal.objects.filter(stream__in=streams).delete()
    # The error of a timer may quote the notice that it couldn't send.
    Timer.objects.filter(stream__in=streams).exclude(error="").update(error=ERASED)
    return {
        "personal_fields": personal_fields,
        "orders": len(orders),
        "commands": commands,
        "refusals": refusals,
        **erase_accounts_of(customer.pk),
    }
