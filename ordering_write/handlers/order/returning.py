"""Handlers of the commands about returns."""

from datetime import timedelta

from django.conf import settings
from uuid_utils.compat import uuid7

from config.accounts.roles import Role
from ordering_write.domain import commands as c
from ordering_write.domain import errors
from ordering_write.domain import events as e
from ordering_write.handlers.base import Permission, handles
from ordering_write.handlers.order.base import Caller, OrderHandler
from ordering_write.models import Order


@handles(c.RequestReturn)
class RequestReturnHandler(OrderHandler[c.RequestReturn]):
    permission = Permission("request_return", (Role.CUSTOMER, Role.CLERK))
    events = (e.ReturnRequested,)
    refusals = (
        errors.ExceedsDeliveredError,
        errors.RepeatedLineError,
        errors.ReturnWindowClosedError,
        errors.UnknownLineError,
    )

    def guard(self, order: Order, caller: Caller) -> None:
        order.may_request_return(window=_return_window(), now=caller.now)

    def act(self, order: Order, command: c.RequestReturn) -> None:
        order.request_return(
            command.items, return_id=uuid7(), window=_return_window(), now=command.timestamp
        )


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


def _return_window() -> timedelta | None:
    """Return how long after the last delivery a return can be requested; None for ever."""
    days = settings.RETURN_WINDOW_DAYS
    return timedelta(days=days) if days else None
