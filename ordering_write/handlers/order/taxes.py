"""The functions by which an order asks the tax port for its taxes when the order is priced."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from uuid import UUID

from ordering_write import log
from ordering_write.domain import events as e
from ordering_write.domain.drafts import AskTaxes, PartToTax
from ordering_write.domain.prices import Tax
from ordering_write.models import Order
from ordering_write.ports import tax_port
from ordering_write.ports.tax import TaxDraft


def of_new_order(created: e.OrderCreated) -> AskTaxes:
    """Return the function that asks for the taxes on a new order."""
    return partial(
        _ask,
        order_id=created.order_id,
        order=created,
        ship_to=lambda: created.shipping_address,
    )


def of_order(order: Order, *, ship_to: e.PostalAddress | None = None) -> AskTaxes:
    """Return the function that asks for the taxes on an edited order, from now sent to ``ship_to``.

    Without ``ship_to`` the address is read from the events, but only if the adapter asks for it.
    """

    def address() -> e.PostalAddress | None:
        return ship_to or e.shipping_address(log.read_stream(order.stream))

    return partial(_ask, order_id=order.id, order=order, ship_to=address)


def _ask(
    parts: Iterable[PartToTax],
    *,
    order_id: UUID,
    order: e.OrderCreated | Order,
    ship_to: Callable[[], e.PostalAddress | None],
) -> Mapping[UUID, Sequence[Tax]] | None:
    draft = TaxDraft(
        order_id=order_id,
        customer_id=order.customer_id,
        currency=order.currency,
        placed_at=order.placed_at,
        parts=parts,
        ship_to=ship_to,
    )
    return tax_port().taxes(draft)
