"""The handler that imports an order of the past.

Dispatched units move no stock, and policies ignore the events. Units that are still to be sent are
reserved, because they would be sold twice otherwise.
"""

from django.conf import settings
from uuid_utils.compat import uuid7

from config.accounts.roles import Role
from ordering_write.domain import commands as c
from ordering_write.domain import errors
from ordering_write.domain import events as e
from ordering_write.domain.events import DomainEvent
from ordering_write.domain.order_numbers import spelled_order_number
from ordering_write.domain.values import Money
from ordering_write.handlers.base import CommandHandler, Permission, duplicate_email, handles
from ordering_write.handlers.order import amounts, creating
from ordering_write.handlers.order.base import happened_at
from ordering_write.handlers.order.import_facts import apply_facts
from ordering_write.models import Customer, Order, StockItem, save
from ordering_write.models.order.editing import refuse_too_large


@handles(c.ImportOrder)
class ImportOrderHandler(CommandHandler[c.ImportOrder]):
    """Imports an order with its number, or refuses it whole."""

    aggregate = Order
    makes_new = True
    has_route = False
    permission = Permission("import_order", (Role.INTEGRATION,))
    events = (
        e.CustomerRegistered,
        e.NoteAdded,
        e.OrderAdjustmentAdded,
        e.OrderCancelled,
        e.OrderCreated,
        e.OrderItemAdded,
        e.OrderItemsCancelled,
        e.OrderMetadataChanged,
        e.OrderStatusChanged,
        e.OrderTagged,
        e.PaymentRecorded,
        e.RefundRequested,
        e.RefundSettled,
        e.ReturnReceived,
        e.ReturnRequested,
        e.ShipmentCreated,
        e.ShipmentDelivered,
        e.ShipmentDispatched,
        e.ShipmentFailed,
        e.StockReserved,
    )
    refusals = (
        errors.CustomerErasedError,
        errors.DuplicateEmailError,
        errors.DuplicateNumberError,
        errors.DuplicateReferenceError,
        errors.ImpossibleFactError,
        errors.InFutureError,
        errors.InsufficientInventoryError,
        errors.StatusMismatchError,
        errors.TooManyTagsError,
        errors.TooManyUnitsError,
        errors.UnknownProductError,
        *amounts.REFUSALS,
    )

    def handle(self, command: c.ImportOrder) -> list[DomainEvent]:
        customer = creating.guest(command.customer, now=command.placed_at)
        if customer is None or customer.status == Customer.Status.ERASED:
            # The customer was erased since the e-mail address was looked up.
            raise errors.CustomerErasedError
        order = _imported(command, customer)
        number = errors.DuplicateNumberError(
            f"There is an order with the number {order.order_number}.", pointer="#/number"
        )
        reference = errors.DuplicateReferenceError(
            f"There is an order with the external reference {command.external_reference!r}.",
            pointer="#/external_reference",
        )
        new_customers = [customer] if customer.raised_events else []
        return save(
            [order, *new_customers, *_reserved(order, command)],
            caused_by=command,
            duplicates={
                **duplicate_email(customer.email),
                "ordering_write_order_order_number_key": number,
                "order_reference_unique": reference,
                "identifier_unique": reference,
            },
        )


def _imported(command: c.ImportOrder, customer: Customer) -> Order:
    """Return the order after all facts of ``command``. Raises a FieldError."""
    created = _order_created(command, customer)
    items = _items(command, created)
    adjustments = amounts.adjustments_of(command, created, items, price_adjustments=())
    order = Order.create(created=created, items=items, adjustments=adjustments)
    refuse_too_large(order.total, "#/items")
    creating.annotate(order, command, now=order.placed_at)
    apply_facts(order, command)
    return order


def _reserved(order: Order, command: c.ImportOrder) -> list[StockItem]:
    """Return the products of which units are reserved for ``order``: those still to be sent."""
    lines = [line for line in order.lines.values() if line.unshipped]
    stock = StockItem.load_all({line.product_id for line in lines}) if lines else {}
    for line in lines:
        key = (order.id, line.id)
        stock[line.product_id].reserve(key, line.unshipped, now=command.timestamp)
    return list(stock.values())


def _order_created(command: c.ImportOrder, customer: Customer) -> e.OrderCreated:
    placed_at = happened_at(command.placed_at, now=command.timestamp, pointer="#/placed_at")
    number = command.number and spelled_order_number(command.number)
    billing_address = command.billing_address
    return e.OrderCreated(
        timestamp=placed_at,
        order_id=uuid7(),
        customer_id=customer.pk,
        order_number=number or creating.next_order_number(command, placed_at),
        customer=e.Person(name=command.customer.name, email=command.customer.email),
        shipping_address=creating.postal_address(command.shipping_address),
        billing_address=creating.postal_address(billing_address) if billing_address else None,
        currency=command.currency or settings.DEFAULT_CURRENCY,
        placed_at=placed_at,
        source=command.by.id,
        external_reference=command.external_reference,
        po_number=command.po_number,
    )


def _items(command: c.ImportOrder, created: e.OrderCreated) -> list[e.OrderItemAdded]:
    products = StockItem.find_by_sku({item.sku for item in command.items})
    items = []
    for number, item in enumerate(command.items):
        pointer = f"#/items/{number}"
        product = products.get(item.sku)
        if product is None:
            raise errors.UnknownProductError(
                f"There is no product with the SKU {item.sku}.", pointer=f"{pointer}/sku"
            )
        items.append(_item(item, product, created, pointer))
    return items


def _item(
    item: c.ImportedItem, product: StockItem, created: e.OrderCreated, pointer: str
) -> e.OrderItemAdded:
    currency = created.currency
    amounts.refuse_fractions(item.unit_price, currency, f"{pointer}/unit_price")
    list_value = Money.of(item.unit_price * item.quantity, currency)
    discount = amounts.line_discount(
        item.discount, list_value.amount, currency, f"{pointer}/discount"
    )
    net = list_value.amount - (discount.amount if discount else 0)
    return e.OrderItemAdded(
        timestamp=created.timestamp,
        order_id=created.order_id,
        line_id=uuid7(),
        product_id=product.pk,
        sku=product.sku,
        name=item.name or product.name,
        quantity=item.quantity,
        unit_price=Money.of(item.unit_price, currency),
        line_total=list_value,
        price_source="client",
        discount=discount,
        taxes=amounts.given_taxes(item.taxes, net, currency, f"{pointer}/taxes"),
    )
