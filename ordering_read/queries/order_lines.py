"""The lines of an order, as queries return them; amounts are in the order's currency."""

from datetime import datetime
from uuid import UUID

from ordering_read.documents import TaxView
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
    """A line of an order, with the unit counters.

    `quantity` counts all ordered units, also the cancelled ones. Each unit counts as `open`,
    `cancelled`, `packed` or `shipped`. A shipped unit can also count as `delivered` or `failed`,
    and a delivered unit as `return_requested` or `returned`; `made_good` counts the failed units
    that were replaced for nothing. `backordered` are the open units that aren't in stock yet, and
    `expected_at` is the time at which the last of them is expected to come in; both are null where
    they aren't known, as in a past state. `list_value`, `discount`, `line_total` and `taxes` are
    for the units that aren't cancelled, returned, or failed and not made good: `line_total` is
    `list_value` minus `discount` plus `surcharge`; some `taxes` are included in it, the others are
    added to it. Units that don't `requires_shipping` are handed over without a parcel, and then
    count as `shipped` and `delivered`. `price_source` and `price_reason` are null for customers,
    who don't see `metadata` either.
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
    made_good: int
    return_requested: int
    returned: int
    requires_shipping: bool
    backordered: int | None
    expected_at: datetime | None
    unit_price: Price
    list_value: CurrencyAmount
    discount: CurrencyAmount
    surcharge: CurrencyAmount
    line_total: CurrencyAmount
    tax_class: OptionalText
    taxes: tuple[TaxView, ...]
    metadata: dict[str, str]
    price_source: str | None
    price_reason: OptionalText
