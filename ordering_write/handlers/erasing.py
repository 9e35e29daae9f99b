"""Erasing a customer: what is personal goes, for good; what was sold to them stays in the books."""

from collections.abc import Sequence

from config.accounts.erasure import erase_accounts_of
from ordering_write.domain.commands import EraseCustomer
from ordering_write.domain.errors import HasOpenOrdersError
from ordering_write.domain.events import DomainEvent
from ordering_write.domain.values import ERASED
from ordering_write.handlers.base import CommandHandler
from ordering_write.models import (
    CommandRecord,
    Customer,
    Order,
    OutboxEvent,
    PersonalData,
    Timer,
    save,
)


class EraseCustomerHandler(CommandHandler[EraseCustomer]):
    """Erase a customer, all of it in one transaction.

    Personal fields were never in the log, only beside it: without them its events read as erased,
    now and whenever they are read again. CustomerErased counts what was erased, and every order of
    the customer says that it was, so that whoever has copied it from their events corrects that.
    """

    def handle(self, command: EraseCustomer) -> list[DomainEvent]:
        # Orders that are being placed hold the customer's row, so there is none that isn't seen.
        customer = Customer.load(command.customer_id, customer_scope=command.customer_scope)
        customer.expect(command.expected_version)
        customer.refuse_if_erased()
        orders = Order.load_all_of(customer.pk)
        _refuse_open(orders)
        erased = _erase(customer, orders)
        for order in orders:
            order.anonymize(now=command.timestamp)
        customer.erase(command.reason, erased=erased, now=command.timestamp)
        return save([customer, *orders], caused_by=command)


def _refuse_open(orders: Sequence[Order]) -> None:
    if numbers := [order.order_number for order in orders if not order.is_settled]:
        shown = ", ".join(numbers[:5]) + (" and others" if len(numbers) > 5 else "")
        raise HasOpenOrdersError(
            f"The customer has {len(numbers)} open order{'s' if len(numbers) > 1 else ''}, returns"
            f" and refunds included: {shown}. Close them first."
        )


def _erase(customer: Customer, orders: Sequence[Order]) -> dict[str, int]:
    """Erase what the write side knows of ``customer``; how much that was, by its kind."""
    personal_fields, _ = PersonalData.objects.filter(customer_id=customer.pk).delete()
    # Their fingerprints are digests of what was asked for, from which a phone number can be
    # guessed. A command that comes again is refused by its events.
    streams = [customer.stream, *(order.stream for order in orders)]
    told = OutboxEvent.objects.filter(stream__in=streams)
    commands, _ = CommandRecord.objects.filter(pk__in=told.values("command_id")).delete()
    # Why a timer failed may quote what it was to tell whom.
    Timer.objects.filter(stream__in=streams).exclude(error="").update(error=ERASED)
    return {
        "personal_fields": personal_fields,
        "orders": len(orders),
        "commands": commands,
        **erase_accounts_of(customer.pk),
    }
