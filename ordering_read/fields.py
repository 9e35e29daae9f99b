"""Types of the fields of views, some with the example that the API documentation shows."""

from decimal import Decimal
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

from ordering_write.published import quantize


def _rounded(amount: Decimal, info: ValidationInfo) -> Decimal:
    return quantize(amount, info.context) if info.context else amount


# An amount with the decimals of the currency of its row, which ``View.of_row`` passes as context.
CurrencyAmount = Annotated[Decimal, AfterValidator(_rounded)]
# Turns an empty text of a row into null.
BLANK_AS_NONE = BeforeValidator(lambda text: text or None)
OptionalText = Annotated[str | None, BLANK_AS_NONE]

CountryCode = Annotated[str, Field(examples=["ES"])]
CurrencyCode = Annotated[str, Field(examples=["EUR"])]
MoneyAmount = Annotated[Decimal, Field(examples=["19.90"])]
OrderNumber = Annotated[str, Field(examples=["2026-000123"])]
PersonName = Annotated[str, Field(examples=["Robin Sample"])]
Price = Annotated[CurrencyAmount, Field(examples=["39.90"])]
ProductName = Annotated[str, Field(examples=["Lamp"])]
Sku = Annotated[str, Field(examples=["LAMP-1"])]
StreamName = Annotated[str, Field(examples=["order-01900000-0000-7000-8000-000000000001"])]
Version = Annotated[int, Field(examples=[3])]
# The ids of the demo's first customer and product.
CustomerId = Annotated[UUID, Field(examples=["a59311dc-9125-5fe6-8875-7eca2e6d52c1"])]
ProductId = Annotated[UUID, Field(examples=["f70de883-4b93-5701-bdd3-2042cdefb4d0"])]
