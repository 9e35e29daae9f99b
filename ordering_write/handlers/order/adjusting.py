"""Handlers of the commands that change the price of an order after it was placed."""

from abc import abstractmethod
from typing import TypeVar

from uuid_utils.compat import uuid7

from config.accounts.roles import Role
from ordering_write.domain import commands as c
from ordering_write.domain import errors
from ordering_write.domain import events as e
from ordering_write.domain.values import Money
from ordering_write.handlers.base import Permission, handles
from ordering_write.handlers.order import amounts, taxes
from ordering_write.handlers.order.base import Caller, OrderHandler
from ordering_write.handlers.order.paying import refuse_above_limit
from ordering_write.models import Order

C = TypeVar("C", bound=c.Command)

_REFUSALS = (
    errors.InvalidTransitionError,
    errors.PriceRiseError,
    errors.RefundLimitError,
    *amounts.REFUSALS,
)


class _PriceHandler(OrderHandler[C]):
    """Changes the price of an order. A credit that arises counts against the limit of refunds."""

    def guard(self, order: Order, caller: Caller) -> None:
        order.may_adjust()

    def act(self, order: Order, command: C) -> None:
        credit = order.credit
        self.change(order, command)
        risen = order.credit - credit
        if risen > 0 and not command.has_privilege(c.Privilege.ANY_REFUND):
            refuse_above_limit(order, risen)

    @abstractmethod
    def change(self, order: Order, command: C) -> None:
        """Change the price."""


@handles(c.AdjustOrder)
class AdjustOrderHandler(_PriceHandler[c.AdjustOrder]):
    permission = Permission("adjust_order", (Role.CLERK,))
    events = (e.OrderAdjustmentAdded,)
    refusals = (
        *_REFUSALS,
        errors.ExceedsTotalError,
        errors.TooManyAdjustmentsError,
        errors.UnknownLineError,
    )

    def change(self, order: Order, command: c.AdjustOrder) -> None:
        amounts.refuse_fractions(command.amount, order.currency, "#/amount")
        added = e.OrderAdjustmentAdded(
            timestamp=command.timestamp,
            order_id=order.id,
            kind=command.kind,
            label=command.label,
            amount=Money.of(command.amount, order.currency),
            reason=command.reason,
            adjustment_id=uuid7(),
            part_id=command.line_id,
            taxes=amounts.given_taxes(command.taxes, command.amount, order.currency, "#/taxes"),
        )
        order.adjust(added, ask_taxes=taxes.of_order(order))


@handles(c.RemoveAdjustment)
class RemoveAdjustmentHandler(_PriceHandler[c.RemoveAdjustment]):
    permission = Permission("remove_adjustment", (Role.CLERK,))
    events = (e.OrderAdjustmentRemoved,)
    refusals = (*_REFUSALS, errors.AdjustmentNotFoundError)

    def guard(self, order: Order, caller: Caller) -> None:
        order.may_remove_adjustment()

    def change(self, order: Order, command: c.RemoveAdjustment) -> None:
        order.remove_adjustment(
            command.adjustment_id, ask_taxes=taxes.of_order(order), now=command.timestamp
        )


@handles(c.ChangeItemPrice)
class ChangeItemPriceHandler(_PriceHandler[c.ChangeItemPrice]):
    permission = Permission("change_item_price", (Role.CLERK,))
    events = (e.OrderItemPriceChanged,)
    refusals = (*_REFUSALS, errors.ExceedsTotalError, errors.UnknownLineError)

    def change(self, order: Order, command: c.ChangeItemPrice) -> None:
        amounts.refuse_fractions(command.unit_price, order.currency, "#/unit_price")
        order.change_price(
            command.line_id,
            command.unit_price,
            command.reason,
            ask_taxes=taxes.of_order(order),
            now=command.timestamp,
        )
