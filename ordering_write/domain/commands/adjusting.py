"""Commands that change the price of an order after it was placed."""

from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from config.fields.amount import Amount
from ordering_write.domain.commands.amounts import Label, NewTaxes
from ordering_write.domain.commands.base import Command, Reason
from ordering_write.domain.prices import CHARGES, ChargeKind
from ordering_write.domain.values import Price


class AdjustOrder(Command):
    """Take a discount off an order or one of its lines, or add a charge, whatever is paid.

    A discount is on the units that are still owed. The balance says what is owed then. A charge on
    a line is a part of its price, is credited with its units, and must come before a unit has
    shipped. ``taxes`` are for charges beside the lines, and replace those that the shop would
    calculate.
    """

    needs_expected_version = True

    order_id: UUID
    kind: Literal["discount", ChargeKind]
    label: Annotated[Label, Field(examples=["Scratched"])]
    amount: Annotated[Amount, Field(gt=0, examples=["5.00"])]
    line_id: UUID | None = None
    taxes: NewTaxes | None = None
    reason: Reason

    @model_validator(mode="after")
    def _only_charges_have_taxes(self) -> Self:
        if self.taxes is not None and (self.kind not in CHARGES or self.line_id is not None):
            raise PydanticCustomError(
                "charge_only", "Only a charge beside the lines has taxes of its own"
            )
        return self


class RemoveAdjustment(Command):
    """Remove a discount, a charge, a tax or goodwill from an order.

    The price of a unit that has shipped can't rise by that.
    """

    needs_expected_version = True

    order_id: UUID
    adjustment_id: UUID


class ChangeItemPrice(Command):
    """Change the unit price of a line. Once a unit has shipped, the price can only fall."""

    needs_expected_version = True

    order_id: UUID
    line_id: UUID
    unit_price: Price
    reason: Reason
