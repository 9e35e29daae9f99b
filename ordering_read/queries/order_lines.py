"""The lines of an order as queries return them; amounts are in the order's currency."""

from decimal import Decimal
from uuid import UUID

from ordering_read.fields import Price, ProductId, ProductName, Sku
from ordering_read.queries.base import View


class OrderLineView(View):
    """A line of an order, and where its units are.

    `quantity` is what was ordered, the cancelled included. Of it, `cancelled`, `packed` and
    `shipped` units are taken, and `open` are left; of those shipped, some were `delivered` and
    some `failed` to arrive; of those delivered, some are to come back and some were `returned`.
    `line_total` is what is still owed. What the price came from is null for customers.
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
    line_total: Decimal
    price_source: str | None
    price_reason: str | None
