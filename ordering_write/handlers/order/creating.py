"""The handler that places an order: it checks the customer, prices the lines, reserves the stock.

The stock is reserved in the same transaction: a check now and a reservation later would sell units
that aren't there.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import cast
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection
from uuid_utils.compat import uuid7

from config.accounts.roles import Role
from config.databases import prepared
from ordering_write.domain import commands as c
from ordering_write.domain import errors
from ordering_write.domain import events as e
from ordering_write.domain.events import DomainEvent
from ordering_write.domain.order_numbers import order_number
from ordering_write.domain.values import Address
from ordering_write.handlers.base import CommandHandler, Permission, duplicate_email, handles
from ordering_write.handlers.order import amounts, limits, pricing, taxes
from ordering_write.log import outbox
from ordering_write.models import Customer, Order, StockItem, save, unit_of_work
from ordering_write.models.order.editing import refuse_too_large

Stock = Mapping[UUID, StockItem]

# Draws numbers until one is free: an imported order may have a number ahead of the sequence.
_NEXT_NUMBER = """
WITH RECURSIVE drawn (number) AS (
    SELECT nextval('order_number_seq')
    UNION ALL
    SELECT nextval('order_number_seq') FROM drawn WHERE EXISTS (
        SELECT FROM ordering_write_order
        WHERE order_number = %s || lpad(number::text, greatest(6, length(number::text)), '0')
    )
)
SELECT max(number) FROM drawn
"""

# Fields by which customers could set their price, skip the shop's consent, block stock, order for
# others or deceive programs that read metadata.
_SHOP_ONLY = ("adjustments", "auto_confirm", "customer", "metadata", "reserve_for", "tags")
_SHOP_ONLY_OF_ITEMS = ("discount", "metadata", "taxes")


@handles(c.CreateOrder)
class CreateOrderHandler(CommandHandler[c.CreateOrder]):
    """Places an order and reserves all of its units, or does neither."""

    aggregate = Order
    makes_new = True
    permission = Permission("create_order", (Role.CUSTOMER, Role.CLERK, Role.INTEGRATION))
    events = (
        e.CustomerRegistered,
        e.LostUnitsMadeGood,
        e.NoteAdded,
        e.OrderAdjustmentAdded,
        e.OrderCreated,
        e.OrderItemAdded,
        e.OrderMetadataChanged,
        e.OrderReplaced,
        e.OrderStatusChanged,
        e.OrderTagged,
        e.StockReserved,
    )
    refusals = (
        errors.AddressMissingError,
        errors.CustomerBlockedError,
        errors.CustomerErasedError,
        errors.DuplicateEmailError,
        errors.DuplicateReferenceError,
        errors.InsufficientInventoryError,
        errors.ShopOnlyError,
        errors.TooManyTagsError,
        errors.TooManyUnitsError,
        errors.UnknownCustomerError,
        errors.UnknownOrderError,
        *limits.REFUSALS,
        *pricing.REFUSALS,
    )

    def handle(self, command: c.CreateOrder) -> list[DomainEvent]:
        _refuse_shop_fields(command)
        customer = ordering_customer(command)
        replaced = _replaced_order(command, customer)
        number = replaced.order_number if replaced else None
        # The actor orders on behalf of this customer, who may be a guest.
        command = command.model_copy(update={"customer_id": customer.pk})
        order, stock = place(command, customer, order_id=uuid7(), replaces_order_number=number)
        if replaced is not None:
            replaced.replace_by(order, now=command.timestamp)
        duplicate = errors.DuplicateReferenceError(
            f"There is an order with the external reference {command.external_reference!r}.",
            pointer="#/external_reference",
        )
        orders = [order, replaced] if replaced else [order]
        new_customers = [customer] if customer.raised_events else []
        return save(
            [*orders, *new_customers, *stock.values()],
            caused_by=command,
            duplicates={
                **duplicate_email(customer.email),
                "order_reference_unique": duplicate,
                "identifier_unique": duplicate,
            },
        )


def place(
    command: c.CreateOrder,
    customer: Customer,
    *,
    order_id: UUID,
    replaces_order_number: str | None = None,
) -> tuple[Order, Stock]:
    """Return the order that ``command`` places, and the stock that it reserves; neither is saved.

    Locks the products, so the customer must be locked. Raises a DomainError.
    """
    limits.check(command, customer.pk, orders=1, units=sum(item.quantity for item in command.items))
    currency = command.currency or settings.DEFAULT_CURRENCY
    stock = StockItem.load_all({item.product_id for item in command.items})
    items, price_adjustments = pricing.priced_items(
        command, customer.pk, order_id=order_id, currency=currency, stock=stock
    )
    if command.shipping_address is None and any(map(pricing.is_shipped, items)):
        raise errors.AddressMissingError(pointer="#/shipping_address")
    refuse_shortages(items, stock)
    created = _order_created(command, order_id, customer, currency)
    created = created.model_copy(update={"replaces_order_number": replaces_order_number})
    adjustments = amounts.adjustments_of(command, created, items, price_adjustments)
    order = Order.create(
        created=created,
        items=items,
        adjustments=adjustments,
        ask_taxes=taxes.of_new_order(created),
    )
    refuse_too_large(order.total, "#/items")
    annotate(order, command, now=command.timestamp)
    if command.auto_confirm:
        order.confirm(now=command.timestamp)
    for line in order.lines.values():
        stock[line.product_id].reserve((order.id, line.id), line.ordered, now=command.timestamp)
    return order, stock


def _refuse_shop_fields(command: c.CreateOrder) -> None:
    if command.customer_scope is None:
        return
    for name in _SHOP_ONLY:
        if getattr(command, name):
            raise errors.ShopOnlyError(pointer=f"#/{name}")
    refuse_shop_fields_of(command.items, "#/items")


def refuse_shop_fields_of(items: Iterable[c.PricedItem], pointer: str) -> None:
    """Raise ShopOnlyError for an item, below ``pointer``, with a field that only the shop sets."""
    for number, item in enumerate(items):
        for name in _SHOP_ONLY_OF_ITEMS:
            if getattr(item, name, None):
                raise errors.ShopOnlyError(pointer=f"{pointer}/{number}/{name}")
        if item.requires_shipping is False:
            raise errors.ShopOnlyError(pointer=f"{pointer}/{number}/requires_shipping")


def ordering_customer(command: c.CreateOrder) -> Customer:
    """Return the customer who orders, the row locked.

    Raises a DomainError for a customer who can't order.
    """
    is_visible = command.customer_scope in (None, command.customer_id)
    is_bound = limits.bind(command)
    if command.customer:
        customer = guest(command.customer, alone=is_bound, now=command.timestamp)
    else:
        customer_id = cast(UUID, command.customer_id)
        customer = Customer.find(customer_id, alone=is_bound) if is_visible else None
    if customer is None:
        raise errors.UnknownCustomerError(
            f"There is no customer {command.customer_id}.", pointer="#/customer_id"
        )
    if customer.status == Customer.Status.ERASED:
        raise errors.CustomerErasedError
    if customer.status == Customer.Status.BLOCKED:
        raise errors.CustomerBlockedError
    return customer


def guest(person: c.Guest, *, alone: bool = False, now: datetime) -> Customer | None:
    """Return the customer with the e-mail address of ``person``, or a new one, who isn't saved.

    A customer who exists keeps the name and the phone. Of parallel orders, one makes the customer.
    """
    registered = e.CustomerRegistered(
        timestamp=now,
        customer_id=uuid7(),
        name=person.name,
        email=person.email,
        phone=person.phone,
    )
    new_customer = Customer.register(registered)
    owner_id = new_customer.claim_email()
    return new_customer if owner_id == new_customer.pk else Customer.find(owner_id, alone=alone)


def _replaced_order(command: c.CreateOrder, customer: Customer) -> Order | None:
    """Return the order that the new order replaces, locked. Raises UnknownOrderError."""
    replaced_id = command.replaces_order_id
    if replaced_id is None:
        return None
    try:
        return Order.load(replaced_id, customer_scope=customer.pk)
    except errors.OrderNotFoundError:
        raise errors.UnknownOrderError(
            f"The customer has no order {replaced_id}.", pointer="#/replaces_order_id"
        ) from None


def refuse_shortages(items: Iterable[e.OrderItemAdded | e.ExchangeLine], stock: Stock) -> None:
    """Raise InsufficientInventoryError unless ``stock`` has the units of all ``items``."""
    demand = Counter[UUID]()
    for item in items:
        demand[item.product_id] += item.quantity
    shortages = [
        shortage
        for product_id, quantity in demand.items()
        if (shortage := stock[product_id].shortage(quantity))
    ]
    if shortages:
        raise errors.InsufficientInventoryError(shortages)


def _order_created(
    command: c.CreateOrder, order_id: UUID, customer: Customer, currency: str
) -> e.OrderCreated:
    reserve_for = command.reserve_for or timedelta(hours=settings.RESERVE_FOR_HOURS)
    shipping_address, billing_address = command.shipping_address, command.billing_address
    return e.OrderCreated(
        timestamp=command.timestamp,
        order_id=order_id,
        customer_id=customer.pk,
        order_number=next_order_number(command, command.timestamp),
        customer=customer.person,
        shipping_address=postal_address(shipping_address) if shipping_address else None,
        billing_address=postal_address(billing_address) if billing_address else None,
        currency=currency,
        placed_at=command.timestamp,
        expires_at=command.timestamp + reserve_for if reserve_for else None,
        source=command.by.id,
        external_reference=command.external_reference,
        po_number=command.po_number,
        replaces_order_id=command.replaces_order_id,
    )


def annotate(order: Order, command: c.CreateOrder | c.ImportOrder, *, now: datetime) -> None:
    """Add the metadata, the tags and the note of ``command`` to a new order."""
    items: Iterable[c.NewItem | c.ImportedItem] = command.items
    order.set_metadata(command.metadata, now=now)
    for line_id, item in zip(order.lines, items, strict=True):
        order.set_metadata(item.metadata, line_id=line_id, now=now)
    for tag in command.tags:
        order.tag(tag, now=now)
    if command.note:
        order.add_note(command.note, note_id=uuid7(), now=now)


def postal_address(address: Address) -> e.PostalAddress:
    return e.PostalAddress(**address.model_dump())


def next_order_number(command: c.Command, placed_at: datetime) -> str:
    """Return the next order number, the store's year and a running number: unique, with gaps.

    A dry run doesn't use up a number.
    """
    if outbox.is_dry_run():
        # Unique too, so that dry runs don't wait for each other.
        return command.command_id.hex[:20]
    year = placed_at.astimezone(ZoneInfo(settings.STORE_TIME_ZONE)).year
    # Orders that a unit of work has yet to write have other numbers of the sequence; a number that
    # was imported within the unit is refused by the constraint.
    with unit_of_work.held_back():
        [(number,)] = prepared.fetch(connection.alias, _NEXT_NUMBER, [f"{year}-"])
    return order_number(year, number)
