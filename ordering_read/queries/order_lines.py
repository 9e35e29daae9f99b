"""The lines of an order, as queries return them; amounts are in the order's currency."""

from uuid import UUID

from ordering_read.fields import (
    CurrencyAmount,
    OptionalText,
    Price,
    ProductId,
    ProductName,
    Sku,
)
from ordering_read.queries.views import View


class OrderLineView(View):
    """A line of an order, with the position of its units.

    `quantity` counts all units that were ordered, cancelled ones too. Of these, `cancelled`,
    `packed`, `shipped` and `open` units are in the state of that name. Of the shipped units,
    `delivered` ones arrived and `failed` ones did not; of the delivered units, `return_requested`
    ones are expected back and `returned` ones came back. `line_total` is the price of the units
    that are still owed. `price_source` and `price_reason` are null for customers.
    """

    line_id: UUID
    product_id: ProductId
    sku: Sku
    name: ProductName
    quantity: int
    open: int
    cancelled: int
    packed: int
    shipped: int
    delivered: int
    failed: int
    return_requested: int
    returned: int
    unit_price: Price
    line_total: CurrencyAmount
    price_source: str | None
    price_reason: OptionalText
