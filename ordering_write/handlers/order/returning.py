"""Handlers of the commands about returns."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from uuid_utils.compat import uuid7

from config.accounts.roles import Role
from ordering_write import log
from ordering_write.domain import commands as c
from ordering_write.domain import errors
from ordering_write.domain import events as e
from ordering_write.domain.events import DomainEvent
from ordering_write.domain.service_ids import service_id
from ordering_write.domain.values import Address
from ordering_write.handlers.base import Permission, handles
from ordering_write.handlers.order import creating, pricing
from ordering_write.handlers.order.base import Caller, OrderHandler
from ordering_write.models import Customer, Order, StockItem, save


@handles(c.RequestReturn)
class RequestReturnHandler(OrderHandler[c.RequestReturn]):
    permission = Permission("request_return", (Role.CUSTOMER, Role.CLERK))
    events = (e.ReturnRequested,)
    refusals = (
        errors.ExceedsDeliveredError,
        errors.InsufficientInventoryError,
        errors.RepeatedLineError,
        errors.ReturnWindowClosedError,
        errors.ShopOnlyError,
        errors.UnknownLineError,
        *pricing.REFUSALS,
    )

    def guard(self, order: Order, caller: Caller) -> None:
        order.may_request_return(window=_return_window(), now=caller.now)

    def act(self, order: Order, command: c.RequestReturn) -> None:
        order.request_return(
            command.items,
            return_id=uuid7(),
            exchange_for=_exchange_lines(command, order),
            window=_return_window(),
            now=command.timestamp,
        )


def _exchange_lines(command: c.RequestReturn, order: Order) -> list[e.ExchangeLine]:
    """Return the new lines with the prices agreed now. Raises an error of pricing or stock."""
    if not command.exchange_for:
        return []
    if command.customer_scope is not None:
        creating.refuse_shop_fields_of(command.exchange_for, "#/exchange_for")
    stock = StockItem.load_all({item.product_id for item in command.exchange_for})
    lines = [
        e.ExchangeLine(**{name: getattr(line, name) for name in e.ExchangeLine.model_fields})
        for line in pricing.priced_exchange(command, order, stock)
    ]
    creating.refuse_shortages(lines, stock)
    return lines


@handles(c.ReceiveReturn)
class ReceiveReturnHandler(OrderHandler[c.ReceiveReturn]):
    permission = Permission("receive_return", (Role.WAREHOUSE, Role.INTEGRATION))
    events = (e.ReturnReceived, e.StockReturned)
    refusals = (
        errors.ExceedsRequestedError,
        errors.RepeatedLineError,
        errors.ReturnClosedError,
        errors.ReturnNotFoundError,
        errors.TooManyUnitsError,
        errors.UnknownLineError,
    )

    def guard(self, order: Order, caller: Caller) -> None:
        order.may_receive_return()

    def act(self, order: Order, command: c.ReceiveReturn) -> None:
        order.receive_return(command.return_id, command.items, now=command.timestamp)


@handles(c.RejectReturn)
class RejectReturnHandler(OrderHandler[c.RejectReturn]):
    permission = Permission("reject_return", (Role.WAREHOUSE, Role.INTEGRATION))
    events = (e.ReturnRejected,)
    refusals = (errors.ReturnClosedError, errors.ReturnNotFoundError)

    def guard(self, order: Order, caller: Caller) -> None:
        order.may_receive_return()

    def act(self, order: Order, command: c.RejectReturn) -> None:
        order.reject_return(command.return_id, command.reason, now=command.timestamp)


@handles(c.PlaceExchange)
class PlaceExchangeHandler(OrderHandler[c.PlaceExchange]):
    """Places the order for the new lines of a return, in one transaction with the transfer."""

    permission = Permission("place_exchange", (Role.CLERK, Role.INTEGRATION))
    events = (
        e.CreditTransferred,
        e.ExchangeFailed,
        e.OrderAdjustmentAdded,
        e.OrderCreated,
        e.OrderItemAdded,
        e.OrderReplaced,
        e.StockReserved,
    )
    refusals = (errors.ExchangeNotDueError, errors.ReturnNotFoundError)

    def guard(self, order: Order, caller: Caller) -> None:
        order.may_place_exchange()

    def handle(self, command: c.PlaceExchange) -> list[DomainEvent]:
        history = _history(command)
        Customer.find(history[0].customer_id)  # Locks the customer before the order.
        order = Order.load(command.order_id)
        order.expect(command.expected_version)
        self.act(order, command)
        new_order = _new_order(command, history)
        try:
            customer = creating.ordering_customer(new_order)
            placed, stock = creating.place(
                new_order,
                customer,
                # Always the same, so that a return is exchanged once.
                order_id=service_id(command.return_id, "exchange"),
                replaces_order_number=order.order_number,
            )
        except errors.DomainError as refusal:
            order.fail_exchange(command.return_id, str(refusal), now=command.timestamp)
            return save([order], caused_by=command)
        order.exchange_by(placed, command.return_id, now=command.timestamp)
        return save([order, placed, *stock.values()], caused_by=command)

    def act(self, order: Order, command: c.PlaceExchange) -> None:
        order.refuse_unless_due(command.return_id)


def _history(command: c.PlaceExchange) -> list[Any]:
    """Return the events of the order. Raises OrderNotFoundError."""
    history: list[Any] = log.read_stream(f"{Order.stream_prefix}-{command.order_id}")
    if not history or command.customer_scope not in (None, history[0].customer_id):
        raise errors.OrderNotFoundError
    return history


def _new_order(command: c.PlaceExchange, history: list[Any]) -> c.CreateOrder:
    """Return the command that places the exchange of a return, at the prices that were agreed.

    ``history`` has the events of the returned order. Raises ReturnNotFoundError, and
    ExchangeNotDueError for a return without an exchange.
    """
    returns = (event for event in history if isinstance(event, e.ReturnRequested))
    requested = next((event for event in returns if event.return_id == command.return_id), None)
    if requested is None:
        raise errors.ReturnNotFoundError
    if not requested.exchange_for:
        raise errors.ExchangeNotDueError
    created, ship_to = history[0], e.shipping_address(history)
    return c.CreateOrder(
        timestamp=command.timestamp,
        user_id=command.user_id,
        actor=command.by,
        customer_id=created.customer_id,
        currency=created.currency,
        items=[_new_item(line, created.order_number) for line in requested.exchange_for],
        shipping_address=ship_to and _address(ship_to),
        billing_address=created.billing_address and _address(created.billing_address),
        replaces_order_id=command.order_id,
    )


def _new_item(line: e.ExchangeLine, order_number: str) -> c.NewItem:
    taxes = [c.NewTax(**tax.model_dump(exclude={"base"})) for tax in line.taxes or ()]
    return c.NewItem(
        product_id=line.product_id,
        quantity=line.quantity,
        unit_price=line.unit_price.amount,
        price_reason=line.price_reason or f"Agreed in order {order_number}",
        discount=line.discount and line.discount.amount,
        taxes=taxes or None,
        requires_shipping=line.requires_shipping,
    )


def _address(address: e.PostalAddress) -> Address:
    # Valid when the event was stored, even if the rules have changed since then.
    return Address.model_construct(**address.model_dump())


def _return_window() -> timedelta | None:
    """Return how long after the last delivery a return can be requested; None for ever."""
    days = settings.RETURN_WINDOW_DAYS
    return timedelta(days=days) if days else None
