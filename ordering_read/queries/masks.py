"""Orders without the data that a user may not see."""

from typing import Any

from ordering_read.documents import AddressView
from ordering_read.permissions import MASK, masked_pairs
from ordering_read.queries.orders import OrderDetail


def masked_order(order: OrderDetail, *, with_personal: bool, with_addresses: bool) -> OrderDetail:
    """Return ``order`` with MASK for the data that the user may not see.

    Those are personal texts, and all of an address but city and country.
    """
    masks: dict[str, Any] = {}
    if not with_addresses:
        for name in ("shipping_address", "billing_address"):
            masks[name] = _masked_address(getattr(order, name))
    if not with_personal:
        masks["notes"] = tuple(note.model_copy(update={"text": MASK}) for note in order.notes)
        masks["metadata"] = masked_pairs(order.metadata)
        masks["items"] = tuple(
            line.model_copy(update={"metadata": masked_pairs(line.metadata)})
            for line in order.items
        )
    return order.model_copy(update=masks)


def _masked_address(address: AddressView | None) -> AddressView | None:
    if address is None:
        return None
    masks = dict.fromkeys(AddressView.model_fields.keys() - {"city", "country"}, MASK)
    return address.model_copy(update=masks)
