"""The amounts that commands give beside unit prices: discounts, charges, taxes."""

from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from config.fields.amount import Amount
from config.fields.text import Text
from ordering_write.domain.prices import CHARGES, ChargeKind
from ordering_write.domain.values import ADDED, Value

Label = Annotated[str, Text(max_length=100)]
Rate = Annotated[Decimal, Field(ge=0, le=1000, decimal_places=4)]
Discount = Annotated[Amount, Field(examples=["5.00"])]


class NewTax(Value):
    """A tax on a line or a charge.

    ``rate`` is in per cent. Without an ``amount``, the amount follows from the rate. The price
    contains the tax if it is ``included``; by default if the shop's prices do.
    """

    label: Annotated[Label, Field(examples=["IVA 21 %"])]
    jurisdiction: Annotated[str, Text(max_length=40), Field(examples=["ES"])] | None = None
    rate: Annotated[Rate, Field(examples=["21"])] | None = None
    amount: Amount | None = None
    included: Annotated[bool, Field(strict=True)] | None = None

    @model_validator(mode="after")
    def _has_an_amount(self) -> Self:
        if self.rate is None and self.amount is None:
            raise PydanticCustomError("tax_amount", "A tax needs a rate or an amount")
        return self


NewTaxes = Annotated[list[NewTax], Field(min_length=1, max_length=10)]


class Adjustment(Value):
    """An amount added to the sum of the lines, or subtracted as a discount.

    A tax is on the whole order, and added. Charges, which are all other kinds but discounts, can
    have a ``discount`` and ``taxes`` of their own.
    """

    kind: Literal[ChargeKind, "discount", "tax"]
    label: Label
    amount: Amount
    rate: Rate | None = None
    discount: Annotated[Discount | None, ADDED] = None
    taxes: Annotated[NewTaxes | None, ADDED] = None

    @model_validator(mode="after")
    def _only_charges_have_parts(self) -> Self:
        if self.kind not in CHARGES and (self.discount is not None or self.taxes is not None):
            raise PydanticCustomError(
                "charge_only", "Only a charge has a discount and taxes of its own"
            )
        return self
