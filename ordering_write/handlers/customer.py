"""Handlers of the commands about customers."""

from uuid_utils.compat import uuid7

from ordering_write.domain import events as e
from ordering_write.domain.commands import RegisterCustomer
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
        email_taken = DuplicateEmailError(f"Another customer has the e-mail {command.email}.")
        id_taken = DuplicateCustomerError(f"Customer {customer_id} is registered already.")
        with unique(
            {
                "customer_email_unique": email_taken,
                "ordering_write_customer_pkey": id_taken,
            }
        ):
            return save([customer], caused_by=command)
